"""The admin service: the configured providers and their health, the routes, and the caller's quota."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
import logging
from typing import TYPE_CHECKING, Final, cast

from core.errors import ApiError, NotFound
from core.frame.api import RouteRow
from core.frame.callers import upstream_wait
from core.frame.types import Health, JsonObject
from core.routing.isolation import ProviderMistake, Question, Secrets, ask_apart, clean_reason, failure_of

if TYPE_CHECKING:  # its queries are pydantic's, and not for every cold start
    from core.apis.admin import ProviderQuery, RoutesQuery
    from core.services.admin.readiness import Readiness

HEALTH_SECONDS: Final = 1.0
STATUSES: Final = ("OK", "Error", "Not Implemented")
DEPRECATED: Final = "/v1/openai/"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A configured provider; `config` is already redacted, `health` is None where it offers none.

    `circuits` are those of its models that failed lately, None where there are no circuits. `listing` raises
    ProviderUnavailable where it cannot be asked what it has, None where `health` says so. `secrets` are of its config.
    """

    api: str
    provider_id: str
    provider_type: str
    config: JsonObject
    health: Question | None
    circuits: Callable[[], list[JsonObject]] | None = None
    listing: Callable[[], Awaitable[object]] | None = None
    secrets: Secrets = tuple


class AdminRouter:
    """Answers `core.apis.admin.Admin` from the resolved stack."""

    def __init__(
        self,
        version: str,
        providers: Sequence[ProviderView],
        routes: Callable[[], Sequence[RouteRow]],
        *,
        patience: float = HEALTH_SECONDS,
        readiness: "Callable[[], Readiness] | None" = None,
        has_tokens: bool = False,
    ) -> None:
        """`routes` is called for each answer that has them; `patience` is how many seconds a health check may take.

        Without `readiness` nothing is asked whether it is ready. `has_tokens`: callers need one.
        """
        self._has_tokens = has_tokens
        self._readiness = readiness
        self._patience = patience
        self._version = version
        self._providers = tuple(providers)
        self._routes = routes

    async def health(self) -> JsonObject:
        return {"status": "OK"}

    async def ready(self) -> JsonObject:
        return {"status": "OK", "parts": {}} if self._readiness is None else await self._readiness().show()

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

        return document(self._version, self._routes(), has_tokens=self._has_tokens)

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
        with upstream_wait():
            health, fault = await asyncio.gather(self._own_health(provider), self._listing_fault(provider))
        return Health(status="Error", message=fault) if fault and health.get("status") != "Error" else health

    async def _own_health(self, provider: ProviderView) -> Health:
        if provider.health is None:
            return Health(status="Not Implemented", message="Provider does not implement health check")
        try:
            answer = await ask_apart(provider.health, self._patience, provider.secrets)
            return read_health(answer, provider.secrets)
        except TimeoutError:
            return Health(status="Error", message=f"Health check timed out after {self._patience} seconds")
        except (ApiError, ProviderMistake) as failure:
            why = failure_of(failure, self._patience)
            facts = {"provider": provider.provider_id, "reason": why}
            log.warning("provider %s could not say how it is: %s", provider.provider_id, why, extra=facts)
            return Health(status="Error", message=why)

    async def _listing_fault(self, provider: ProviderView) -> str:
        """Why it does not list what it has; the log says so already."""
        if provider.listing is None:
            return ""
        try:
            async with asyncio.timeout(self._patience):
                await provider.listing()
        except (ApiError, TimeoutError) as failure:
            why = failure.fault if isinstance(failure, ApiError) else f"It took longer than {self._patience:g} seconds."
            return f"It does not list what it has. {why}".rstrip()
        return ""


def read_health(answer: object, secrets: Secrets = tuple) -> Health:
    """Raises ProviderMistake for what is none."""
    name = type(answer).__name__
    fields = cast("dict[str, object]", answer) if isinstance(answer, dict) else {}
    status, message = fields.get("status"), fields.get("message")
    if not isinstance(status, str) or status not in STATUSES:
        kind = f"status {clean_reason(status)!r}" if isinstance(status, str) else name
        raise ProviderMistake(
            f"gave {kind} as its health; it should be an object whose status is {' or '.join(STATUSES)}"
        )
    text = {"message": clean_reason(message, secrets(), guess=False)} if isinstance(message, str) else {}
    return cast("Health", {"status": status, **text})


UNLIMITED: Final[JsonObject] = {
    "object": "quota",
    "identity": None,
    "period": None,
    "resets_at": None,
    "resets_in": None,
    "shadow": False,
    "requests": None,
    "tokens": None,
    "limits": [],
}


class QuotaRouter:
    """The `Quotas` of one caller."""

    def __init__(self, left: Callable[[], Awaitable[JsonObject]] | None) -> None:
        """`left` reads the caller's counters; it is None where the run config sets no quota."""
        self._left = left

    async def left(self) -> JsonObject:
        return UNLIMITED if self._left is None else await self._left()
