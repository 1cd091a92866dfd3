"""The operator's credentials for servers of the run config: a secret, a token of an authorization server, a signature of AWS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
import time
from typing import TYPE_CHECKING, Final, Protocol

from pydantic import SecretStr

from core.errors import InvalidRequest
from core.frame.callers import CURRENT_CALL
from core.platform.secrets import renew, reveal
from core.providers.http.remote import HEADER_KEY
from core.providers.mcp.config import ServerAccess
from core.providers.mcp.credentials import callers_identity, digest_of

if TYPE_CHECKING:
    from core.providers.mcp.oauth import Token, TokenSource
    from core.providers.mcp.transport import ServerCredentials

LEAST_SECRET: Final = 8  # characters of what is looked for in answers, to be masked
EARLY_SECONDS: Final = 30.0  # before a token's end, when another one is fetched
MOST_TOKENS: Final = 1000
CALLER_WANTED: Final = "The MCP server of this tool group takes the caller's own identity: call with a JWT of the stack's issuer, not with an API key."


class OperatorsCredentials(Protocol):
    """For one entry of `servers`, with a state of its own that calls share."""

    def digest(self) -> str:
        """Of the caller, where the credentials are made of who that is; else empty. Raises InvalidRequest where there is no such caller."""
        ...

    def bind(self, endpoint: str) -> "ServerCredentials": ...

    async def close(self) -> None: ...


async def reveal_header(secret: SecretStr) -> str:
    """Raises SecretUnavailable, also for what no header can carry."""
    from core.platform.secrets import is_reference, parse

    text = await reveal(secret.get_secret_value())
    if not HEADER_KEY.fullmatch(text) and is_reference(secret.get_secret_value()):
        place = parse(secret.get_secret_value()).place
        raise place.unavailable("has a space or another character that a header cannot carry", final=True)
    return text


def maskable(*secrets: str) -> tuple[str, ...]:
    return tuple(sorted((secret for secret in secrets if len(secret) >= LEAST_SECRET), key=len, reverse=True))


@dataclass(slots=True)
class StaticSecrets:
    """A bearer token and other headers, each of which may be a secret by reference; renewed after a 401 as ADR 45 has it."""

    access: ServerAccess = field(repr=False)
    values: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    source: str = ""

    def digest(self) -> str:
        return ""

    def bind(self, endpoint: str) -> "StaticSecrets":
        del endpoint
        return StaticSecrets(self.access)

    @property
    def secrets(self) -> tuple[str, ...]:
        return maskable(*self.values.values())

    @property
    def confidential(self) -> tuple[str, ...]:
        return self.secrets

    async def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        del method, url, body
        if not self.values:
            self.values = {name: await reveal_header(secret) for name, secret in self._secrets()}
        return {name: f"Bearer {value}" if name == "authorization" else value for name, value in self.values.items()}

    async def renew(self, challenge: str) -> bool:
        del challenge
        texts = {name: secret.get_secret_value() for name, secret in self._secrets()}
        renewed = [await renew(text, self.values.get(name, "")) for name, text in texts.items()]
        self.values = {}
        return any(value is not None for value in renewed)

    async def close(self) -> None:
        return None

    def _secrets(self) -> list[tuple[str, SecretStr]]:
        token = self.access.bearer_token
        own = [] if token is None else [("authorization", token)]
        return [*own, *((name.lower(), secret) for name, secret in self.access.secret_headers.items())]


class _Tokens:
    """Tokens by whom they are for, until shortly before they end."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def get(self, key: str) -> "Token | None":
        token = self._tokens.get(key)
        return token if token is not None and token.until - EARLY_SECONDS > time.monotonic() else None

    def put(self, key: str, token: "Token") -> None:
        self._tokens.pop(key, None)
        self._tokens[key] = token
        while len(self._tokens) > MOST_TOKENS:
            del self._tokens[next(iter(self._tokens))]

    def forget(self, key: str, text: str) -> None:
        if key in self._tokens and self._tokens[key].text == text:
            del self._tokens[key]


class IssuedTokens:
    """Tokens of an authorization server: the stack's own, or one for each caller, made of the caller's."""

    def __init__(self, access: ServerAccess, tokens: "TokenSource", *, of_callers: bool) -> None:
        self._access = access
        self._source = tokens
        self._of_callers = of_callers
        self._tokens = _Tokens()

    def digest(self) -> str:
        return digest_of("caller", callers_identity()) if self._of_callers else ""

    def bind(self, endpoint: str) -> "_IssuedToken":
        call = CURRENT_CALL.get()
        subject = call.token if self._of_callers and call is not None else ""
        if self._of_callers and not subject:
            raise InvalidRequest(CALLER_WANTED)
        # The caller's own token is in the key: what was made of one that has been replaced is not for the next.
        key = digest_of(endpoint, callers_identity() if self._of_callers else "", subject)
        return _IssuedToken(StaticSecrets(self._access), self._source, self._tokens, endpoint, key, subject)

    async def close(self) -> None:
        return None


@dataclass(slots=True)
class _IssuedToken:
    """`challenge` is what the server said where it refused; it may name the authorization server, and the scopes."""

    more: StaticSecrets = field(repr=False)
    tokens_of: "TokenSource" = field(repr=False)
    cache: _Tokens = field(repr=False)
    endpoint: str
    key: str
    subject: str = field(repr=False)
    token: "Token | None" = field(default=None, repr=False)
    challenge: str = field(default="", repr=False)
    source: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        return maskable(*self.more.secrets, *([self.token.text] if self.token is not None else []), self.subject)

    @property
    def confidential(self) -> tuple[str, ...]:
        return self.secrets

    async def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """Without a token until the server has asked for one, where nothing says whose tokens it takes."""
        more = await self.more.headers(method, url, body)
        self.token = self.token or self.cache.get(self.key)
        if self.token is None and (self.challenge or self.tokens_of.is_known):
            self.token = await self.tokens_of.fetch(self.endpoint, self.challenge, self.subject)
            self.cache.put(self.key, self.token)
        return more if self.token is None else {**more, "authorization": f"Bearer {self.token.text}"}

    async def renew(self, challenge: str) -> bool:
        """Once: a new token is not asked for another time."""
        if self.challenge:
            return False
        if self.token is not None:
            self.cache.forget(self.key, self.token.text)
        self.token, self.challenge = None, challenge or "Bearer"
        return True
