"""`server.hosts` and `server.cors` as records: which hosts a stack answers as, and which web pages may call it.

Source of `cors`: CORSConfig of Llama Stack 0.2 and OGX, whose `true` stands for the pages of this machine's development
servers. What such a page's browser is told goes further here where nothing is set: the SDKs send headers of their own.
"""

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from core.config.records import Record, Text, Whole
from core.frame.forms import of_form

ANY: Final = "*"
ANY_PORT: Final = ":*"
LOCAL: Final = ("http://localhost:*", "https://localhost:*")
ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9_][a-z0-9._-]*|\[[0-9a-f:.]+\])(:[0-9]{1,5}|:\*)?/?")
DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}"  # RFC 9110, 5.6.2: a method, or a header's name
EXPOSED: Final = (
    "x-request-id",
    "retry-after",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
)
STRANGERS: Final = ("https://a.invalid", "http://b.c.invalid:8443", "null")


def _split(value: object) -> object:
    """A list may be text with commas, as an environment variable gives it."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return () if value is None else value


def _host(text: str) -> str:
    if text == ANY:
        return text
    from core.platform.hosts import host_of

    bare = text.removeprefix("[").removesuffix("]")
    host = host_of(f"[{bare}]" if ":" in bare else bare)
    if host is None:
        raise ValueError(f"`{text}` is no host: give a name or an address, without a scheme and without a port")
    return host


def _origin(text: str) -> str:
    """As browsers write it: in lower case, without its scheme's own port; or `*`, or one with `:*` for any port."""
    if text == ANY:
        return text
    match = ORIGIN.fullmatch(text.lower())
    if match is None:
        raise ValueError(f"`{text}` is no origin: write it as https://app.example.com, or with a port or :* behind it")
    scheme, host, port = match.groups("")
    return f"{scheme}://{host}{'' if port == DEFAULT_PORTS.get(scheme) else port}"


def _pattern(text: str | None) -> str | None:
    """It is no other way to say `*`."""
    if text is None:
        return None
    from core.config.patterns import linear_matcher

    try:
        matches = linear_matcher(text)
    except ValueError as failure:
        raise ValueError(f"`{text}` {failure}") from failure
    if any(map(matches, STRANGERS)):
        raise ValueError(f"`{text}` lets every page in; list the origins, `:*` behind one means any port")
    return text


def _no_switch(value: object) -> object:
    """`true` and `false`, which the reference takes for a whole `cors`."""
    if isinstance(value, bool):
        return {"allow_origins": list(LOCAL)} if value else None
    return value


type Tokens = Annotated[
    tuple[Annotated[Text, of_form(f"^{NAME}$", "must be a header's or a method's name, or *")], ...],
    BeforeValidator(_split),
]


class CorsConfig(Record):
    """Which web pages of other origins may call, and how; `*` of `allow_headers` is whatever a page asks for.

    `allow_origin_regex` is held against the whole of an origin in lower case. `max_age` is in seconds.
    """

    allow_origins: Annotated[tuple[Annotated[Text, AfterValidator(_origin)], ...], BeforeValidator(_split)] = ()
    allow_origin_regex: Annotated[Text | None, AfterValidator(_pattern)] = None
    allow_methods: Tokens = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    allow_headers: Tokens = (ANY,)
    allow_credentials: bool = False
    expose_headers: Tokens = EXPOSED
    max_age: Annotated[Whole, Field(ge=0, le=86_400)] = 600

    @property
    def allows_any(self) -> bool:
        """Whether there is a page that may call."""
        return bool(self.allow_origins) or self.allow_origin_regex is not None

    @model_validator(mode="after")
    def _no_credentials_for_all(self) -> Self:
        if self.allow_credentials and ANY in self.allow_origins:
            raise ValueError('allow_credentials cannot be with "*"; list the origins')
        return self


type Hosts = Annotated[tuple[Annotated[Text, AfterValidator(_host)], ...], BeforeValidator(_split)]
type Cors = Annotated[CorsConfig | None, BeforeValidator(_no_switch)]
