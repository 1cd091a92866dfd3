"""The external providers that a function has, and the installed packages that these need in its package.

What the lock has comes from the lock. What it has not is copied as it is installed here: that is said, and refused
where it is machine code for another processor.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
import json
from pathlib import Path
import platform
import shutil
from typing import Any, Final, override
from urllib.parse import unquote, urlparse

from core.config.load import interpret
from core.config.source import read
from core.platform.environment import environ
from core.resolution.external.code import missing_packages, requirement_name
from core.resolution.external.packages import version_fault
from core.resolution.external.spec_files import external_specs
from core.resolution.provider_types import ProviderSpec
from infra.dependencies import LICENCES, locked, normal, required
from infra.trim import remove

FOLDER: Final = "providers.d"  # in the package
SELF: Final = "llambda"
MACHINES: Final = {"arm64": frozenset({"aarch64", "arm64"}), "x86_64": frozenset({"x86_64", "amd64"})}
NOT_COPIED: Final = shutil.ignore_patterns("__pycache__", "*.pyc", "tests", ".git", ".venv", "*.egg-info")


@dataclass(frozen=True, slots=True)
class Unlocked:
    """A package that the lock has not; `version` is empty for a folder that nothing says the version of."""

    name: str
    version: str
    modules: tuple[str, ...]

    @override
    def __str__(self) -> str:
        return f"unlocked: {self.name}{f'=={self.version}' if self.version else ''}, taken as installed"


@dataclass(frozen=True, slots=True)
class Externals:
    """`distributions` are all that the providers need, by their normal names; of these the lock has not the `unlocked`.

    `imports` are the full names of what the unlocked import; some of it may be optional, and not be there.
    """

    distributions: frozenset[str] = frozenset()
    unlocked: tuple[Unlocked, ...] = ()
    imports: frozenset[str] = frozenset()

    @property
    def libraries(self) -> frozenset[str]:
        """The top-level names of `imports`."""
        return frozenset(map(_top, self.imports))


def externals(specs: Iterable[tuple[ProviderSpec, str | None]]) -> Externals:
    """What providers of these types need, each with the `module` of its entry.

    Raises:
        ValueError: something of it is not installed, or in another version.
    """
    found = sorted(set(specs), key=lambda each: (each[0].api, each[0].provider_type))
    faults = [fault for spec, module in found for fault in _faults(spec, module)]
    if faults:
        raise ValueError("; ".join(dict.fromkeys(faults)))
    known = metadata.packages_distributions()
    owners = {_top(name): _owner(_top(name), known) for spec, _ in found for name in _modules_named(spec)}
    roots = {owner for owner in owners.values() if owner} | {
        normal(requirement_name(each)) for spec, _ in found for each in spec.pip_packages if "://" not in each
    }
    needed = _closure(roots)
    tops = owners | {top: normal(names[0]) for top, names in known.items() if top not in owners}
    unlocked = [_unlocked(name, tops) for name in sorted(needed - set(locked()))]
    loose = [Unlocked(top, "", (top,)) for top, owner in sorted(owners.items()) if not owner]
    taken = (*unlocked, *loose)
    imported = {name for each in taken for top in each.modules for name in _imported(_place(top))}
    return Externals(frozenset(needed), taken, frozenset(imported))


def with_directory(run_config: str) -> tuple[str | None, str]:
    """`external_providers_dir` as this environment has it, and the run config with it; raises ValueError."""
    document = json.loads(run_config)
    if not document.get("external_providers_dir"):
        return None, run_config
    loaded = interpret(document, environ())
    faults = [str(problem) for problem in loaded.problems if problem.path == "external_providers_dir"]
    directory = loaded.document.get("external_providers_dir")
    if faults or not isinstance(directory, str):
        raise ValueError("; ".join(faults) or "external_providers_dir must be a path")
    return directory, json.dumps({**document, "external_providers_dir": directory}, ensure_ascii=False)


def copy(wanted: Externals, architecture: str, out: Path) -> None:
    """Put the unlocked packages into `out`, with what says who they are.

    Raises:
        ValueError: one has machine code, and this machine is of another architecture.
    """
    for each in wanted.unlocked:
        for place in map(_place, each.modules):
            native = sorted(place.rglob("*.so")) if place.is_dir() else [place] if place.suffix == ".so" else []
            if native and platform.machine().lower() not in MACHINES[architecture]:
                raise ValueError(
                    f"{each.name} has machine code ({native[0].name}) for this machine and not for {architecture}; "
                    "build on such a machine, or put it into locks/run.txt"
                )
            if place.is_dir():
                shutil.copytree(place, out / place.name, ignore=NOT_COPIED, dirs_exist_ok=True)
            else:
                shutil.copy(place, out / place.name)
        if each.version:
            _copy_metadata(each, out)


def copy_specs(directory: str | None, run_config: str, out: Path) -> str:
    """Put the spec files into `out` as JSON, and name their folder in the run config, which is returned.

    Raises:
        ValueError: there are problems with them.
    """
    document: dict[str, Any] = json.loads(run_config)
    if directory is None:
        return run_config
    root = Path(directory).expanduser()
    _, problems = external_specs(directory)
    if problems:
        raise ValueError("; ".join(map(str, problems)))
    for file in sorted(root.glob("*/*/*.yaml")) + sorted(root.glob("*/*/*.json")):
        place = (out / FOLDER / file.relative_to(root)).with_suffix(".json")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(read(file)[0], ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    document["external_providers_dir"] = FOLDER
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def drop_metadata(out: Path, kept: frozenset[str]) -> None:
    """Remove what was installed beside the modules; of what is `kept` the METADATA stay, by which it is found there."""
    for info in sorted(out.glob("*.dist-info")):
        if normal(info.name.partition("-")[0]) not in kept:
            remove(info)
            continue
        for path in list(info.iterdir()):
            if path.name != "METADATA":
                remove(path)


def _faults(spec: ProviderSpec, module: str | None) -> Iterator[str]:
    if module is not None and (fault := version_fault(module)) is not None:
        yield fault
    if missing := missing_packages(spec):
        yield f"{spec.provider_type} needs {', '.join(missing)}: pip install {' '.join(missing)}"
    for name in _modules_named(spec):
        if find_spec(_top(name)) is None:
            yield f"{spec.provider_type} is in `{_top(name)}`, which is not installed: install it, as uv pip install -e ."


def _modules_named(spec: ProviderSpec) -> Iterator[str]:
    yield spec.module
    for dotted in (spec.config_class, spec.provider_data_validator):
        if dotted:
            yield dotted


def _top(name: str) -> str:
    return name.partition(".")[0]


def _place(top: str) -> Path:
    """The folder, or the file, of an installed top-level module."""
    spec = find_spec(top)
    if spec is None:
        raise ValueError(f"`{top}` is not installed")
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin or "")


def _owner(top: str, known: Mapping[str, list[str]]) -> str:
    """The distribution that a module is from, by its normal name; "" where nothing says."""
    if top in known:
        return normal(known[top][0])
    place = _place(top).resolve()
    for each in metadata.distributions():
        folder = _folder_of(each)
        if folder is not None and place.is_relative_to(folder):
            return normal(each.metadata["Name"])
    return ""


def _folder_of(each: metadata.Distribution) -> Path | None:
    """Where an editable one is (https://packaging.python.org/en/latest/specifications/direct-url/)."""
    text = each.read_text("direct_url.json")
    said: dict[str, Any] = json.loads(text) if text else {}
    if not said.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlparse(said["url"]).path)).resolve()


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _closure(roots: set[str]) -> set[str]:
    """With what they require, as far as it is installed; llambda itself is in the package anyway."""
    found: set[str] = set()
    waiting = sorted(roots)
    while waiting:
        name = waiting.pop()
        each = _distribution(name)
        if name not in found and name != SELF and each is not None:
            found.add(name)
            waiting += required(each)
    return found


def _unlocked(name: str, tops: Mapping[str, str]) -> Unlocked:
    each = _distribution(name)
    modules = (top for top, owner in tops.items() if owner == name and top.isidentifier())
    found = sorted(top for top in modules if find_spec(top) is not None)
    return Unlocked(name, each.version if each is not None else "", tuple(found))


def _copy_metadata(each: Unlocked, out: Path) -> None:
    """As an installer leaves them, so that its terms are found, and it itself at run time."""
    there = _distribution(each.name)
    if there is None:
        return
    info = out / f"{each.name.replace('-', '_')}-{each.version}.dist-info"
    said = {"METADATA": there.read_text("METADATA") or ""}
    for file in there.files or ():
        inside = str(file).partition(".dist-info/")[2]
        if LICENCES.search(inside):
            said[inside] = file.read_text(encoding="utf-8")
    for inside, text in said.items():
        (info / inside).parent.mkdir(parents=True, exist_ok=True)
        (info / inside).write_text(text, encoding="utf-8")
    rows = [*(f"{top}/__init__.py" for top in each.modules), *(f"{info.name}/{inside}" for inside in said)]
    (info / "RECORD").write_text("".join(f"{row},,\n" for row in rows), encoding="utf-8")


def _imported(place: Path) -> Iterator[str]:
    for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        for node in ast.walk(ast.parse(file.read_bytes())) if file.suffix == ".py" else ():
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
