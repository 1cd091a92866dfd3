"""Tokens for a server from its authorization server: by client credentials, or in exchange for a caller's.

Sources: RFC 6749 (4.4), RFC 8693 (token exchange), RFC 8707 (resource), RFC 7523 (private_key_jwt).
"""

from base64 import b64encode
from dataclasses import dataclass, field
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus, urlencode

from core.errors import UpstreamFailed
from core.frame.types import JsonObject
from core.platform.secrets import reveal
from core.providers.mcp.config import TokenEndpoint, TokenExchange
from core.providers.mcp.discovery import AuthorizationServer, Discovery, Documents, read_challenge, word_of
from core.providers.mcp.wire import number_of

if TYPE_CHECKING:
    from pydantic import SecretStr

EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEFAULT_SECONDS: Final = 300.0  # of a token whose end nobody says
LONGEST_SECONDS: Final = 86_400.0
MOST_TOKEN: Final = 16_384  # characters
FORM: Final = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
OK: Final = 200


@dataclass(frozen=True, slots=True)
class Token:
    """`until` is in time.monotonic."""

    text: str = field(repr=False)
    until: float


class TokenSource:
    """Of one entry of the config; what is found out of its authorization server is remembered."""

    def __init__(self, name: str, config: TokenEndpoint, documents: Documents) -> None:
        self._name = name
        self._config = config
        self._documents = documents
        self._discovery = Discovery(name, documents, config.issuer or "")
        self._found: AuthorizationServer | None = None

    @property
    def is_known(self) -> bool:
        """Whether a token can be had before the server has asked for one."""
        return bool(self._config.token_url or self._config.issuer or self._found)

    async def fetch(self, endpoint: str, challenge: str, subject: str = "") -> Token:
        """A new token for `endpoint`; raises UpstreamFailed, ProviderUnavailable, SecretUnavailable."""
        parameters = read_challenge(challenge)
        if self._config.token_url:
            place = AuthorizationServer(self._config.issuer or self._config.token_url, self._config.token_url)
        else:
            place = self._found = await self._discovery.find(endpoint, parameters)
        scope = self._config.scope or parameters.get("scope") or " ".join(place.scopes)
        resource = self._config.resource or place.resource or endpoint
        form = self._form(scope, resource, subject)
        headers = {**FORM}
        form |= await self._authenticate(place, headers)
        answer = await self._documents.post(place.token_url, urlencode(form).encode(), headers, endpoint)
        return self._read(answer)

    def _form(self, scope: str, resource: str, subject: str) -> dict[str, str]:
        config = self._config
        more = {"scope": scope, "resource": resource, "audience": config.audience or ""}
        if isinstance(config, TokenExchange):
            form = {
                "grant_type": EXCHANGE,
                "subject_token": subject,
                "subject_token_type": config.subject_token_type,
                "requested_token_type": config.requested_token_type,
            }
        else:
            form = {"grant_type": "client_credentials"}
        return form | {name: value for name, value in more.items() if value}

    async def _authenticate(self, place: AuthorizationServer, headers: dict[str, str]) -> dict[str, str]:
        """What says who asks: fields of the form, or a header that is added to `headers`."""
        config = self._config
        match config.auth_method or _method(config, place.methods):
            case "private_key_jwt":
                from core.providers.mcp.assertions import print_assertion

                assertion = print_assertion(config, await _reveal(config.private_key), place.issuer)
                return {
                    "client_id": config.client_id,
                    "client_assertion_type": ASSERTION,
                    "client_assertion": assertion,
                }
            case "client_secret_post":
                return {"client_id": config.client_id, "client_secret": await _reveal(config.client_secret)}
            case "none":
                return {"client_id": config.client_id}
            case _:
                secret = await _reveal(config.client_secret)
                userinfo = f"{quote_plus(config.client_id)}:{quote_plus(secret)}"  # RFC 6749, 2.3.1
                headers["authorization"] = f"Basic {b64encode(userinfo.encode()).decode()}"
                return {}

    def _read(self, answer: tuple[int, JsonObject]) -> Token:
        status, body = answer
        text, seconds = body.get("access_token"), number_of(body.get("expires_in"))
        if status != OK or "error" in body:
            code = word_of(body.get("error"))
            subject = "the caller's token" if isinstance(self._config, TokenExchange) else "the stack's credentials"
            raise UpstreamFailed(
                f"The authorization server of {self._name} gave no token for {subject} (HTTP {status}{f', {code}' if code else ''})."
            )
        kind = body.get("token_type", "Bearer")
        if not isinstance(text, str) or not 0 < len(text) <= MOST_TOKEN or not (text.isascii() and text.isprintable()):
            raise UpstreamFailed(f"The authorization server of {self._name} answered without a token.")
        if not isinstance(kind, str) or kind.lower() not in {"bearer", "n_a"}:
            raise UpstreamFailed(f"The authorization server of {self._name} gave a token that is no bearer token.")
        lasting = DEFAULT_SECONDS if seconds is None or seconds <= 0 else seconds
        return Token(text, time.monotonic() + min(lasting, LONGEST_SECONDS))


def _method(config: TokenEndpoint, offered: tuple[str, ...]) -> str:
    """How the client says who it is, where the config leaves it open: as the server takes it."""
    if config.private_key is not None:
        return "private_key_jwt"
    return "client_secret_post" if offered and "client_secret_basic" not in offered else "client_secret_basic"


async def _reveal(secret: "SecretStr | None") -> str:
    return "" if secret is None else await reveal(secret.get_secret_value())
