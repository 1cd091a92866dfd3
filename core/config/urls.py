"""URLs in the configs of providers: where they lead, and which of them callers may name."""

from collections.abc import Iterator, Mapping, Sequence
import re
from typing import Annotated, Any, Final, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator

from core.frame.forms import of_form
from core.platform.addresses import Reach, may_name

PORTS: Final = {"http": 80, "https": 443}
MOST_PORT: Final = 65535
WEB: Final = re.compile(r"\s*https?:", re.IGNORECASE)
PLACE: Final = re.compile(r"(.*_)?(url|uri|base|host|hostname|server|address|addr|endpoint|proxy|dsn|socket)s?")
HOST: Final = re.compile(r"(.*_)?(host|hostname|server)s?")
STRICT: Final = re.compile(
    r"(https?)://([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(?:/[!$-.0-;=A-Z_a-z~%/]*)?"
)
"""What every reader of URLs reads alike: no user, no query, no fragment, no backslash, no sign beyond ASCII."""
BARE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\\]+)(?::([0-9]{1,5}))?|[0-9A-Fa-f:.]+")

NOT_WEB: Final = "must be a URL that begins with http:// or https:// and names a host, as http://gpu:8000/v1"
NO_URL: Final = "must be http:// or https://, a host, and perhaps a port and a path: no user, query or fragment"
FORBIDDEN: Final = "is at an address that no provider may have: link-local, a cloud's metadata, or Lambda's runtime"
PRIVATE: Final = (
    "is at a private, loopback or reserved address, which a caller may not name here: `configurations.allow_private_urls` "
    "of the run config allows private and loopback ones"
)


def _refuse_metadata(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    except ValueError:  # no URL, which the provider says when it is asked
        return url
    if not may_name(host, port, "operator"):
        raise ValueError(FORBIDDEN)
    return url


type UpstreamUrl = Annotated[str, of_form(r"^https?://[^/\s]+", NOT_WEB), AfterValidator(_refuse_metadata)]
"""Where a provider is. What its host's name leads to is judged where the connection is made."""


def origins_of(values: Mapping[str, Any]) -> dict[str, object]:
    """Where the URLs and hosts of a config lead, by the paths of their fields: scheme, host and port."""
    return {path: _origin(text) for path, text in places_of(values)}


def places_of(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts that say where something is, with their paths: URLs, and what is in a field that a host's name is in."""
    for path, name, text in _texts(values, "", ""):
        is_place = PLACE.fullmatch(name) and (any(sign in text for sign in "/.:") or HOST.fullmatch(name))
        if text and (is_place or WEB.match(text)):
            yield path, text


def place_fault(text: str, reach: Reach) -> str:
    """Why a caller may not name this URL, or host with or without a port; empty where it may, as far as its text tells."""
    strict, bare = STRICT.fullmatch(text), BARE.fullmatch(text)
    if strict is not None:
        scheme, host, port = strict.groups()
        number = int(port or PORTS[scheme])
    elif bare is not None:
        host, number = bare[1] or text, int(bare[2] or 0)
    else:
        return NO_URL
    if number > MOST_PORT:
        return NO_URL
    if not may_name(host, number, "operator"):
        return FORBIDDEN
    return "" if may_name(host, number, reach) else PRIVATE


def host_of(text: str) -> tuple[str, int] | None:
    """The host and the port of a URL that has no fault."""
    strict = STRICT.fullmatch(text)
    return None if strict is None else (strict[2].strip("[]"), int(strict[3] or PORTS[strict[1]]))


def _texts(values: object, path: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Every text with its path and the key that it is under."""
    match values:
        case str():
            yield path, name, values
        case Mapping():
            for key, value in cast("Mapping[object, object]", values).items():
                yield from _texts(value, f"{path}.{key}" if path else str(key), str(key).lower())
        case list() | tuple():
            for index, value in enumerate(cast("Sequence[object]", values)):
                yield from _texts(value, f"{path}[{index}]", name)
        case _:
            return


def _origin(text: str) -> object:
    """Scheme, host and port of a URL that every reader reads alike; any other text is an origin of its own."""
    strict = STRICT.fullmatch(text)
    return text if strict is None else (strict[1], strict[2].lower(), int(strict[3] or PORTS[strict[1]]))
