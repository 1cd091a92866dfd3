"""Does a registered configuration fit this build and its run config, and do its providers serve what is declared?"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from core.config.document import ProviderEntry
from core.config.load import Loaded
from core.config.overlay import Overlay, laid_over
from core.config.problems import ConfigInvalid, Problem
from core.errors import ApiError
from core.frame.resources import Resource
from core.resolution.check import available, check, checked_config, find
from core.resolution.external.compliance import NotCompliant
from core.resolution.instances import connect, spec_of
from core.routing.targets import targets_of
from core.services.configurations.overrides import Viewed
from core.stores.registry.port import RegistryStore

PATIENCE: Final = 5.0  # seconds that a provider has to say what it serves
PAGE: Final = 100

type Served = frozenset[str]
type Entries = dict[tuple[str, str], tuple[str, ProviderEntry]]
"""By API and provider id: the entry, and its path in the document."""


class RunConfigJudge:
    """The `Judge` of a run config: `loaded`, whose resources `declared` gives, and those that are in the store."""

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

    def viewed(self, overlay: Overlay) -> list[Viewed]:
        """The providers under `overlay`; those of the run config alone where it does not fit that."""
        merged = laid_over(self._loaded, overlay)
        if merged.config is None:
            merged, overlay = self._loaded, {}
        found: list[Viewed] = []
        for (api, name), (path, entry) in _entries(merged).items():
            spec = find(self._specs, api, entry, path)[0]
            config = None if spec is None else checked_config(merged, path, entry, spec)[0]
            if config is not None:
                registered = overlay.get(api, {}).get(name, {}).get("registered", False)
                found.append(Viewed(api, name, entry.provider_type, config, registered))
        return found

    async def objections(self, before: Overlay, after: Overlay, *, ask: bool) -> list[Problem]:
        """What is wrong with `after` as a run config; then, with `ask`, what would no longer be served."""
        merged = laid_over(self._loaded, after)
        if merged.config is None:
            return merged.problems
        problems = [
            Problem("api", f"this stack does not serve API `{api}`") for api in after if api not in self._served
        ]
        problems += [problem for problem in check(merged) if str(problem) not in self._known]
        if problems:
            return problems
        earlier = laid_over(self._loaded, before)
        old, new = _entries(earlier if earlier.config is not None else self._loaded), _entries(merged)
        gone = [key for key in old if key not in new]
        problems += await self._orphans(gone)
        changed = [key for key in new if key[0] == "inference" and old.get(key, ("", None))[1] != new[key][1]]
        if ask and not problems:
            asked = (self._unserved(name, earlier, merged) for _, name in changed)
            problems = [problem for some in await asyncio.gather(*asked) for problem in some]
        return problems

    async def _orphans(self, gone: Iterable[tuple[str, str]]) -> list[Problem]:
        problems: list[Problem] = []
        for api, name in gone:
            rows = await self._resources("model" if api == "inference" else "shield")
            users = sorted({r.identifier for r in rows if name in {t.provider_id for t in targets_of(r)}})
            if users:
                message = f"provider `{name}` serves {', '.join(users)}; unregister what it serves first"
                problems.append(Problem("provider_id", message))
        return problems

    async def _unserved(self, name: str, earlier: Loaded, merged: Loaded) -> list[Problem]:
        """The running models of a provider that it would not serve with its new config.

        One that needs other APIs is made with the whole stack alone, and not asked.
        """
        place = f"providers.inference.{name}"
        path, entry = _entries(merged)["inference", name]
        spec = spec_of(self._specs, "inference", path, entry)
        if spec.api_dependencies or spec.optional_api_dependencies:
            return []
        served = await self._served_by(merged, name)
        targets = {t.model for r in await self._resources("model") for t in targets_of(r) if t.provider_id == name}
        if isinstance(served, str):
            before = await self._served_by(earlier, name)
            lost = sorted(before if isinstance(before, frozenset) else targets)
            if not lost:
                return []
            message = f"with this config it serves nothing ({served}), and {', '.join(lost[:5])} would no longer work"
            return [Problem(place, f"{message}; mend it, or send `force: true`")]
        missing = sorted(targets - served)
        if not missing:
            return []
        message = f"with this config it does not serve {', '.join(missing)}, for which there are models"
        return [Problem(place, f"{message}; unregister them first, or send `force: true`")]

    async def _served_by(self, loaded: Loaded, name: str) -> Served | str:
        """The names of what it serves, or why it serves nothing."""
        if ("inference", name) not in _entries(loaded):
            return "there is no such provider"
        try:
            async with asyncio.timeout(PATIENCE), self._made(loaded, name) as provider:
                return frozenset(model["id"] for model in await provider.list_models())
        except ApiError as failure:
            return failure.message
        except (ConfigInvalid, NotCompliant) as invalid:
            return str(invalid)
        except TimeoutError:
            return f"it did not answer within {PATIENCE:.0f} s"

    @asynccontextmanager
    async def _made(self, loaded: Loaded, name: str) -> AsyncGenerator[Any]:
        path, entry = _entries(loaded)["inference", name]
        provider = (await connect(loaded, path, entry, spec_of(self._specs, "inference", path, entry), {})).provider
        try:
            yield provider
        finally:
            if close := getattr(provider, "close", None):
                await close()

    async def _resources(self, kind: str) -> list[Resource]:
        """The declared ones, and every one in the store."""
        rows = [resource for resource in self._declared if resource.kind == kind]
        after, page = "", list[Resource]()
        while not after or len(page) == PAGE:
            page = await self._store().page(kind, after=after, limit=PAGE)
            rows += page
            after = page[-1].identifier if page else "-"
        return rows


def _entries(loaded: Loaded) -> Entries:
    return {(api, entry.provider_id): (path, entry) for api, path, entry in loaded.provider_entries()}
