"""The surfaces of the admin API: what was resolved, the Configuration API over it, and discovery.

The last two are imported and made for whoever asks first: most environments of this function are asked for health alone.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from core.apis.index import manifest, route_rows
from core.config.redact import redact
from core.frame.api import RouteRow, SurfaceFactory
from core.frame.callers import Call, principal_of
from core.frame.resources import Resource
from core.platform.environment import reachable
from core.resolution.instances import Instance
from core.resolution.stack import Stack, declared_resources, routed_apis
from core.routing.isolation import method_of
from core.services.admin.router import AdminRouter, ProviderView, QuotaRouter
from core.stores.connect import COUNTERS, JOBS, QUEUE, REGISTRY

if TYPE_CHECKING:
    from core.services.admin.discovery import DiscoveryRouter
    from core.services.admin.readiness import Check, Readiness
    from core.services.configurations.router import ConfigurationService, ConfigurationsRouter
    from core.services.jobs.router import JobsRouter

ABSENT: Final = "readiness"  # no resource, counter or job has this name
NO_AUTH: Final = (
    "Nobody may: others can reach this stack, and it has no server.auth to tell them apart. Add an auth provider."
)


def assemble(stack: Stack) -> dict[str, SurfaceFactory]:
    """`{"admin": ..., "quota": ..., "configurations": ..., "discovery": ..., "jobs": ...}`."""
    views = [_view(stack, instance) for instance in _in_order(stack)]
    admin = AdminRouter(
        stack.version,
        views,
        partial(_rows, stack),
        readiness=cache(partial(_readiness, stack)),
        has_tokens=stack.config.server.auth is not None,
    )
    service = stack.configuration_service = stack.configuration_service or cache(partial(_service, stack))
    return {
        "admin": lambda _: admin,
        "quota": lambda call: _quota(stack, call),
        "configurations": lambda call: _configurations(service(), call),
        "discovery": lambda _: _discovery(stack),
        "jobs": lambda call: _jobs(stack, call),
    }


def _readiness(stack: Stack) -> "Readiness":
    """What this function may read on Lambda, each with its cheapest read: of a key that is not there."""
    from core.services.admin.readiness import Readiness
    from core.stores.counters.port import AccountKey

    parts: dict[str, Check] = {"registry": lambda: stack.stores.get(REGISTRY).get("model", ABSENT)}
    if (counters := stack.stores.find(COUNTERS)) is not None:
        parts["quota"] = lambda: counters.read(AccountKey(ABSENT))
    if (jobs := stack.stores.find(JOBS)) is not None and stack.stores.find(QUEUE) is not None:
        parts["jobs"] = lambda: jobs.get(ABSENT)
    if stack.poller is not None:
        parts["configuration"] = stack.poller.head
    return Readiness(parts)


def _rows(stack: Stack) -> list[RouteRow]:
    return list(route_rows([*routed_apis(stack.config), "admin"]))


def _in_order(stack: Stack) -> list[Instance]:
    """As the run config lists them: they were made in the order of what they need."""
    places = [(api, entry.provider_id) for api, entries in stack.config.providers.items() for entry in entries]
    return sorted(stack.instances, key=lambda instance: places.index((instance.api, instance.entry.provider_id)))


def _view(stack: Stack, instance: Instance) -> ProviderView:
    circuits = stack.circuits if any(kind.alternates for kind in manifest(instance.api).kinds) else None
    return ProviderView(
        api=instance.api,
        provider_id=instance.entry.provider_id,
        provider_type=instance.entry.provider_type,
        config=redact(instance.config.model_dump(mode="json")),
        health=method_of(instance.provider, "health"),
        circuits=None if circuits is None else partial(circuits.describe_failures, instance.entry.provider_id),
        listing=_listing(stack, instance),
        secrets=instance.secrets,
    )


def _listing(stack: Stack, instance: Instance) -> Callable[[], Awaitable[object]] | None:
    """Of an external provider, whose health may say nothing of it; ours look there for their health."""
    catalog = stack.catalogs.get(instance.api) if instance.external else None
    return None if catalog is None else partial(catalog.offers, instance.entry.provider_id)


def _quota(stack: Stack, call: Call | None) -> QuotaRouter:
    return QuotaRouter(partial(stack.quota.remaining, call) if stack.quota is not None and call is not None else None)


def _configurations(service: "ConfigurationService", call: Call | None) -> "ConfigurationsRouter":
    from core.services.configurations.router import ConfigurationsRouter

    return ConfigurationsRouter(service, principal_of(call))


def _discovery(stack: Stack) -> "DiscoveryRouter":
    from core.platform.machine import whole_machine
    from core.services.admin.discovery import Describer, DiscoveryRouter

    describers = [
        Describer(i.api, i.entry.provider_id, i.entry.provider_type, method_of(i.provider, "describe"), i.secrets)
        for i in stack.instances
    ]
    return DiscoveryRouter(stack.version, whole_machine, describers)


def _jobs(stack: Stack, call: Call | None) -> "JobsRouter":
    """The jobs as a caller sees them; what works on them is not for this function."""
    from core.services.jobs.router import JobsRouter
    from core.services.jobs.service import JobService

    jobs, queue = stack.stores.find(JOBS), stack.stores.find(QUEUE)
    service = None if jobs is None or queue is None else JobService(jobs, queue, stack.enforcement)
    rows = [row for name in routed_apis(stack.config) for row in manifest(name).jobs]
    return JobsRouter(service, rows, call, stack.keep_limits)


def _service(stack: Stack) -> "ConfigurationService":
    """Who could choose where the operator's keys and callers' prompts go must be known, and named by a rule."""
    from core.resolution.live.validator import RunConfigValidator
    from core.services.configurations.router import NO_RULE, ConfigurationService
    from core.services.configurations.versions import Versions

    auth, poller, settings = stack.config.server.auth, stack.poller, stack.config.configurations
    validator = RunConfigValidator(
        stack.loaded, _declared_resources(stack), stack.registry_store, served=routed_apis(stack.config)
    )
    denial = None if auth is not None and auth.access_policy is not None else NO_RULE
    if auth is None:
        denial = NO_AUTH if reachable() else None
    return ConfigurationService(
        Versions(
            validator,
            None if poller is None else poller.store,
            lambda head: None if poller is None else poller.note_head(head),
        ),
        stack.enforcement,
        denial,
        None if settings is None else settings.refresh_seconds,
    )


def _declared_resources(stack: Stack) -> Iterable[Resource]:
    kinds = (kind for name in routed_apis(stack.config) for kind in manifest(name).kinds)
    return [resource for kind in kinds for resource in declared_resources(stack.config, kind)]
