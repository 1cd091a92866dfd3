"""The language of a response, by langdetect, which is an extra: it takes a sixth of a second and 60 MB."""

from functools import cache
from typing import Any, Final

from core.errors import ProviderUnavailable

NO_LIBRARY: Final = "The language of a response is told by langdetect: pip install 'llambda[ifeval]'."
NO_RETRY: Final = {"x-should-retry": "false"}
MOST_CHARACTERS: Final = 20_000  # that a language is told by


def is_in(text: str, language: str) -> bool:
    """Whether a text is in a language, an ISO 639-1 code; one in which no language can be told is, as IFEval counts it.

    Raises:
        ProviderUnavailable: langdetect is not installed.
    """
    library = find_library()
    detector = library.detector_factory._factory.create()  # noqa: SLF001 - `detect` takes no seed of its own
    detector.seed = 0  # without it the same text may be in two languages
    detector.append(text[:MOST_CHARACTERS])
    try:
        return bool(detector.detect() == language)
    except library.LangDetectException:
        return True


@cache
def find_library() -> Any:  # noqa: ANN401 - it has no types
    try:
        import langdetect  # pyright: ignore[reportMissingTypeStubs]
    except ModuleNotFoundError:
        raise ProviderUnavailable(NO_LIBRARY, headers=NO_RETRY) from None
    langdetect.detector_factory.init_factory()
    return langdetect
