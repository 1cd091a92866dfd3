"""Does a registered configuration fit this build and its run config, and do its providers serve what is declared?"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from core.apis.index import manifest
from core.config.document import ProviderEntry
from core.config.load import Loaded
from core.config.overlay import Overlay, apply_overlay
from core.config.problems import ConfigInvalid, Problem
from core.errors import ApiError
from core.frame.resources import Kind, Resource
from core.resolution.callers_parts import callers_reach, new_places
from core.resolution.check import available, check, checked_config, config_class, find
from core.resolution.external.compliance import NotCompliant
from core.resolution.instances import connect, spec_of
from core.resolution.live.hosts import find_refused_hosts
from core.resolution.stack import close_all
from core.services.configurations.overrides import ConfiguredProvider
from core.stores.registry.port import RegistryStore

PATIENCE: Final = 5.0  # seconds that a provider has to say what it serves
PAGE: Final = 100

type Served = frozenset[str]
type Entries = dict[tuple[str, str], tuple[str, ProviderEntry]]
"""By API and provider id: the entry, and its path in the document."""


class RunConfigValidator:
    """The `ConfigurationValidator` of a run config: `loaded`, whose resources `declared` gives, and those that are in the store."""

    def __init__(
        self, loaded: Loaded, declared: Iterable[Resource], store: Callable[[], RegistryStore], *, served: Iterable[str]
    ) -> None:
        """`served` are the APIs that this stack answers; `store` is opened when somebody registers."""
        self._loaded = loaded
        self._declared = tuple(declared)
        self._store = store
        self._served = frozenset(served)
        directory = loaded.config.external_providers_dir if loaded.config is not None else None
        self._specs = available(directory)[0]
        self._known = {str(problem) for problem in check(loaded)}  # what the stack runs with all the same

    def list_providers(self, overlay: Overlay) -> list[ConfiguredProvider]:
        """The providers under `overlay`; those of the run config alone where it does not fit that."""
        merged = apply_overlay(self._loaded, overlay)
        if merged.config is None:
            merged, overlay = self._loaded, {}
        views: list[ConfiguredProvider] = []
        for (api, name), (path, entry) in _entries(merged).items():
            spec = find(self._specs, api, entry, path)[0]
            config = None if spec is None else checked_config(merged, path, entry, spec)[0]
            if config is not None:
                registered = overlay.get(api, {}).get(name, {}).get("registered", False)
                views.append(ConfiguredProvider(api, name, entry.provider_type, config, registered))
        return views

    async def find_problems(self, before: Overlay, after: Overlay, *, ask: bool) -> list[Problem]:
        """What is wrong with `after` as a run config; then, with `ask`, what would no longer be served."""
        merged = apply_overlay(self._loaded, after)
        if merged.config is None:
            return merged.problems
        problems = [
            Problem("api", f"this stack does not serve API `{api}`") for api in after if api not in self._served
        ]
        problems += [problem for problem in check(merged) if str(problem) not in self._known]
        if problems:
            return problems
        earlier = apply_overlay(self._loaded, before)
        old, new = _entries(earlier if earlier.config is not None else self._loaded), _entries(merged)
        problems += await self._orphans([key for key in old if key not in new])
        problems += await self._shadows([key for key in new if key not in old], new)
        changed = [key for key in new if old.get(key, ("", None))[1] != new[key][1]]
        problems += await self._refused_hosts(merged, changed)
        if ask and not problems:
            comparisons = (
                self._find_unserved(kind, name, earlier, merged)
                for api, name in changed
                for kind in manifest(api).kinds
                if kind.listing is not None
            )
            problems = [problem for some in await asyncio.gather(*comparisons) for problem in some]
        return problems

    async def _refused_hosts(self, merged: Loaded, changed: Iterable[tuple[str, str]]) -> list[Problem]:
        """The hosts that callers name and may not, as their names resolve now."""
        places: list[tuple[str, str]] = []
        for api, name in changed:
            part = merged.callers_parts.get((api, name))
            path, entry = _entries(merged)[api, name]
            spec = find(self._specs, api, entry, path)[0]
            if part is not None and spec is not None:
                here = merged.places.source_path(f"{path}.config")
                places += [(f"{here}.{field}", url) for field, url in new_places(part, config_class(spec))]
        return await find_refused_hosts(places, callers_reach(merged)) if places else []

    async def _orphans(self, removed: Iterable[tuple[str, str]]) -> list[Problem]:
        problems: list[Problem] = []
        for api, name in removed:
            rows = [(kind, row) for kind in manifest(api).kinds for row in await self._resources(kind)]
            users = sorted(
                {row.identifier for kind, row in rows if name in {p.provider_id for p in _places(kind, row)}}
            )
            if users:
                message = f"provider `{name}` serves {', '.join(users)}; unregister what it serves first"
                problems.append(Problem("provider_id", message))
        return problems

    async def _shadows(self, added: Iterable[tuple[str, str]], entries: Entries) -> list[Problem]:
        """Ids of new providers that would change what names mean; which names is not said: not everyone may see them."""
        problems: list[Problem] = []
        for api, name in added:
            others = [other for other_api, other in entries if other_api == api and other != name]
            rows = [(kind, row) for kind in manifest(api).kinds for row in await self._resources(kind)]
            names = [*others, *(row.identifier for _, row in rows)]
            users = {place.provider_id for kind, row in rows for place in _places(kind, row)}
            if name in users or any(_begins(name, other) for other in names) or any(_begins(o, name) for o in others):
                message = f"`{name}` is in use: names begin with it or are served by it, or it begins as another provider's id"
                problems.append(Problem("provider_id", f"{message}; choose another"))
        return problems

    async def _find_unserved(self, kind: Kind, name: str, earlier: Loaded, merged: Loaded) -> list[Problem]:
        """The running resources of a provider that it would not serve with its new config.

        One that needs other APIs is made with the whole stack alone, and not asked.
        """
        place = f"providers.{kind.api}.{name}"
        path, entry = _entries(merged)[kind.api, name]
        spec = spec_of(self._specs, kind.api, path, entry)
        if spec.api_dependencies or spec.optional_api_dependencies:
            return []
        offers = await self._served_by(kind, merged, name)
        places = [place for row in await self._resources(kind) for place in _places(kind, row)]
        targets = {place.provider_resource_id for place in places if place.provider_id == name}
        if isinstance(offers, str):
            before = await self._served_by(kind, earlier, name)
            lost = sorted(before if isinstance(before, frozenset) else targets)
            if not lost:
                return []
            message = f"with this config it serves nothing ({offers}), and {', '.join(lost[:5])} would no longer work"
            return [Problem(place, f"{message}; mend it, or send `force: true`")]
        missing = sorted(targets - offers)
        if not missing:
            return []
        message = f"with this config it does not serve {', '.join(missing)}, for which there are {kind.section}"
        return [Problem(place, f"{message}; unregister them first, or send `force: true`")]

    async def _served_by(self, kind: Kind, loaded: Loaded, name: str) -> Served | str:
        """The names of what it serves, or why it serves nothing."""
        if (kind.api, name) not in _entries(loaded) or kind.listing is None:
            return "there is no such provider"
        try:
            async with asyncio.timeout(PATIENCE), self._connect_briefly(kind.api, loaded, name) as provider:
                return frozenset(offer["id"] for offer in await getattr(provider, kind.listing)())
        except ApiError as failure:
            return failure.message
        except (ConfigInvalid, NotCompliant) as invalid:
            return str(invalid)
        except TimeoutError:
            return f"it did not answer within {PATIENCE:.0f} s"

    @asynccontextmanager
    async def _connect_briefly(self, api: str, loaded: Loaded, name: str) -> AsyncGenerator[Any]:
        path, entry = _entries(loaded)[api, name]
        instance = await connect(loaded, path, entry, spec_of(self._specs, api, path, entry), {})
        try:
            yield instance.provider
        finally:
            await close_all([instance])

    async def _resources(self, kind: Kind) -> list[Resource]:
        """The declared ones, and every one in the store."""
        rows = [resource for resource in self._declared if resource.kind == kind.name]
        after, page = "", list[Resource]()
        while not after or len(page) == PAGE:
            page = await self._store().page(kind.name, after=after, limit=PAGE)
            rows += page
            after = page[-1].identifier if page else "-"
        return rows


def _entries(loaded: Loaded) -> Entries:
    return {(api, entry.provider_id): (path, entry) for api, path, entry in loaded.provider_entries()}


def _begins(provider_id: str, name: str) -> bool:
    return name.startswith(f"{provider_id}/")


def _places(kind: Kind, resource: Resource) -> list[Resource]:
    return [resource, *kind.list_alternates(resource)]
