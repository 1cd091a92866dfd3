"""`server.hosts` and `server.cors` as records: which hosts a stack answers as, and which web pages may call it.

Source of `cors`: CORSConfig of Llama Stack 0.2, whose `true` stands for the pages of this machine's development servers.
"""

from collections.abc import Mapping
import re
from typing import Annotated, Any, Final, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from core.config.records import Record, Text, Whole

ANY: Final = "*"
ANY_PORT: Final = ":*"
LOCAL: Final = ("http://localhost:*", "https://localhost:*")
ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9_][a-z0-9._-]*|\[[0-9a-f:.]+\])(:[0-9]{1,5}|:\*)?/?")
DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


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


def _no_switch(value: object) -> object:
    """`true` and `false`, which the reference takes for a whole `cors`."""
    if isinstance(value, bool):
        return {"allow_origins": list(LOCAL)} if value else None
    return value


class CorsConfig(Record):
    """Which web pages of other origins may call. Methods, headers and `max_age` are for preflight, which is not answered yet."""

    allow_origins: Annotated[tuple[Annotated[Text, AfterValidator(_origin)], ...], BeforeValidator(_split)] = ()
    allow_methods: tuple[Text, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    allow_headers: tuple[Text, ...] = ("content-type", "authorization")
    allow_credentials: bool = False
    expose_headers: tuple[Text, ...] = ()
    max_age: Annotated[Whole, Field(ge=0, le=86_400)] = 600

    @model_validator(mode="before")
    @classmethod
    def _no_pattern(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the run config says
        if isinstance(value, Mapping) and "allow_origin_regex" in value:
            raise ValueError("allow_origin_regex is not supported; list the origins, `:*` behind one means any port")
        return cast("Any", value)

    @model_validator(mode="after")
    def _no_credentials_for_all(self) -> Self:
        if self.allow_credentials and ANY in self.allow_origins:
            raise ValueError('allow_credentials cannot be with "*"; list the origins')
        return self


type Hosts = Annotated[tuple[Annotated[Text, AfterValidator(_host)], ...], BeforeValidator(_split)]
type Cors = Annotated[CorsConfig | None, BeforeValidator(_no_switch)]
