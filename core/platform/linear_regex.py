"""Regular expressions that callers send: RE2's, whose time is linear in the text, whatever the expression.

Linear is not short: RE2 takes up to 5 ns for each instruction of the expression and byte of the text, so both are bounded,
and so is their product. Sources: https://github.com/google/re2/wiki/Syntax, https://github.com/google/re2/wiki/WhyRE2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
import re
from typing import Any, Final

from core.errors import InvalidRequest

MOST_CHARACTERS: Final = 2_000
MOST_MEMORY: Final = 1 << 18  # bytes, of an expression and of what RE2 remembers as it searches
MOST_INSTRUCTIONS: Final = 2_500
MOST_STEPS: Final = 200_000_000  # instructions times characters of one search: a second, where RE2 is at its slowest
SHOWN: Final = 100  # characters of an expression in a message
# What RE2 leaves out, because no machine without memory can match it.
LOOK_AROUND: Final = re.compile(r"\(\?<?[=!]")
BACKREFERENCE: Final = re.compile(r"\\[1-9]|\(\?P=")


@dataclass(frozen=True, slots=True)
class LinearRegex:
    """`groups` are counted without the whole match; `instructions` are those of RE2's program."""

    pattern: str
    groups: int
    instructions: int
    engine: Any = field(repr=False, compare=False)  # RE2's, which has no types


def compile_regex(pattern: str) -> LinearRegex:
    """The same expression is compiled once.

    Raises:
        InvalidRequest: RE2 cannot have it, with the reason.
    """
    if len(pattern) > MOST_CHARACTERS:
        raise InvalidRequest(
            f"A regular expression of {len(pattern)} characters is too long: {MOST_CHARACTERS} at most."
        )
    return _compile(pattern)


def search_first(regexes: Sequence[LinearRegex], text: str) -> str | None:
    """Group 1 of the first of `regexes` that is in `text`, or all of the match where there is no group; None if none is.

    Raises:
        InvalidRequest: so long a text is too much work for them.
    """
    steps = sum(regex.instructions for regex in regexes) * len(text)
    if steps > MOST_STEPS:
        raise InvalidRequest(
            f"{len(regexes)} regular expressions are not searched for in a text of {len(text)} characters:"
            f" {MOST_STEPS // max(1, steps // len(text))} at most."
        )
    for regex in regexes:
        match = regex.engine.search(_as_unicode(text))
        if match is not None:
            group: str | None = match.group(1 if regex.groups else 0)
            return group
    return None


@lru_cache(maxsize=256)
def _compile(pattern: str) -> LinearRegex:
    import re2  # pyright: ignore[reportMissingTypeStubs]

    library: Any = re2
    options = library.Options()
    options.log_errors = False
    options.max_mem = MOST_MEMORY
    try:
        engine = library.compile(_as_unicode(pattern), options)
    except library.error as failure:
        raise InvalidRequest(_explain(pattern, failure.args[0])) from None
    regex = LinearRegex(pattern, engine.groups, engine._regexp.ProgramSize(), engine)  # noqa: SLF001 - told nowhere else
    if regex.instructions > MOST_INSTRUCTIONS:
        raise InvalidRequest(_explain(pattern, "it is too large when its repetitions are written out"))
    return regex


def _explain(pattern: str, reason: str | bytes) -> str:
    shown = pattern if len(pattern) <= SHOWN else f"{pattern[:SHOWN]}..."
    why = (reason.decode(errors="replace") if isinstance(reason, bytes) else reason)[:SHOWN]  # it may quote all of it
    if LOOK_AROUND.search(pattern):
        why = "it looks around (`(?=`, `(?!`, `(?<=` or `(?<!`), which RE2 cannot"
    elif BACKREFERENCE.search(pattern):
        why = "it refers back to a group, which RE2 cannot"
    return f"The regular expression {shown!r} cannot be used: {why}. Expressions are RE2's: https://github.com/google/re2/wiki/Syntax."


def _as_unicode(text: str) -> str:
    """JSON may have half of a surrogate pair, which UTF-8 has not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
