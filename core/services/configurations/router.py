"""The Configuration API as one caller gets it: access decisions and answers. The versions are in `.versions`."""

from collections.abc import Callable
from dataclasses import dataclass
import logging
from typing import Final, Literal

from core.apis.configurations import (
    Configuration,
    ListConfigurationsQuery,
    RegisterConfiguration,
    RegisterProvider,
)
from core.config.overlay import Overlay, parse_overlay_request, with_override
from core.config.policy import Action
from core.config.redact import redact
from core.config.user_fields import machine_defaults, view
from core.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from core.frame.callers import Principal
from core.frame.types import JsonObject
from core.routing.guard import Enforcement, Guard, Item
from core.services.configurations.overrides import ProposedOverlay, apply_overrides, new_override
from core.services.configurations.shown import by_name, show_override
from core.services.configurations.versions import ChangeRequest, Versions
from core.stores.audit.entry import Verb
from core.stores.configurations.port import Head

log = logging.getLogger(__name__)

DIGITS: Final = 15  # of a version
LABEL: Final = "label"
NO_RULE: Final = (
    "No rule of server.auth.access_policy says who may. Add one, as "
    "`permit: {actions: [create, read, delete], resource: 'configuration::*'}` with a condition."
)

type KindName = Literal["configuration", "provider"]


@dataclass(frozen=True, slots=True)
class ConfigurationService:
    """Shared by all callers. `denial` says why no caller may write; it is None where the access policy decides."""

    versions: Versions
    enforcement: Enforcement
    denial: str | None
    refresh_seconds: float | None


class ConfigurationsRouter:
    """The API as `principal` gets it; None is the stack itself, which may do everything."""

    def __init__(self, service: ConfigurationService, principal: Principal | None) -> None:
        self._service = service
        self._versions = service.versions
        self._guard = Guard(service.enforcement, principal)

    async def inspect(self) -> JsonObject:
        head = await self._versions.head()
        self._guard.require("read", Item("configuration", str(head.active)))
        providers: dict[str, list[JsonObject]] = {}
        for provider in self._versions.validator.list_providers(await self._versions.overlay(head.active)):
            entry: JsonObject = {"provider_id": provider.provider_id, "provider_type": provider.provider_type}
            discovered = machine_defaults(provider.config)
            entry |= {"config": view(provider.config)} | ({"discovered": discovered} if discovered else {})
            providers.setdefault(provider.api, []).append(entry)
        return {"version": head.active, "refresh_seconds": self._service.refresh_seconds, "providers": providers}

    async def register(self, request: RegisterConfiguration) -> JsonObject:
        self._check_write("create", "configuration", "new")
        if (request.config is None) == (request.revert_to is None):
            raise InvalidRequest("Give either `config`, or `revert_to` with a version.", param="config")
        changes = parse_overlay_request(request.config if request.revert_to is None else {})
        earlier = None if request.revert_to is None else await self._get_readable(str(request.revert_to))
        validator, owner = self._versions.validator, self._guard.owner

        def propose(overlay: Overlay) -> ProposedOverlay:
            if earlier is not None:
                return ProposedOverlay(earlier.overlay, f"reverted to {earlier.version}")
            current, original = validator.list_providers(overlay), validator.list_providers({})
            return apply_overrides(changes, overlay, current, original, owner)

        change = ChangeRequest(
            propose,
            self._author(),
            changes.based_on,
            force=request.force,
            dry_run=request.dry_run,
            by=self._guard.principal,
        )
        version, proposed = await self._versions.put(change)
        head = Head() if request.dry_run else Head(version.version, version.version)
        report = {"dropped": list(proposed.dropped), "withheld": list(proposed.withheld), "dry_run": request.dry_run}
        return self._to_wire(version, head) | report

    async def index(self, *, query: ListConfigurationsQuery) -> JsonObject:
        most, cursor = query.limit, query.before
        head = await self._versions.store.head()
        rows, more = list[Configuration](), True
        while more and len(rows) <= most:  # a page may have few that the caller may read
            page = await self._versions.store.page(before=cursor, limit=most + 1)
            rows += [version for version in page if self._guard.allows("read", _to_item(version))]
            more, cursor = len(page) > most, page[-1].version if page else None
        data = [self._to_wire(version, head) for version in rows[:most]]
        first, last = (data[0]["identifier"], data[-1]["identifier"]) if data else (None, None)
        active = str(head.active) if head.active else None
        ends = {"has_more": len(rows) > most, "first_id": first, "last_id": last, "active": active}
        return {"object": "list", "data": data, **ends}

    async def get(self, configuration_id: str) -> JsonObject:
        return self._to_wire(await self._get_readable(configuration_id), await self._versions.store.head())

    async def unregister(self, configuration_id: str) -> None:
        configuration = await self._get_readable(configuration_id)
        self._check_write("delete", "configuration", configuration_id, configuration)
        await self._versions.remove(configuration, by=self._guard.principal)
        log.info("configuration %s was unregistered by %s", configuration_id, self._name())

    async def register_provider(self, request: RegisterProvider) -> JsonObject:
        self._check_write("create", "provider", request.provider_id)

        def propose(overlay: Overlay) -> ProposedOverlay:
            if request.provider_id in self._provider_ids(overlay):
                raise Conflict(f"There is a provider `{request.provider_id}` already.", param="provider_id")
            override = new_override(request.provider_type, request.config, self._guard.owner)
            added = with_override(overlay, request.api, request.provider_id, override)
            return ProposedOverlay(added, f"provider {request.provider_id} registered")

        change = self._of_provider(propose, "create", request.provider_id, force=request.force)
        version, _ = await self._versions.put(change)
        providers = self._versions.validator.list_providers(version.overlay)
        provider = next(provider for provider in providers if provider.provider_id == request.provider_id)
        return {
            "api": provider.api,
            "provider_id": provider.provider_id,
            "provider_type": provider.provider_type,
            "config": redact(provider.config.model_dump(mode="json")),
            "version": version.version,
        }

    async def unregister_provider(self, provider_id: str) -> None:
        self._check_write("delete", "provider", provider_id)

        def propose(overlay: Overlay) -> ProposedOverlay:
            for api, entries in overlay.items():
                if entries.get(provider_id, {}).get("registered"):
                    return ProposedOverlay(
                        with_override(overlay, api, provider_id, None), f"provider {provider_id} unregistered"
                    )
            if provider_id in self._provider_ids({}):
                raise Conflict(
                    f"Provider `{provider_id}` comes from the run config: remove it there, and deploy again."
                )
            raise NotFound(f"No provider `{provider_id}` is registered.", param="provider_id")

        await self._versions.put(self._of_provider(propose, "delete", provider_id))

    def _of_provider(
        self, propose: Callable[[Overlay], ProposedOverlay], verb: Verb, provider_id: str, *, force: bool = False
    ) -> ChangeRequest:
        about = (verb, f"provider::{provider_id}")
        return ChangeRequest(propose, self._author(), force=force, by=self._guard.principal, about=about)

    def _author(self) -> JsonObject | None:
        """The owner, with a name for people to read: the history is asked who it was."""
        owner, principal = self._guard.owner, self._guard.principal
        return (
            owner | {LABEL: principal.label}
            if owner is not None and principal is not None and principal.label
            else owner
        )

    def _provider_ids(self, overlay: Overlay) -> set[str]:
        return {provider.provider_id for provider in self._versions.validator.list_providers(overlay)}

    async def _get_readable(self, identifier: str) -> Configuration:
        """Raises NotFound for one that the caller may not read too, so that nobody learns that it exists."""
        store, asked_at = self._versions.store, self._guard.now()
        version = await store.get(int(identifier)) if identifier.isdecimal() and len(identifier) <= DIGITS else None
        if version is None or not self._guard.allows("read", _to_item(version)):
            await self._guard.pause(asked_at)
            message = f"There is no configuration `{identifier}`. GET /v1/configurations lists them."
            raise NotFound(message, param="configuration_id")
        return version

    def _to_wire(self, version: Configuration, head: Head) -> JsonObject:
        providers = by_name(self._versions.validator.list_providers(version.overlay))
        entries = {
            api: [show_override(name, override, providers.get((api, name))) for name, override in overrides.items()]
            for api, overrides in version.overlay.items()
        }
        return {
            "identifier": str(version.version),
            "version": version.version,
            "type": "configuration",
            "active": version.version == head.active,
            "config": {"providers": entries},
            "created": version.created,
            **({} if version.owner is None else {"owner": version.owner["principal"]}),
            **({} if version.owner is None or LABEL not in version.owner else {"owner_name": version.owner[LABEL]}),
            "note": version.note,
        }

    def _check_write(
        self, action: Action, kind: KindName, identifier: str, version: Configuration | None = None
    ) -> None:
        _ = self._versions.store  # raises NotFound where the API is off, which is said before anything of permissions
        if self._service.denial is not None and self._guard.principal is not None:
            raise PermissionDenied(self._service.denial)
        self._guard.require(action, Item(kind, identifier) if version is None else _to_item(version))

    def _name(self) -> str:
        principal = self._guard.principal
        return "the stack" if principal is None else principal.id or "an anonymous caller"


def _to_item(version: Configuration) -> Item:
    return Item("configuration", str(version.version), version.owner)
