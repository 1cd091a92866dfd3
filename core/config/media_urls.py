"""URLs in a request that whoever serves it may fetch: of images, video, audio and files.

Sources: the content parts of OpenAI's chat completions, vLLM's (`video_url`, `audio_url`), Anthropic's (`source`), Qwen's (`image`,
`video`); https://url.spec.whatwg.org/#url-parsing for what readers of URLs forgive.
"""

from collections.abc import Iterator, Mapping, Sequence
import re
from typing import Any, Final, cast
from urllib.parse import unquote

from pydantic import BaseModel

from core.platform.addresses import Reach, literal_addresses, may_name

FIELDS: Final = ("messages", "input", "prompt", "documents", "query")  # of a request; some of them are vLLM's
FIELDS_SET: Final = frozenset(FIELDS)
TEXTS: Final = frozenset(
    {
        *FIELDS,
        "role",
        "type",
        "content",
        "text",
        "refusal",
        "reasoning",
        "reasoning_content",
        "thinking",
        "name",
        "title",
    }
)
"""Keys whose texts are read by the model, whatever they begin with."""
CALLS: Final = frozenset({"tool_calls", "function_call"})
URL_KEY: Final = re.compile(r"(.*_)?(url|uri|image|video|audio|file)s?", re.IGNORECASE)
PLACE: Final = re.compile(r"https?:[/\\]*|[a-z][a-z0-9+.-]*:[/\\]{2,}", re.IGNORECASE)
"""What stands before a host; browsers take `http:host` too."""
BARE_PLACE: Final = re.compile(r"[/\\]{2,}")
"""Likewise, where nothing but a URL may be; elsewhere it may be base64, as MP3's `//uQx`."""
SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
WEB: Final = frozenset({"", "http", "https"})
BUCKETS: Final = frozenset({"data", "s3", "gs"})  # what leads to no host that the text names
BLANK: Final = re.compile(r"[\x00-\x20\x7f\x85\xa0\ufeff]")
PORT: Final = re.compile(r":(\d{1,5})$")
MOST_URL: Final = 8192  # characters
MOST_PATH: Final = 200  # characters that are said again: its keys are the caller's

NO_SCHEME: Final = "is no URL that may be fetched: http, https, s3, gs and data URLs may."
TOO_LONG: Final = f"must be a URL of at most {MOST_URL} characters."
FORBIDDEN: Final = "may not be fetched: its host is link-local, a cloud's metadata, or Lambda's runtime."
PRIVATE: Final = (
    "may not be fetched: its host is private, loopback or reserved. The run config may allow private and loopback ones, by "
    "`configurations.allow_private_urls` or by `allow_private_urls` of the provider."
)


def find_refused_url(request: BaseModel, reach: Reach) -> tuple[str, str] | None:
    """The path of the first URL that leads where `reach` does not, as far as its text tells, and why."""
    own, extra = vars(request), request.model_extra or {}
    if _is_text_alone(own.get("messages")) and FIELDS_SET.isdisjoint(extra):
        return None
    for field in FIELDS:
        value = own[field] if field in own else extra.get(field)
        if value is not None and (refusal := _find(value, field, reach)) is not None:
            path, fault = refusal
            return f"{field}{path}"[:MOST_PATH], fault
    return None


def _is_text_alone(messages: Any) -> bool:  # noqa: ANN401 - whatever a caller sent
    """Whether each message has a role and a text, and nothing else: told of most requests in a microsecond."""
    if messages.__class__ is not list:
        return False
    for message in messages:
        if message.__class__ is not dict or len(message) != 2:  # noqa: PLR2004 - these two
            return False
        if "role" not in message or message.get("content").__class__ is not str:
            return False
    return True


def _find(value: object, key: str, reach: Reach) -> tuple[str, str] | None:
    """Within `value`, which is under `key`; of every request's many values most are texts, which are looked at no further."""
    if isinstance(value, str):
        fault = "" if key in TEXTS else _fault(key, value, reach)
        return ("", fault) if fault else None
    if isinstance(value, dict):
        return _find_in_object(cast("Mapping[str, object]", value), reach)
    if isinstance(value, list):
        for index, inner in enumerate(cast("Sequence[object]", value)):
            if (refusal := _find(inner, key, reach)) is not None:
                return f"[{index}]{refusal[0]}", refusal[1]
    return None


def _find_in_object(value: Mapping[str, object], reach: Reach) -> tuple[str, str] | None:
    for name, inner in value.items():
        if name in TEXTS and inner.__class__ is str:  # as nearly all are
            continue
        if name not in CALLS and (refusal := _find(inner, name, reach)) is not None:
            return f".{name}{refusal[0]}", refusal[1]
    return None


def _fault(key: str, text: str, reach: Reach) -> str:
    url = BLANK.sub("", text) if BLANK.search(text, 0, MOST_URL) else text
    scheme = SCHEME.match(url, 0, MOST_URL)
    name = "" if scheme is None else scheme[1].lower()
    if name in BUCKETS:
        return ""
    if name == "file" or (name not in WEB and URL_KEY.fullmatch(key)):
        return NO_SCHEME
    start = PLACE.match(url, 0, MOST_URL) or (BARE_PLACE.match(url) if key.lower().endswith(("url", "uri")) else None)
    if start is None:
        return ""
    if len(url) > MOST_URL:
        return TOO_LONG
    places = [place for rest in {url[start.end() :], unquote(url[start.end() :])} for place in _places(rest)]
    if not all(may_name(host, port, "operator") for host, port in places):
        return FORBIDDEN
    return "" if all(may_name(host, port, reach) for host, port in places) else PRIVATE


def _places(rest: str) -> Iterator[tuple[str, int]]:
    """Each host that a reader may find behind the slashes, with its port: some end it at a backslash, some at an @."""
    for authority in {re.split(r"[/?#]", rest, maxsplit=1)[0], re.split(r"[/\\?#]", rest, maxsplit=1)[0]}:
        *users, last = authority.split("@")
        for part in (*users, last):
            port = PORT.search(part)
            host = part.partition("]")[0] if part.startswith("[") else part.partition(":")[0]
            if part is last or literal_addresses(host):  # a user's name is no host, but where it is an address
                yield host, int(port[1]) if port else 0
