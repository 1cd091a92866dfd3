"""The Configuration API for one caller: who may see and set what. The versions themselves are `core.services.configurations.versions`."""

from dataclasses import dataclass
import logging
from typing import Final, Literal

from core.apis.configurations import Configuration, RegisterConfiguration, RegisterProvider
from core.config.overlay import Overlay, parse_overlay_request, with_override
from core.config.policy import Action
from core.config.redact import MASK, redact
from core.config.user_fields import machine_defaults, secret_fields, view
from core.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.routing.policy import Policy, owner_of
from core.services.configurations.overrides import Change, Viewed, overridden
from core.services.configurations.versions import Versions, Wanted
from core.stores.configurations.port import Head

log = logging.getLogger(__name__)

MOST_LISTED: Final = 100
DIGITS: Final = 15  # of a version
NO_RULE: Final = (
    "No rule of server.auth.access_policy says who may. Add one, as `permit: {actions: [create, read, delete], resource: "
    "'configuration::*'}` with a condition."
)

type KindName = Literal["configuration", "provider"]


@dataclass(frozen=True, slots=True)
class ConfigurationService:
    """What all callers share. `denial` says why nobody may write, None where the `policy` decides."""

    versions: Versions
    policy: Policy
    denial: str | None
    refresh_seconds: float | None


class ConfigurationsRouter:
    """The API as `principal` gets it; None is the stack itself, which may do everything."""

    def __init__(self, service: ConfigurationService, principal: Principal | None) -> None:
        self._service = service
        self._versions = service.versions
        self._principal = principal

    async def inspect(self) -> JsonObject:
        head = await self._versions.head()
        self._check("read", "configuration", str(head.active))
        providers: dict[str, list[JsonObject]] = {}
        for each in self._versions.validator.view_providers(await self._versions.overlay(head.active)):
            shown: JsonObject = {"provider_id": each.provider_id, "provider_type": each.provider_type}
            found = machine_defaults(each.config)
            shown |= {"config": view(each.config)} | ({"discovered": found} if found else {})
            providers.setdefault(each.api, []).append(shown)
        return {"version": head.active, "refresh_seconds": self._service.refresh_seconds, "providers": providers}

    async def register(self, request: RegisterConfiguration) -> JsonObject:
        self._may_write("create", "configuration", "new")
        if (request.config is None) == (request.revert_to is None):
            raise InvalidRequest("Give `config`, or `revert_to` with a version; one of the two.", param="config")
        given = parse_overlay_request(request.config if request.revert_to is None else {})
        earlier = None if request.revert_to is None else await self._found(str(request.revert_to))
        validator = self._versions.validator

        def change(overlay: Overlay) -> Change:
            if earlier is not None:
                return Change(earlier.overlay, f"reverted to {earlier.version}")
            return overridden(given, overlay, validator.view_providers(overlay), validator.view_providers({}))

        owner = owner_of(self._principal)
        wanted = Wanted(change, owner, given.based_on, force=request.force, dry_run=request.dry_run)
        made, changed = await self._versions.put(wanted)
        active = Head() if request.dry_run else Head(made.version, made.version)
        said = {"dropped": list(changed.dropped), "withheld": list(changed.withheld), "dry_run": request.dry_run}
        return self._shown(made, active) | said

    async def index(self, before: str | None = None, limit: str | None = None) -> JsonObject:
        most = _number(limit or str(MOST_LISTED), "limit", MOST_LISTED)
        cursor = None if before is None else _number(before, "before")
        head = await self._versions.store.head()
        rows, more = list[Configuration](), True
        while more and len(rows) <= most:
            page = await self._versions.store.page(before=cursor, limit=most + 1)
            rows += [each for each in page if self._may("read", _resource(each))]
            more, cursor = len(page) > most, page[-1].version if page else None
        shown = [self._shown(each, head) for each in rows[:most]]
        first, last = (shown[0]["identifier"], shown[-1]["identifier"]) if shown else (None, None)
        active = str(head.active) if head.active else None
        ends = {"has_more": len(rows) > most, "first_id": first, "last_id": last, "active": active}
        return {"object": "list", "data": shown, **ends}

    async def get(self, configuration_id: str) -> JsonObject:
        return self._shown(await self._found(configuration_id), await self._versions.store.head())

    async def unregister(self, configuration_id: str) -> None:
        found = await self._found(configuration_id)
        self._may_write("delete", "configuration", configuration_id, found)
        await self._versions.remove(found)
        log.info("configuration %s was unregistered by %s", configuration_id, self._name())

    async def register_provider(self, request: RegisterProvider) -> JsonObject:
        self._may_write("create", "provider", request.provider_id)

        def change(overlay: Overlay) -> Change:
            if any(
                each.provider_id == request.provider_id for each in self._versions.validator.view_providers(overlay)
            ):
                raise Conflict(f"A provider `{request.provider_id}` is there already.", param="provider_id")
            override = {"provider_type": request.provider_type, "config": request.config, "registered": True}
            added = with_override(overlay, request.api, request.provider_id, override)
            return Change(added, f"provider {request.provider_id} registered")

        made, _ = await self._versions.put(Wanted(change, owner_of(self._principal), force=request.force))
        shown = next(
            v for v in self._versions.validator.view_providers(made.overlay) if v.provider_id == request.provider_id
        )
        names: JsonObject = {name: getattr(shown, name) for name in ("api", "provider_id", "provider_type")}
        return names | {"config": redact(shown.config.model_dump(mode="json")), "version": made.version}

    async def unregister_provider(self, provider_id: str) -> None:
        self._may_write("delete", "provider", provider_id)

        def change(overlay: Overlay) -> Change:
            for api, entries in overlay.items():
                if entries.get(provider_id, {}).get("registered"):
                    return Change(
                        with_override(overlay, api, provider_id, None), f"provider {provider_id} unregistered"
                    )
            if any(each.provider_id == provider_id for each in self._versions.validator.view_providers({})):
                raise Conflict(f"Provider `{provider_id}` is the run config's: take it out there, and deploy.")
            raise NotFound(f"No provider `{provider_id}` is registered.", param="provider_id")

        await self._versions.put(Wanted(change, owner_of(self._principal)))

    async def _found(self, identifier: str) -> Configuration:
        store = self._versions.store
        found = await store.get(int(identifier)) if identifier.isdecimal() and len(identifier) <= DIGITS else None
        if found is None or not self._may("read", _resource(found)):
            message = f"There is no configuration `{identifier}`. GET /v1/configurations lists them."
            raise NotFound(message, param="configuration_id")
        return found

    def _shown(self, made: Configuration, head: Head) -> JsonObject:
        kinds = {(v.api, v.provider_id): v for v in self._versions.validator.view_providers(made.overlay)}
        providers = {
            api: [_entry(name, override, kinds.get((api, name))) for name, override in entries.items()]
            for api, entries in made.overlay.items()
        }
        owner = {} if made.owner is None else {"owner": made.owner["principal"]}
        common = {"identifier": str(made.version), "version": made.version, "type": "configuration"}
        active = made.version == head.active
        return (
            common
            | {"active": active, "config": {"providers": providers}, "created": made.created}
            | owner
            | {"note": made.note}
        )

    def _may(self, action: Action, resource: Resource) -> bool:
        return self._service.policy.allows(self._principal, action, resource)

    def _check(self, action: Action, kind: KindName, identifier: str, found: Configuration | None = None) -> None:
        resource = Resource(kind, identifier, "", "", {}) if found is None else _resource(found)
        if not self._may(action, resource):
            raise PermissionDenied(f"The access policy does not let you {action} the {kind} `{identifier}`.")

    def _may_write(self, action: Action, kind: KindName, identifier: str, found: Configuration | None = None) -> None:
        _ = self._versions.store
        if self._service.denial is not None and self._principal is not None:
            raise PermissionDenied(self._service.denial)
        self._check(action, kind, identifier, found)

    def _name(self) -> str:
        return "the stack" if self._principal is None else self._principal.id or "an anonymous caller"


def _resource(found: Configuration) -> Resource:
    return Resource("configuration", str(found.version), "", "", {}, found.created, found.owner)


def _entry(name: str, override: JsonObject, viewed: Viewed | None) -> JsonObject:
    secrets = frozenset[str]() if viewed is None else secret_fields(type(viewed.config))
    shown = {k: v for k, v in redact(override["config"]).items() if v is not None or k not in secrets}
    config = {k: MASK if v and k in secrets else v for k, v in shown.items()}
    flag = {"registered": True} if override["registered"] else {}
    return {"provider_id": name, "provider_type": override["provider_type"], "config": config, **flag}


def _number(text: str, param: str, most: int = 10**DIGITS) -> int:
    if not text.isdecimal() or len(text) > len(str(most)) or not 1 <= int(text) <= most:
        raise InvalidRequest(f"{param} must be a whole number from 1 to {most}.", param=param)
    return int(text)
