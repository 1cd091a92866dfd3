"""What of a run config is no part of one here, though nothing says that it is the reference's: taken out, with its reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
import re
from typing import Any, Final, cast

from core.config.places import Places, Value, join, to_list, to_mapping
from core.config.problems import Problem
from core.config.sections import SECTIONS

ROUNDS: Final = 20  # what is taken out may leave something else without use
PROTECTION: Final = ("server.auth", "server.tenancy", "server.quota", "safety", "configurations")
"""Who may do what: nothing of it is left out because it is not understood."""
RESOURCE: Final = re.compile(rf"(?:registered_resources\.)?(?:{'|'.join(SECTIONS)})\[\d+\]")
ENTRY: Final = re.compile(r"providers\.\w+\[\d+\]")
CONFIG: Final = re.compile(r"(providers\.\w+\[\d+\]\.config)(?:\.(\w+))?")
DEFAULT: Final = re.compile(
    r"vector_stores\.(?:default_provider_id|default_embedding_model|rewrite_query_params\.model)"
)
UNKNOWN: Final = ("unknown key", "unknown API", "Provider for", "API `", "no provider serves API")
TWICE: Final = "is already used by"
EMPTY_DEFAULT: Final = re.compile(r"\$\{env\.([A-Z0-9_]+):=?\}")
PLACE: Final = re.compile("url|base|host|endpoint")

type Check = Callable[[Mapping[str, Value]], list[Problem]]


@dataclass(slots=True)
class Repair:
    """`notes` say what was taken out and why, at the paths that `origins` say; the document is changed."""

    document: dict[str, Any]
    origins: dict[str, str]
    check: Check
    notes: list[Problem] = field(default_factory=list[Problem])

    def run(self) -> list[Problem]:
        """Every problem, as the user wrote it, where some cannot be mended so."""
        problems = self.check(self.document)
        first = self._as_written(problems)
        for _ in range(ROUNDS):
            mended = [self._mend(problem) for problem in sorted(problems, key=_order, reverse=True)]
            if not any(mended):
                break
            problems = self.check(self.document)
        return list(dict.fromkeys([*first, *self._as_written(problems)])) if problems else []

    def _as_written(self, problems: list[Problem]) -> list[Problem]:
        places = Places(self.origins)
        return [Problem(places.source_path(problem.path), problem.message) for problem in problems]

    def _mend(self, problem: Problem) -> bool:
        place = Places(self.origins).source_path(problem.path)
        unit = _unit(problem)
        if unit is None:
            config = CONFIG.fullmatch(problem.path)
            names = self._require(config[1], config[2]) if config else []
            self.notes += [Problem(place, f"{name} must be set") for name in names]
            return bool(names)
        position = locate(self.document, unit)
        if position is None:
            return False
        if self._take_out(unit, *position) not in (None, [], {}):
            self.notes.append(Problem(place, problem.message))
        return True

    def _take_out(self, path: str, holder: Any, key: str | int) -> Value:  # noqa: ANN401 - a list or a mapping
        if isinstance(key, int):
            stem = path.rpartition("[")[0]
            paths = [join(stem, index) for index in range(len(holder))]
            origins = [self.origins.get(entry, entry) for index, entry in enumerate(paths) if index != key]
            self.origins.update(zip(paths, origins, strict=False))
        return holder.pop(key)

    def _require(self, path: str, mistake: str | None) -> list[str]:
        """The variables that may be empty at the field with the `mistake` or in the place of a remote, and must not be.

        A place that is empty as it stands becomes one.
        """
        position = locate(self.document, path)
        entry: Any = position[0] if position else {}
        config: Any = entry[cast("Any", position[1])] if position else None
        names: list[str] = []
        for key, text in list(to_mapping(config).items()):
            match = EMPTY_DEFAULT.fullmatch(text) if isinstance(text, str) else None
            if (match and key == mistake) or ((match or text == "") and PLACE.search(key)):
                name = match[1] if match else _variable(f"{entry['provider_type'].rpartition('::')[2]}_{key}")
                config[key] = f"${{env.{name}}}"
                names.append(name)
        return names


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", name.upper())


def locate(document: Value, path: str) -> tuple[Any, str | int] | None:
    """The list or mapping that has what stands at `path`, and where in it; None where there is no such place."""
    holder: Any = None
    key: str | int = ""
    here: Any = document
    while path:
        holder = here
        if isinstance(here, list):
            match = re.match(r"\[(\d+)\]\.?", path)
            if match is None or int(match[1]) >= len(to_list(here)):
                return None
            key, path = int(match[1]), path[match.end() :]
        else:
            name = max((name for name in to_mapping(here) if _begins(path, name)), key=len, default="")
            if not name:
                return None
            key, path = name, path[len(name) :].removeprefix(".")
        here = holder[key]
    return None if holder is None else (holder, key)


def _begins(path: str, name: str) -> bool:
    return bool(name) and path.startswith(name) and path[len(name) : len(name) + 1] in ("", ".", "[")


def _unit(problem: Problem) -> str | None:
    """The path of what can be taken out, so that this problem is none."""
    path, message = problem.path, problem.message
    if path.startswith(PROTECTION):
        return None
    if TWICE in message and (entry := ENTRY.match(path)):
        return entry[0]
    if message.startswith(UNKNOWN):
        return path
    unit = RESOURCE.match(path) or DEFAULT.match(path)
    return unit[0] if unit else None


def _order(problem: Problem) -> tuple[bool, Sequence[tuple[str, int]]]:
    """By place, with the numbers of entries as numbers; entries that go as a whole first among the last."""
    steps = [(name, int(number or 0)) for name, number in re.findall(r"([^\[\]]+)|\[(\d+)\]", problem.path)]
    return TWICE in problem.message, steps
