"""The admin API: health, version, the configured providers and the routes that are served."""

from typing import Annotated, Literal, Protocol

from pydantic import BeforeValidator

from core.frame.types import JsonObject, Query

type RouteFilter = Literal["v1", "v1alpha", "v1beta", "deprecated"]


class RoutesQuery(Query):
    """`api_filter` is the first part of a path, or `deprecated`; without it all routes are listed but the deprecated ones."""

    api_filter: Annotated[RouteFilter | None, BeforeValidator(lambda value: value or None)] = None


class ProviderQuery(Query):
    """`api` chooses, where several have a provider of the same id."""

    api: str = ""


class Admin(Protocol):
    """`health`, `ready` and `version` touch no provider and need no token."""

    async def health(self) -> JsonObject:
        """`{"status": "OK"}` as long as the process answers."""
        ...

    async def ready(self) -> JsonObject:
        """`{"status": "OK", "parts": {NAME: {"status": "OK"}}}` of its stores and its configuration; raises NotReady."""
        ...

    async def version(self) -> JsonObject:
        """`{"version"}` of llambda."""
        ...

    async def list_providers(self) -> JsonObject:
        """`{"data": [{api, provider_id, provider_type, config, health}]}`; config is redacted."""
        ...

    async def get_provider(self, provider_id: str, *, query: ProviderQuery) -> JsonObject:
        """One of the above, that of `query.api` or else the first of the list; raises NotFound.

        Where other APIs have a provider of this id too, `other_apis` names them.
        """
        ...

    async def list_routes(self, *, query: RoutesQuery) -> JsonObject:
        """`{"data": [{route, method, provider_types}]}` of what this deployment serves.

        Deprecated is what 0.2 has under `/v1/openai/v1`: the same is there under `/v1`.
        """
        ...

    async def openapi(self) -> JsonObject:
        """This deployment as an OpenAPI 3.1 document."""
        ...


class Quotas(Protocol):
    """The caller's own quota; looking at it uses none of it."""

    async def left(self) -> JsonObject:
        """`{object: "quota", identity, period, resets_at, resets_in, shadow, requests, tokens}`.

        `resets_at` is in Unix seconds, `resets_in` in seconds. `requests` and `tokens` are `{limit, used, remaining}`,
        or null where there is no limit.
        """
        ...
