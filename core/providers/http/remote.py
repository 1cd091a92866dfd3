"""Where a remote provider is, and whose key a call bears; apart from the client, whose import costs a cold start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from core.config.answer_limits import AnswerLimits
from core.frame.types import JsonObject

if TYPE_CHECKING:
    from yarl import URL

    from core.platform.addresses import Reach

HEADER_KEY: Final = re.compile(r"[\x21-\x7e]{1,4096}")  # what a header can carry: RFC 9110, 5.5, without spaces

type Patience = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""Seconds to wait: some, and not for ever."""


class RemoteConfig(BaseModel):
    """The config of a provider that connects to a place which it names.

    `reach` is where its connections may go, `media_reach` where a URL may lead that a request has and the remote may fetch.
    Neither is a field: what makes a provider of the config knows who has named the place.
    """

    model_config = ConfigDict(defer_build=True)  # a base is never validated itself

    _reach: "Reach" = PrivateAttr("operator")
    _media_reach: "Reach" = PrivateAttr("public")

    @property
    def reach(self) -> "Reach":
        return self._reach

    @property
    def media_reach(self) -> "Reach":
        return self._media_reach

    def placed(self, reach: "Reach", media_reach: "Reach") -> Self:
        """A copy for these."""
        copy = self.model_copy()
        copy._reach, copy._media_reach = reach, media_reach  # noqa: SLF001 - its own
        return copy


@dataclass(frozen=True, slots=True)
class Remote:
    """`base_url` may have a query, which every request carries, and a name and password, which are sent where no key is.

    `timeout` bounds each wait for bytes, `connect_timeout` the connection, in seconds; `limits` what is taken of an answer.

    `tls_verify` is False, True (the system's authorities) or the path of a CA bundle. Calls above `max_connections`,
    if it is not 0, wait. `reach` is where connections may go.
    """

    provider_id: str
    base_url: str
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: float = 60.0
    connect_timeout: float = 5.0
    tls_verify: bool | str = True
    max_connections: int = 0
    reach: "Reach" = "operator"
    limits: AnswerLimits = field(default_factory=AnswerLimits)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whose key a call bears; `source` says where a caller gave its own, and is empty for the operator's.

    Never in a client's defaults: what one call bears must not be borne by the next.
    """

    key: str = field(default="", repr=False)
    source: str = ""

    def headers(self, forms: Mapping[str, str]) -> dict[str, str]:
        """`forms` with the key in the place of `{key}`; without a key, only those that have no such place."""
        return {
            name: form.replace("{key}", self.key) for name, form in forms.items() if self.key or "{key}" not in form
        }


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """`body` is JSON, or None for a GET, which may have a `query`, in it the key as `key_parameter`: neither is ever logged."""

    method: str
    path: str
    body: bytes | None
    credentials: Credentials
    forms: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    key_parameter: str = ""

    def at(self, url: "URL") -> "URL":
        """`url` with the query behind its own."""
        key = {self.key_parameter: self.credentials.key} if self.key_parameter else {}
        return url.update_query({**self.query, **key}) if self.query else url

    @property
    def payload(self) -> Any:  # noqa: ANN401 - the client's own types of bodies
        """What is sent as the body, as the HTTP client takes it."""
        return self.body

    @property
    def content(self) -> JsonObject:
        """What the body, or the query, says: read again where an error is judged, which is seldom."""
        from core.platform import json_reader

        if self.query:
            return dict(self.query)

        try:
            return json_reader.read_object(self.body or b"{}", allow_nan=True)
        except ValueError:  # it is nested deeper than is read
            return {}
