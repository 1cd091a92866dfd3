"""The admin API: health, version, the configured providers and the routes that are served."""

from typing import Final, Protocol

from core.frame.operations import Operation
from core.frame.types import JsonObject


def _admin_paths(path: str) -> tuple[str, str]:
    return (f"/v1{path}", f"/v1alpha/admin{path}")


class Admin(Protocol):
    """`health` and `version` touch no provider and need no token."""

    async def health(self) -> JsonObject:
        """`{"status": "OK"}` as long as the process answers."""
        ...

    async def version(self) -> JsonObject:
        """`{"version"}` of llambda."""
        ...

    async def list_providers(self) -> JsonObject:
        """`{"data": [{api, provider_id, provider_type, config, health}]}`; config is redacted."""
        ...

    async def get_provider(self, provider_id: str) -> JsonObject:
        """One of the above; raises NotFound."""
        ...

    async def list_routes(self, api_filter: str | None = None) -> JsonObject:
        """`{"data": [{route, method, provider_types}]}` of what this deployment serves; all, or those of `v1alpha`."""
        ...

    async def openapi(self) -> JsonObject:
        """This deployment as an OpenAPI 3.1 document."""
        ...


class Quotas(Protocol):
    """What is left of the caller's own quota; asking takes nothing of it."""

    async def left(self) -> JsonObject:
        """`{object: "quota", identity, period, resets_at, resets_in, shadow, requests, tokens}`, in Unix seconds and seconds.

        `requests` and `tokens` are `{limit, used, remaining}`, or null where there is no limit.
        """
        ...


class Discovery(Protocol):
    """What the stack runs on, and what its upstreams offer."""

    async def environment(self) -> JsonObject:
        """`{runs_on, version, upstreams: [{api, provider_id, provider_type, ...}]}`, see core.apis.discovery."""
        ...


OPERATIONS: Final = (
    Operation("GET", _admin_paths("/health"), "health", "Is the service up?", open=True),
    Operation("GET", _admin_paths("/version"), "version", "Which version is it?", open=True),
    Operation("GET", _admin_paths("/providers"), "list_providers", "List the providers and their health."),
    Operation("GET", _admin_paths("/providers/{provider_id}"), "get_provider", "Show one provider."),
    Operation("GET", _admin_paths("/inspect/routes"), "list_routes", "List the routes.", query=("api_filter",)),
    Operation("GET", ("/openapi.json",), "openapi", "This API as an OpenAPI document."),
)

QUOTA_OPERATIONS: Final = (Operation("GET", ("/v1/quota",), "left", "What is left of your quota?", counted=False),)
DISCOVERY_OPERATIONS: Final = (
    Operation("GET", ("/v1/inspect/environment",), "environment", "What does this stack run on and reach?"),
)
