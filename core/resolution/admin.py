"""What the admin function answers from: what was resolved, the Configuration API over it, and discovery.

The last two are imported and made for whoever asks first: most environments of this function are asked for health alone.
"""

from collections.abc import Iterable
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from core.apis.tables import APIS, route_rows
from core.config.load import Loaded
from core.config.redact import redact
from core.frame.callers import Call
from core.frame.resources import Resource
from core.platform.environment import reachable
from core.resolution.stack import Stack, declared, routed
from core.services.admin.router import AdminRouter, ProviderView, QuotaRouter

if TYPE_CHECKING:
    from core.services.admin.discovery import DiscoveryRouter
    from core.services.configurations.router import ConfigurationsRouter, Office

OPEN: Final = (
    "Nobody may: others can reach this stack, and it has no server.auth to tell them apart. Add an auth provider."
)


def assemble(stack: Stack, loaded: Loaded) -> None:
    """Add the admin function's surfaces; `loaded` is the run config, of a first stack without anything laid over it."""
    admin = _admin(stack)
    office = stack.office = stack.office or cache(partial(_office, stack, loaded))
    stack.surfaces |= {
        "admin": lambda _: admin,
        "quota": lambda call: _quota(stack, call),
        "configurations": lambda call: _configurations(office(), call),
        "discovery": lambda _: _discovery(stack),
    }


def _quota(stack: Stack, call: Call | None) -> QuotaRouter:
    return QuotaRouter(partial(stack.quota.remaining, call) if stack.quota is not None and call is not None else None)


def _admin(stack: Stack) -> AdminRouter:
    circuits = stack.circuits
    views = [
        ProviderView(
            api=instance.api,
            provider_id=instance.entry.provider_id,
            provider_type=instance.entry.provider_type,
            config=redact(instance.config.model_dump(mode="json")),
            health=getattr(instance.provider, "health", None),
            circuits=partial(circuits.shown, instance.entry.provider_id)
            if circuits is not None and instance.api == "inference"
            else None,
        )
        for instance in stack.instances
    ]
    return AdminRouter(stack.version, views, list(route_rows([*routed(stack.config), "admin"])))


def _configurations(office: "Office", call: Call | None) -> "ConfigurationsRouter":
    from core.services.configurations.router import ConfigurationsRouter

    return ConfigurationsRouter(office, call.principal if call is not None else None)


def _discovery(stack: Stack) -> "DiscoveryRouter":
    from core.platform.machine import whole_machine
    from core.services.admin.discovery import Describer, DiscoveryRouter

    describers = [
        Describer(i.api, i.entry.provider_id, i.entry.provider_type, getattr(i.provider, "describe", None))
        for i in stack.instances
    ]
    return DiscoveryRouter(stack.version, whole_machine, describers)


def _office(stack: Stack, loaded: Loaded) -> "Office":
    """Who could choose where the operator's keys and callers' prompts go must be known, and named by a rule."""
    from core.resolution.live.validator import RunConfigJudge
    from core.services.configurations.router import NOBODY, Office
    from core.services.configurations.versions import Versions

    auth, watch, settings = stack.config.server.auth, stack.watch, stack.config.configurations
    judge = RunConfigJudge(loaded, _declared(stack), stack.connected, served=routed(stack.config))
    closed = "" if auth is not None and auth.access_policy is not None else NOBODY
    if auth is None:
        closed = OPEN if reachable() else ""
    return Office(
        Versions(
            judge, None if watch is None else watch.store, lambda head: None if watch is None else watch.told(head)
        ),
        stack.enforcement.policy,
        closed,
        None if settings is None else settings.refresh_seconds,
    )


def _declared(stack: Stack) -> Iterable[Resource]:
    kinds = (kind for name in routed(stack.config) for kind in APIS[name].kinds)
    return [resource for kind in kinds for resource in declared(stack.config, kind)]
