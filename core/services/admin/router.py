"""The admin service: the configured providers and their health, the routes, and the caller's quota."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.errors import NotFound
from core.frame.api import RouteRow
from core.frame.callers import upstream_wait
from core.frame.types import Health, JsonObject

if TYPE_CHECKING:  # its queries are pydantic's, and not for every cold start
    from core.apis.admin import ProviderQuery, RoutesQuery

HEALTH_SECONDS: Final = 1.0
DEPRECATED: Final = "/v1/openai/"


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A configured provider; `config` is already redacted, `health` is None where it offers none.

    `circuits` are those of its models that failed lately, None where there are no circuits.
    """

    api: str
    provider_id: str
    provider_type: str
    config: JsonObject
    health: Callable[[], Awaitable[Health]] | None
    circuits: Callable[[], list[JsonObject]] | None = None


class AdminRouter:
    """Answers `core.apis.admin.Admin` from the resolved stack."""

    def __init__(
        self,
        version: str,
        providers: Sequence[ProviderView],
        routes: Callable[[], Sequence[RouteRow]],
        *,
        patience: float = HEALTH_SECONDS,
    ) -> None:
        """`routes` is called for each answer that has them; `patience` is how many seconds a health check may take."""
        self._patience = patience
        self._version = version
        self._providers = tuple(providers)
        self._routes = routes

    async def health(self) -> JsonObject:
        return {"status": "OK"}

    async def version(self) -> JsonObject:
        return {"version": self._version}

    async def list_providers(self) -> JsonObject:
        return {"data": await asyncio.gather(*(self._show(provider) for provider in self._providers))}

    async def get_provider(self, provider_id: str, *, query: "ProviderQuery") -> JsonObject:
        namesakes = [provider for provider in self._providers if provider.provider_id == provider_id]
        if not namesakes:
            ids = ", ".join(sorted({provider.provider_id for provider in self._providers})) or "none"
            raise NotFound(f"Provider `{provider_id}` is not configured. Known: {ids}.", param="provider_id")
        provider = next((namesake for namesake in namesakes if query.api in ("", namesake.api)), None)
        if provider is None:
            apis = ", ".join(namesake.api for namesake in namesakes)
            raise NotFound(
                f"Provider `{provider_id}` is not configured for `{query.api}`, but for: {apis}.", param="api"
            )
        others = [namesake.api for namesake in namesakes if namesake is not provider]
        return await self._show(provider) | ({"other_apis": others} if others else {})

    async def list_routes(self, *, query: "RoutesQuery") -> JsonObject:
        deprecated = query.api_filter == "deprecated"
        prefix = "/" if deprecated or query.api_filter is None else f"/{query.api_filter}/"
        types: dict[str, list[str]] = {}
        for provider in self._providers:
            if provider.provider_type not in types.setdefault(provider.api, []):
                types[provider.api].append(provider.provider_type)
        rows = [
            {"route": row.path, "method": row.method, "provider_types": types.get(row.api, [])}
            for row in self._routes()
            if row.path.startswith(prefix) and row.path.startswith(DEPRECATED) is deprecated
        ]
        return {"data": rows}

    async def openapi(self) -> JsonObject:
        from core.frame.openapi import document  # late: few ask for it, and every cold start would pay

        return document(self._version, self._routes())

    async def _show(self, provider: ProviderView) -> JsonObject:
        return {
            "api": provider.api,
            "provider_id": provider.provider_id,
            "provider_type": provider.provider_type,
            "config": provider.config,
            "health": await self._health(provider),
            **({} if provider.circuits is None else {"circuits": provider.circuits()}),
        }

    async def _health(self, provider: ProviderView) -> Health:
        if provider.health is None:
            return Health(status="Not Implemented", message="Provider does not implement health check")
        try:
            with upstream_wait():
                async with asyncio.timeout(self._patience):
                    return await provider.health()
        except TimeoutError:
            return Health(status="Error", message=f"Health check timed out after {self._patience} seconds")


UNLIMITED: Final[JsonObject] = {
    "object": "quota",
    "identity": None,
    "period": None,
    "resets_at": None,
    "resets_in": None,
    "shadow": False,
    "requests": None,
    "tokens": None,
}


class QuotaRouter:
    """The `Quotas` of one caller."""

    def __init__(self, left: Callable[[], Awaitable[JsonObject]] | None) -> None:
        """`left` reads the caller's counters; it is None where the run config sets no quota."""
        self._left = left

    async def left(self) -> JsonObject:
        return UNLIMITED if self._left is None else await self._left()
