"""How a provider of MCP servers is configured. All of it may be left out: then a server gets what its callers bring."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from core.config.answer_limits import AnswerLimits, Limits
from core.config.fetch import HostPattern, Port
from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.frame.forms import of_form
from core.platform.secrets import is_reference, parse
from core.providers.http.connections import MOST_CONNECTIONS
from core.providers.http.remote import HEADER_KEY, Patience, RemoteConfig
from core.providers.mcp.headers import RESERVED

OR_NONE: Final[Any] = BeforeValidator(lambda value: None if value == "" else value)  # a variable that is not set
NO_ROLE: Final = "must be the ARN of a role, as arn:aws:iam::123456789012:role/NAME"
NO_NAME: Final = "must be the name of a header, as X-Api-Key"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a kind of token
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"


def _check_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if is_reference(text):
        parse(text)
    elif not HEADER_KEY.fullmatch(text):
        raise ValueError("has a space or another character that a header cannot carry, or is empty")
    return secret


def _check_names(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for name in headers:
        if RESERVED.fullmatch(name) or name.lower() == "authorization":
            raise ValueError(f"`{name}` is set by the client itself, or by `bearer_token`")
    return headers


type HeaderSecret = Annotated[SecretStr, AfterValidator(_check_secret)]
type HeaderName = Annotated[str, of_form(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$", NO_NAME)]
type Scope = Annotated[str | None, OR_NONE]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class TokenEndpoint(_Section):
    """Where tokens are had: at `token_url`, or where the metadata of `issuer` says; without either the server says which authorization server it trusts.

    `scope` is what is asked for, instead of what the server names; `audience` goes along where it is set. `resource` is the server's URL unless it is set.
    """

    client_id: Annotated[str, Field(min_length=1)]
    client_secret: Annotated[SecretStr | None, OR_NONE] = None
    token_url: Annotated[UpstreamUrl | None, OR_NONE] = None
    issuer: Annotated[UpstreamUrl | None, OR_NONE] = None
    scope: Scope = None
    audience: Scope = None
    resource: Scope = None
    auth_method: Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"] | None = None
    private_key: Annotated[SecretStr | None, OR_NONE] = None
    private_key_id: Scope = None
    signing_algorithm: Literal["RS256", "PS256", "ES256", "ES384", "EdDSA"] = "ES256"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for secret in (self.client_secret, self.private_key):
            if secret is not None and is_reference(secret.get_secret_value()):
                parse(secret.get_secret_value())
        if self.auth_method == "private_key_jwt" and self.private_key is None:
            raise ValueError("`auth_method: private_key_jwt` needs `private_key`, in PEM")
        if self.client_secret is None and self.private_key is None and self.auth_method != "none":
            raise ValueError("give `client_secret`, or `private_key`, or `auth_method: none`")
        return self


class ClientCredentials(TokenEndpoint):
    """With `discover` the MCP server says where the secret goes: it must be trusted with it."""

    discover: bool = False

    @model_validator(mode="after")
    def _has_place(self) -> Self:
        if self.token_url is None and self.issuer is None and not self.discover:
            raise ValueError(
                "give `token_url` or `issuer`, or `discover: true` where the server may say to whom the secret goes"
            )
        return self


class TokenExchange(TokenEndpoint):
    """Of the caller's own token, which must be a JWT that `server.auth` has verified, for one of the server's (RFC 8693).

    It goes where the config says, and to no authorization server that the MCP server names: with it anybody is the caller here.
    """

    subject_token_type: str = ACCESS_TOKEN
    requested_token_type: str = ACCESS_TOKEN

    @model_validator(mode="after")
    def _has_place(self) -> Self:
        if self.token_url is None and self.issuer is None:
            raise ValueError("give `token_url` or `issuer`: where callers' own tokens go is not for the server to say")
        return self


class SigV4(_Section):
    """Requests are signed as AWS wants it; what says who calls is as of other providers of AWS. The region is that of the environment unless it is here."""

    service: Annotated[str, Field(min_length=1)] = "bedrock-agentcore"
    region_name: Annotated[str | None, OR_NONE] = None
    profile_name: Annotated[str | None, OR_NONE] = None
    role_arn: Annotated[Annotated[str, of_form(r"^arn:[\w-]+:iam::\d{12}:role/\S+$", NO_ROLE)] | None, OR_NONE] = None
    aws_access_key_id: Annotated[SecretStr | None, OR_NONE] = None
    aws_secret_access_key: Annotated[SecretStr | None, OR_NONE] = None
    aws_session_token: Annotated[SecretStr | None, OR_NONE] = None

    @model_validator(mode="after")
    def _whole_keys(self) -> Self:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("give `aws_access_key_id` and `aws_secret_access_key` together, or neither")
        return self


class ServerAccess(_Section):
    """What the operator gives to a server: for endpoints of the run config's tool groups that are at `url` or below it, and for no other."""

    url: UpstreamUrl
    bearer_token: Annotated[HeaderSecret | None, OR_NONE] = None
    # Defaults as they are: of a factory pydantic looks up the signature, at a cold start.
    secret_headers: Annotated[dict[HeaderName, HeaderSecret], AfterValidator(_check_names)] = {}
    client_credentials: ClientCredentials | None = None
    token_exchange: TokenExchange | None = None
    sigv4: SigV4 | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        ways = (self.bearer_token, self.client_credentials, self.token_exchange, self.sigv4)
        if sum(way is not None for way in ways) > 1:
            raise ValueError(
                "give one of `bearer_token`, `client_credentials`, `token_exchange` and `sigv4`: each is an Authorization"
            )
        return self


class Config(RemoteConfig):
    """`servers` are the operator's credentials. `allowed_hosts` and `allowed_ports` bound which endpoints callers may name.

    `timeout` is for a whole call, in seconds, with all that it takes: finding out what the server speaks, tokens, the answer. `tls_verify` (which may be
    the path of a CA bundle) is for the endpoints of the run config.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    servers: tuple[ServerAccess, ...] = ()
    allowed_hosts: tuple[HostPattern, ...] | None = None
    allowed_ports: tuple[Port, ...] | None = None
    tls_verify: bool | str = True
    timeout: Annotated[Patience, USER] = 60.0
    connect_timeout: Annotated[Patience, USER] = 5.0
    max_connections: int = MOST_CONNECTIONS
    limits: Limits = AnswerLimits.model_construct()
