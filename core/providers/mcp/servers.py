"""A tool group's server: where it may be, what it is given, and the time that a call of it has."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

from core.apis.tools import ToolAccess, ToolGroup
from core.frame.callers import CURRENT_CALL, upstream_wait
from core.platform.ttl_cache import TtlCache
from core.providers.http.guarded import Connections, GuardedClient
from core.providers.mcp.client import McpClient
from core.providers.mcp.config import Config, ServerAccess
from core.providers.mcp.credentials import callers_credentials, callers_identity
from core.providers.mcp.endpoints import check_endpoint, is_below, parse
from core.providers.mcp.failures import translated
from core.providers.mcp.operators import OperatorsCredentials, StaticSecrets
from core.providers.mcp.transport import Key, Server, ServerCredentials
from core.providers.mcp.wire import Denied

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver
    from yarl import URL

    from core.platform.addresses import Reach

MOST_NAME: Final = 120  # characters of a name in messages
MOST_URLS, URL_SECONDS = 1000, 3600.0  # that are remembered

type HeadersByUri = Mapping[str, Mapping[str, str]]
type Work[Result] = Callable[[McpClient, Server], Awaitable[Result]]


class Servers:
    def __init__(self, provider_id: str, config: Config, *, resolver: "AbstractResolver | None" = None) -> None:
        """`resolver` replaces the system's; nothing is opened yet."""
        self._provider_id = provider_id
        self._config = config
        self._http = GuardedClient(
            Connections(f"provider {provider_id}", config.connect_timeout, config.tls_verify, config.max_connections),
            resolver=resolver,
        )
        self._client = McpClient(self._http, config.limits)
        self._operators: dict[int, OperatorsCredentials] = {}
        self._urls: TtlCache[tuple[str, bool], URL] = TtlCache(URL_SECONDS, most=MOST_URLS)

    def warm(self) -> None:
        import_module("aiohttp")

    def check(self, group: ToolGroup) -> None:
        """Raises InvalidRequest where the group's endpoint may not be."""
        config = self._config
        check_endpoint(group, self._reach(group), config.allowed_hosts, config.allowed_ports)

    def _url_of(self, group: ToolGroup) -> "URL":
        """As it goes out; checked once, for what it is refused for is in it and in the config. Raises InvalidRequest."""
        place = group.endpoint, group.trusted
        url = self._urls.peek(place)
        if url is None:
            self.check(group)
            url = parse(group.endpoint)
            self._urls.put(place, url)
        return url

    def credentials_of(
        self, group: ToolGroup, access: ToolAccess, headers: HeadersByUri
    ) -> tuple[ServerCredentials, str]:
        """What a call bears, and the digest of whose it is. Raises InvalidRequest."""
        own = callers_credentials(group, access, headers)
        operators = None if own.own or not group.trusted else self._operators_for(group.endpoint)
        if operators is None:
            return own, own.digest
        return operators.bind(group.endpoint), operators.digest()

    async def call[Result](
        self, group: ToolGroup, access: ToolAccess, headers: HeadersByUri, work: Work[Result]
    ) -> Result:
        """What `work` returns; where credentials were refused and there are others by now, it is done once more: it was not done before."""
        url = self._url_of(group)
        credentials, digest = self.credentials_of(group, access, headers)
        server = Server(
            url,
            f"tool group `{group.identifier[:MOST_NAME]}`" if group.identifier else "the request",
            self._reach(group),
            Key(group.endpoint, group.trusted, digest),
            callers_identity(),
            credentials,
        )
        with upstream_wait(), translated(server, self._provider_id):
            async with asyncio.timeout_at(self._until()):
                try:
                    return await work(self._client, server)
                except Denied as denied:
                    if not await credentials.renew(denied.challenge):
                        raise
                return await work(self._client, server)

    async def close(self) -> None:
        await self._client.close()
        for operators in self._operators.values():
            await operators.close()
        await self._http.close()

    def _reach(self, group: ToolGroup) -> "Reach":
        return self._config.reach if group.trusted else self._config.media_reach

    def _until(self) -> float:
        """In the loop's time: the call's own end, or that of the config."""
        own = asyncio.get_running_loop().time() + min(self._config.timeout, self._config.limits.max_seconds)
        call = CURRENT_CALL.get()
        return own if call is None or call.until is None else min(own, call.until)

    def _operators_for(self, endpoint: str) -> OperatorsCredentials | None:
        """Of the entry that says most of the endpoint's path."""
        fitting = [
            (len(entry.url), place) for place, entry in enumerate(self._config.servers) if is_below(endpoint, entry.url)
        ]
        if not fitting:
            return None
        _, place = max(fitting)
        if place not in self._operators:
            self._operators[place] = self._make_operators(self._config.servers[place])
        return self._operators[place]

    def _make_operators(self, entry: ServerAccess) -> OperatorsCredentials:
        if entry.sigv4 is not None:
            from core.providers.mcp.signing import Signatures

            return Signatures(entry, entry.sigv4)
        tokens = entry.client_credentials or entry.token_exchange
        if tokens is None:
            return StaticSecrets(entry)
        from core.providers.mcp.discovery import Documents
        from core.providers.mcp.oauth import TokenSource
        from core.providers.mcp.operators import IssuedTokens

        name = f"the MCP server at {entry.url}"
        source = TokenSource(name, tokens, Documents(self._http, name))
        return IssuedTokens(entry, source, of_callers=entry.token_exchange is not None)
