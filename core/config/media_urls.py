"""URLs in a request that whoever serves it may fetch: of images, video, audio and files.

Sources: the content parts of OpenAI's chat completions, vLLM's (`video_url`, `audio_url`), Anthropic's (`source`), Qwen's (`image`,
`video`); https://url.spec.whatwg.org/#url-parsing for what readers of URLs forgive.
"""

from collections.abc import Iterator, Mapping, Sequence
import re
from typing import Any, Final, cast
from urllib.parse import unquote

from core.platform.addresses import Reach, may_name

FIELDS: Final = ("messages", "input", "prompt", "documents", "query")  # of a request; some of them are vLLM's
TEXTS: Final = frozenset(
    {*FIELDS, "content", "text", "refusal", "reasoning", "reasoning_content", "thinking", "name", "title", "arguments"}
)
"""Keys whose texts are read by the model, whatever they begin with."""
CALLS: Final = frozenset({"tool_calls", "function_call"})
URL_KEY: Final = re.compile(r"(.*_)?(url|uri|image|video|audio|file)s?", re.IGNORECASE)
WEB: Final = re.compile(r"(?:https?:[/\\]*|[/\\]{2,})", re.IGNORECASE)  # browsers take `http:host` and `//host` too
SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
BUCKETS: Final = frozenset({"data", "s3", "gs"})  # what leads to no host that the text names
BLANK: Final = re.compile(r"[\x00-\x20\x7f\x85\xa0\ufeff]")
PORT: Final = re.compile(r":(\d{1,5})$")
MOST_URL: Final = 8192  # characters

NO_SCHEME: Final = "is no URL that may be fetched: http, https, s3, gs and data URLs may."
TOO_LONG: Final = f"must be a URL of at most {MOST_URL} characters."
FORBIDDEN: Final = "may not be fetched: its host is link-local, a cloud's metadata, or Lambda's runtime."
PRIVATE: Final = (
    "may not be fetched: its host is private, loopback or reserved. The run config may allow private and loopback ones, by "
    "`configurations.allow_private_urls` or by `allow_private_urls` of the provider."
)


def find_refused_url(request: object, reach: Reach) -> tuple[str, str] | None:
    """The path of the first URL that leads where `reach` does not, as far as its text tells, and why."""
    extra: Mapping[str, Any] = getattr(request, "model_extra", None) or {}
    for field in FIELDS:
        for path, key, text in _texts(getattr(request, field, extra.get(field)), field, field):
            fault = _fault(key, text, reach)
            if fault:
                return path, fault
    return None


def _texts(value: object, path: str, key: str) -> Iterator[tuple[str, str, str]]:
    """What may be a URL: each with its path and the key that it is under."""
    match value:
        case str():
            if key not in TEXTS:
                yield path, key, value
        case dict():
            for name, inner in cast("Mapping[str, object]", value).items():
                if name not in CALLS:
                    yield from _texts(inner, f"{path}.{name}", name)
        case list():
            for index, inner in enumerate(cast("Sequence[object]", value)):
                yield from _texts(inner, f"{path}[{index}]", key)
        case _:
            return


def _fault(key: str, text: str, reach: Reach) -> str:
    url = BLANK.sub("", text) if BLANK.search(text, 0, MOST_URL) else text
    web = WEB.match(url)
    if web is None:
        scheme = SCHEME.match(url, 0, MOST_URL)
        known = scheme is None or scheme[1].lower() in BUCKETS or not URL_KEY.fullmatch(key)
        return "" if known and not url[:5].lower().startswith("file:") else NO_SCHEME
    if len(url) > MOST_URL:
        return TOO_LONG
    places = [place for rest in {url[web.end() :], unquote(url[web.end() :])} for place in _places(rest)]
    if not all(may_name(host, port, "operator") for host, port in places):
        return FORBIDDEN
    return "" if all(may_name(host, port, reach) for host, port in places) else PRIVATE


def _places(rest: str) -> Iterator[tuple[str, int]]:
    """Each host that a reader may find behind the slashes, with its port: some end it at a backslash, some at an @."""
    for authority in {re.split(r"[/?#]", rest, maxsplit=1)[0], re.split(r"[/\\?#]", rest, maxsplit=1)[0]}:
        for part in authority.split("@"):
            port = PORT.search(part)
            host = part.partition("]")[0] if part.startswith("[") else part.partition(":")[0]
            yield host, int(port[1]) if port else 0
