"""Which authorization server a server of the run config trusts, as that server says it, and where tokens are had there.

Sources: RFC 9728 (protected resources), RFC 8414 and OpenID Connect Discovery (authorization servers), RFC 9110, 11.6.1 (challenges),
https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from core.errors import ProviderUnavailable, UpstreamFailed
from core.frame.types import JsonObject
from core.platform.bounded import AnswerTooLarge, read_up_to
from core.platform.json_reader import read_object
from core.platform.json_values import is_list
from core.providers.http.guarded import GuardedRequest, RedirectRefused
from core.providers.mcp.endpoints import is_below, operators_fault, parse

if TYPE_CHECKING:
    from core.providers.http.guarded import GuardedClient

MOST_DOCUMENT: Final = 256 * 1024  # bytes
PARAMETER: Final = re.compile(r'[\s,]*+([A-Za-z_-]++)(?:=(?:"((?:[^"\\]|\\.)*+)"|([^\s,"]++)))?')
ESCAPED: Final = re.compile(r"\\(.)")
WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
PROTECTED: Final = "/.well-known/oauth-protected-resource"
OAUTH: Final = "/.well-known/oauth-authorization-server"
OPENID: Final = "/.well-known/openid-configuration"
MOST_CHALLENGE: Final = 8192  # characters
OK: Final = 200


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """`methods` are how clients may say who they are, `resource` what the server calls itself, `scopes` what it names."""

    issuer: str
    token_url: str
    methods: tuple[str, ...] = ()
    resource: str = ""
    scopes: tuple[str, ...] = ()


class Documents:
    """JSON of authorization servers, over the guarded client: they are where the operator's own places may be."""

    def __init__(self, client: "GuardedClient", name: str) -> None:
        self._client = client
        self._name = name

    async def get(self, url: str) -> JsonObject | None:
        """None where there is none."""
        status, body = await self._ask(GuardedRequest("GET", parse(url), {"accept": "application/json"}))
        return body if status == OK else None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], endpoint: str) -> tuple[int, JsonObject]:
        """Nothing secret goes over http for a server that is reached by https."""
        if operators_fault(url) or (url.startswith("http:") and not endpoint.startswith("http:")):
            raise UpstreamFailed(f"The token endpoint of {self._name} is at a place where no secret may be sent.")
        return await self._ask(GuardedRequest("POST", parse(url), headers, body))

    async def _ask(self, request: GuardedRequest) -> tuple[int, JsonObject]:
        from aiohttp import ClientError

        try:
            async with self._client.send(request, "operator") as response:
                content = await read_up_to(response, MOST_DOCUMENT)
        except RedirectRefused as refused:
            raise UpstreamFailed(f"The authorization server of {self._name} redirects to another host.") from refused
        except AnswerTooLarge as large:
            raise UpstreamFailed(f"The authorization server of {self._name} sent too large an answer.") from large
        except (ClientError, OSError, ValueError) as failure:
            if isinstance(failure, TimeoutError):
                raise
            raise ProviderUnavailable(f"The authorization server of {self._name} could not be reached.") from failure
        try:
            return response.status, read_object(content)
        except ValueError:
            return response.status, {}


class Discovery:
    """`issuer` is the only authorization server that is asked, where it is set: then the server's own word counts for nothing."""

    def __init__(self, name: str, documents: Documents, issuer: str) -> None:
        self._name = name
        self._documents = documents
        self._issuer = issuer

    async def find(self, endpoint: str, challenge: Mapping[str, str]) -> AuthorizationServer:
        """Raises UpstreamFailed where nobody says where tokens are had, or documents contradict each other."""
        if self._issuer:
            return await self._read_server(self._issuer, "", ())
        document = await self._first(_protected_urls(endpoint, challenge.get("resource_metadata", "")))
        if document is None:  # as servers of 2025-03-26 have it: they issue tokens themselves
            return await self._read_server(_origin(endpoint), "", ())
        resource, issuers = document.get("resource"), document.get("authorization_servers")
        if not isinstance(resource, str) or not (
            is_below(endpoint, resource) or resource.rstrip("/") == _origin(endpoint)
        ):
            raise UpstreamFailed(f"The MCP server of {self._name} says that its tokens are for another server.")
        if not is_list(issuers) or not issuers or not isinstance(issuers[0], str):
            raise UpstreamFailed(f"The MCP server of {self._name} names no authorization server.")
        return await self._read_server(issuers[0], resource, _texts(document.get("scopes_supported")))

    async def _read_server(self, issuer: str, resource: str, scopes: tuple[str, ...]) -> AuthorizationServer:
        document = await self._first(_server_urls(issuer))
        if document is None:
            raise UpstreamFailed(f"The authorization server of {self._name} has no metadata: set `token_url`.")
        url = document.get("token_endpoint")
        if document.get("issuer") != issuer:
            raise UpstreamFailed(
                f"The authorization server of {self._name} calls itself by another name than it is known by."
            )
        if not isinstance(url, str):
            raise UpstreamFailed(f"The authorization server of {self._name} has no token endpoint.")
        return AuthorizationServer(
            issuer, url, _texts(document.get("token_endpoint_auth_methods_supported")), resource, scopes
        )

    async def _first(self, urls: Sequence[str]) -> JsonObject | None:
        for url in urls:
            if operators_fault(url):
                continue
            if document := await self._documents.get(url):
                return document
        return None


def read_challenge(challenge: str) -> dict[str, str]:
    """The parameters of a WWW-Authenticate, by their names in lower case; the first of a name counts."""
    parameters: dict[str, str] = {}
    end, text = 0, challenge[:MOST_CHALLENGE]
    while (match := PARAMETER.match(text, end)) is not None:
        end = match.end()
        quoted: str | None = match[2]
        value: str | None = match[3] if quoted is None else ESCAPED.sub(r"\1", quoted)
        if value is not None:  # else it is the scheme
            parameters.setdefault(match[1].lower(), value)
    return parameters


def word_of(value: object) -> str:
    """A code as RFC 6749 and 6750 have them, or nothing: it is shown."""
    return value if isinstance(value, str) and WORD.fullmatch(value) else ""


def _protected_urls(endpoint: str, told: str) -> list[str]:
    """Where the server says; else where it would be by its path, and by its host alone."""
    path = urlsplit(endpoint).path.rstrip("/")
    own = [f"{_origin(endpoint)}{PROTECTED}{path}", f"{_origin(endpoint)}{PROTECTED}"]
    return [told] if told else list(dict.fromkeys(own))


def _server_urls(issuer: str) -> list[str]:
    origin, path = _origin(issuer), urlsplit(issuer).path.rstrip("/")
    urls = [f"{origin}{OAUTH}{path}", f"{origin}{OPENID}{path}", f"{origin}{path}{OPENID}"]
    return list(dict.fromkeys(urls))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if is_list(value) else ()
