"""The config of a remote that speaks OpenAI's HTTP API: one model per row, made when the row is configured."""

from dataclasses import replace
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, PositiveInt, SecretStr, create_model, model_validator

from core.apis.inference import ModelType
from core.config.answer_limits import AnswerLimits, Limits
from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.frame.forms import of_form
from core.platform import secrets
from core.platform.urls import join_path, userinfo_of, without_query
from core.providers.http.connections import MOST_CONNECTIONS
from core.providers.http.remote import HEADER_KEY, Patience, Remote, RemoteConfig
from core.providers.openai.rows import ROWS, Row, api_root

type Project = Annotated[
    str, of_form(r"^[A-Za-z0-9.:_-]{1,100}$", "must be a project's id: up to 100 letters, digits and any of .:_-")
]
"""It becomes a header."""
ENDPOINTS: Final = (
    (("chat", "completions"), 2),
    (("completions",), 1),
    (("embeddings",), 1),
    (("v1", "models"), 1),
    (("v1", "responses"), 1),
    (("v1", "rerank"), 1),
    (("api", "chat"), 2),  # Ollama's own
    (("api", "generate"), 2),
)
"""How the path of one endpoint ends, and how many pieces of that are not the API's."""


def _refuse_endpoint(url: str | None) -> str | None:
    """One endpoint is often given for the API that it is of: what is put behind it then leads nowhere."""
    parts = urlsplit(url or "")
    pieces = [piece for piece in parts.path.split("/") if piece]
    words = tuple(piece.lower() for piece in pieces)
    count = next((count for ending, count in ENDPOINTS if words[-len(ending) :] == ending), 0)
    if words[-1:] == ("invocations",) and words[-3:-2] == ("serving-endpoints",):  # of Databricks
        count = 2
    if not count:
        return url
    api, endpoint = ("/".join(["", *some]) for some in (pieces[:-count], pieces[-count:]))
    root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{api}"
    more = ", with its query behind" if parts.query else ""
    raise ValueError(
        f"ends in `{endpoint}`, the path of one endpoint, which is put there for each call: write {root}{more}"
    )


ApiUrl = Annotated[UpstreamUrl | None, AfterValidator(_refuse_endpoint)]
"""Where an API is, without the path of one of its endpoints."""


class Settings(RemoteConfig):
    """What every row has; each adds its URL and key fields under the names that it gives them.

    `tls_verify` may be the path of a CA bundle. With `allow_private_urls` requests may name images and the like at private
    addresses, which the remote fetches. `max_tokens` bounds requests that set no bound. `model_type` and
    `embedding_dimension` describe what the server lists, where its listing does not say. Of what it serves, only the
    `allowed_models` are listed and called, if any are named.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    row: ClassVar[Row]

    max_tokens: Annotated[PositiveInt | None, USER] = None
    tls_verify: bool | str = True
    allow_private_urls: bool = False
    timeout: Annotated[Patience, USER] = 60.0  # seconds without a byte
    connect_timeout: Annotated[Patience, USER] = 5.0  # seconds
    max_connections: int = MOST_CONNECTIONS
    limits: Limits = AnswerLimits.model_construct()
    model_type: Annotated[ModelType, USER] = "llm"
    embedding_dimension: Annotated[PositiveInt | None, USER] = None
    allowed_models: Annotated[tuple[str, ...] | None, USER] = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        urls, keys = self._values(self.row.urls), self._values(self.row.keys)
        if len(urls) > 1 or not (urls or self.row.url):
            raise ValueError(f"give {_either(self.row.urls)}, and only one of them")
        if len(keys) > 1:
            raise ValueError(f"give {_either(self.row.keys)}, not both")
        if self.row.quota_header and bool(vars(self)["access_token"]) != bool(vars(self)["project"]):
            raise ValueError("`access_token` and `project` go together: Google wants to know whose quota it is")
        if secrets.is_reference(self.credential()):
            secrets.parse(self.credential())
        elif self.credential() and not HEADER_KEY.fullmatch(self.credential()):
            raise ValueError(f"{_either(self.row.keys)} has a space or another character that a header cannot carry")
        return self

    def credential(self) -> str:
        """The operator's key, or the reference of the secret that has it; empty if there is none."""
        keys = self._values(self.row.keys)
        default = "" if userinfo_of(self._url()) else self.row.default_key
        return keys[0].get_secret_value() if keys else default

    def remote(self, provider_id: str) -> Remote:
        """Where its API is."""
        return Remote(
            provider_id,
            self._address(),
            timeout=self.timeout,
            connect_timeout=self.connect_timeout,
            tls_verify=self.tls_verify,
            max_connections=self.max_connections,
            reach=self.reach,
            limits=self.limits,
        )

    def own_row(self) -> Row:
        """The row, whose calls with the operator's key say whose quota they are of."""
        if not self.row.quota_header or not vars(self)["project"]:
            return self.row
        return replace(self.row, headers={**self.row.headers, self.row.quota_header: vars(self)["project"]})

    def needs_key(self) -> bool:
        """Whether a call without any key is of no use."""
        return self.row.key == "needed" or (self.row.key == "hosted" and without_query(self._address()) == self.row.url)

    def callable_models(self) -> tuple[str, ...] | None:
        """The models that may be called; None for all of them."""
        only = self._values((self.row.only,)) if self.row.only else []
        return tuple(only) if only else self.allowed_models

    def _address(self) -> str:
        url, flag = self._url(), self.row.unversioned
        return join_path(url, "") if flag and not vars(self)[flag] else api_root(url, self.row.root)

    def _url(self) -> str:
        return str([*self._values(self.row.urls), self.row.url or ""][0])

    def _values(self, names: tuple[str, ...]) -> list[Any]:
        return [vars(self)[name] for name in names if vars(self)[name]]


def _either(names: tuple[str, ...]) -> str:
    first, *rest = (f"`{name}`" for name in names if name != "access_token")
    return first + "".join(f" (or its newer name {name})" for name in rest)


@cache
def config_of(provider_type: str) -> type[Settings]:
    """The Config of a provider type that is a row of the table."""
    row = ROWS[provider_type]
    fields: dict[str, Any] = dict.fromkeys(row.urls, (Annotated[ApiUrl, USER], None))
    fields |= dict.fromkeys(row.keys, (Annotated[SecretStr | None, USER], None))
    fields |= {row.unversioned: (Annotated[bool, USER], True)} if row.unversioned else {}
    fields |= {"project": (Project | None, None)} if row.quota_header else {}
    fields |= {row.only: (Annotated[str | None, USER], None)} if row.only else {}
    config = create_model("Config", __base__=Settings, __module__=__name__, **fields)
    config.row = row
    return config
