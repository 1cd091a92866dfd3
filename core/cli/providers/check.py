"""`llambda providers check`: each external provider of a run config is connected, and closed again."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from core.cli.providers.types import NO_EFFECT
from core.config.document import ProviderEntry
from core.config.load import Loaded
from core.config.problems import ConfigInvalid, Problem
from core.frame.types import JsonObject
from core.frame.version import VERSION
from core.resolution.check import available, check, find
from core.resolution.external.compliance import NotCompliant
from core.resolution.instances import connect
from core.resolution.provider_types import ProviderSpec
from core.resolution.resolve import resolve


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one provider of a run config."""

    api: str
    entry: ProviderEntry
    origin: str
    problems: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    def to_json(self) -> JsonObject:
        """`ok` is whether it has no problem."""
        return {
            "api": self.api,
            "provider_id": self.entry.provider_id,
            "provider_type": self.entry.provider_type,
            "from": self.origin,
            "ok": not self.problems,
            "problems": self.problems,
            "notes": self.notes,
        }


async def verdicts(loaded: Loaded) -> tuple[list[Verdict], list[Problem]]:
    """One for each external provider, and for each entry of no known type; then the other problems of the document."""
    specs = available(loaded.external_providers_dir)[0]
    problems = loaded.problems + check(loaded)
    results: list[Verdict] = []
    reported: set[str] = set()
    for api, path, entry in loaded.provider_entries():
        spec = find(specs, api, entry, path)[0]
        if spec is not None and spec.factory is None:
            continue
        place = loaded.places.source_path(path)
        own = [problem for problem in problems if _is_at(problem.path, place)]
        reported |= {str(problem) for problem in own}
        verdict = Verdict(api, entry, spec.origin if spec else "not found", list(_relative(own, place)))
        if spec is not None and not own:
            verdict.problems.extend(await _connection_faults(loaded, path, entry, spec))
        if spec is not None and spec.container_image is not None:
            verdict.notes.append(NO_EFFECT)
        results.append(verdict)
    return results, [problem for problem in problems if str(problem) not in reported]


def _is_at(path: str, place: str) -> bool:
    return path == place or path.startswith((f"{place}.", f"{place}["))


def _relative(problems: list[Problem], place: str) -> Iterator[str]:
    """As text, with paths from the entry at `place`."""
    for problem in problems:
        rest = problem.path.removeprefix(place).lstrip(".")
        yield f"{rest}: {problem.message}" if rest else problem.message


async def _connection_faults(loaded: Loaded, path: str, entry: ProviderEntry, spec: ProviderSpec) -> list[str]:
    """Why it cannot be connected; nothing if it can."""
    if loaded.config is None:
        return ["it was not tried, because the run config has other problems"]
    needed = {*spec.api_dependencies, *spec.optional_api_dependencies} & set(loaded.config.providers)
    try:
        stack = await resolve(loaded, needed, version=VERSION)
    except (ConfigInvalid, NotCompliant) as invalid:
        return [f"it was not tried, because a provider that it depends on fails: {_lines(invalid)}"]
    try:
        instance = await connect(loaded, path, entry, spec, stack.surfaces)
    except ConfigInvalid as invalid:
        return [problem.message for problem in invalid.problems]
    except NotCompliant as broken:
        return [f"{method}: {fault}" for method, fault in broken.faults]
    else:
        await instance.provider.close()
    finally:
        await stack.close()
    return []


def _lines(failure: Exception) -> str:
    return " ".join(str(failure).split())
