"""The installed packages that a function's external providers need in its own package, and their spec files.

What the lock has comes from the lock. The rest is copied as it is installed here: it is reported, and refused where it
is machine code for another processor.
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
from core.platform.commands import pip_install, pip_install_here
from core.platform.environment import environ
from core.resolution.external.code import missing_packages, requirement_name
from core.resolution.external.packages import version_fault
from core.resolution.external.spec_files import external_specs
from core.resolution.provider_types import ProviderSpec
from infra.dependencies import licence_texts, list_requirements, normal, read_lock
from infra.trim import remove

FOLDER: Final = "providers.d"  # in the package
SELF: Final = "llambda"
MACHINES: Final = {"arm64": frozenset({"aarch64", "arm64"}), "x86_64": frozenset({"x86_64", "amd64"})}
NOT_COPIED: Final = shutil.ignore_patterns("__pycache__", "*.pyc", "tests", ".git", ".venv", "*.egg-info")


@dataclass(frozen=True, slots=True)
class UnlockedPackage:
    """A package that is not in the lock; `version` is empty for a bare folder on the path, `modules` are top-level."""

    name: str
    version: str
    modules: tuple[str, ...]

    @override
    def __str__(self) -> str:
        return f"unlocked: {self.name}{f'=={self.version}' if self.version else ''}, taken as installed"


@dataclass(frozen=True, slots=True)
class ExternalPackages:
    """`distributions` are all that the providers need, by their normal names; `unlocked` are not in the lock.

    `imports` are the full names of what the unlocked ones import; some may be optional, and not be installed.
    """

    distributions: frozenset[str] = frozenset()
    unlocked: tuple[UnlockedPackage, ...] = ()
    imports: frozenset[str] = frozenset()

    @property
    def libraries(self) -> frozenset[str]:
        """The top-level names of `imports`."""
        return frozenset(map(_top, self.imports))


def find_external_packages(specs: Iterable[tuple[ProviderSpec, str | None]]) -> ExternalPackages:
    """What providers of these types need, each with the `module` of its entry.

    Raises:
        ValueError: something of it is not installed, or in another version.
    """
    entries = sorted(set(specs), key=lambda entry: (entry[0].api, entry[0].provider_type))
    faults = [fault for spec, module in entries for fault in _faults(spec, module)]
    if faults:
        raise ValueError("; ".join(dict.fromkeys(faults)))
    installed = metadata.packages_distributions()
    owners = {_top(name): _owner(_top(name), installed) for spec, _ in entries for name in _list_modules(spec)}
    roots = {owner for owner in owners.values() if owner} | {
        normal(requirement_name(line)) for spec, _ in entries for line in spec.pip_packages if "://" not in line
    }
    needed = _closure(roots)
    tops = owners | {top: normal(names[0]) for top, names in installed.items() if top not in owners}
    unlocked = [_describe_package(name, tops) for name in sorted(needed - set(read_lock()))]
    unlocked += [UnlockedPackage(top, "", (top,)) for top, owner in sorted(owners.items()) if not owner]
    imports = {name for package in unlocked for top in package.modules for name in _list_imports(_place(top))}
    return ExternalPackages(frozenset(needed), tuple(unlocked), frozenset(imports))


def resolve_directory(run_config: str) -> tuple[str | None, str]:
    """`external_providers_dir` with the environment's variables, and the run config with that; raises ValueError."""
    document = json.loads(run_config)
    if not document.get("external_providers_dir"):
        return None, run_config
    loaded = interpret(document, environ())
    faults = [str(problem) for problem in loaded.problems if problem.path == "external_providers_dir"]
    directory = loaded.document.get("external_providers_dir")
    if faults or not isinstance(directory, str):
        raise ValueError("; ".join(faults) or "external_providers_dir must be a path")
    return directory, json.dumps({**document, "external_providers_dir": directory}, ensure_ascii=False)


def copy(packages: ExternalPackages, architecture: str, out: Path) -> None:
    """Put the unlocked packages into `out`, with their metadata and licences.

    Raises:
        ValueError: one has machine code, and this machine is of another architecture.
    """
    for package in packages.unlocked:
        for place in map(_place, package.modules):
            native = sorted(place.rglob("*.so")) if place.is_dir() else [place] if place.suffix == ".so" else []
            if native and platform.machine().lower() not in MACHINES[architecture]:
                raise ValueError(
                    f"{package.name} has machine code ({native[0].name}) for this machine and not for {architecture}; "
                    "build on such a machine, or add it to locks/run.txt"
                )
            if place.is_dir():
                shutil.copytree(place, out / place.name, ignore=NOT_COPIED, dirs_exist_ok=True)
            else:
                shutil.copy(place, out / place.name)
        if package.version:
            _copy_metadata(package, out)


def copy_specs(directory: str | None, run_config: str, out: Path) -> str:
    """Put the spec files into `out` as JSON; returns the run config with their folder in it.

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


def drop_metadata(out: Path, external: frozenset[str]) -> None:
    """Remove the `.dist-info` folders, but for the METADATA of `external`: their versions are checked at run time."""
    for info in sorted(out.glob("*.dist-info")):
        if normal(info.name.partition("-")[0]) not in external:
            remove(info)
            continue
        for path in list(info.iterdir()):
            if path.name != "METADATA":
                remove(path)


def _faults(spec: ProviderSpec, module: str | None) -> Iterator[str]:
    if module is not None and (fault := version_fault(module)) is not None:
        yield fault
    if missing := missing_packages(spec):
        yield f"{spec.provider_type} needs {', '.join(missing)}: `{pip_install(missing)}`"
    for name in _list_modules(spec):
        if find_spec(_top(name)) is None:
            top = _top(name)
            yield f"{spec.provider_type} is in `{top}`, which is not installed: install it, in its folder with `{pip_install_here()}`"


def _list_modules(spec: ProviderSpec) -> Iterator[str]:
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


def _owner(top: str, installed: Mapping[str, list[str]]) -> str:
    """The distribution that a module is from, by its normal name; "" for a bare folder on the path."""
    if top in installed:
        return normal(installed[top][0])
    place = _place(top).resolve()
    for distribution in metadata.distributions():
        folder = _editable_folder(distribution)
        if folder is not None and place.is_relative_to(folder):
            return normal(distribution.metadata["Name"])
    return ""


def _editable_folder(distribution: metadata.Distribution) -> Path | None:
    """The folder of an editable installation, None for another one.

    Source: https://packaging.python.org/en/latest/specifications/direct-url/.
    """
    text = distribution.read_text("direct_url.json")
    origin: dict[str, Any] = json.loads(text) if text else {}
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlparse(origin["url"]).path)).resolve()


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _closure(roots: set[str]) -> set[str]:
    """With what they require, as far as it is installed; llambda itself is in the package anyway."""
    needed: set[str] = set()
    waiting = sorted(roots)
    while waiting:
        name = waiting.pop()
        distribution = _distribution(name)
        if name not in needed and name != SELF and distribution is not None:
            needed.add(name)
            waiting += list_requirements(distribution)
    return needed


def _describe_package(name: str, tops: Mapping[str, str]) -> UnlockedPackage:
    distribution = _distribution(name)
    candidates = (top for top, owner in tops.items() if owner == name and top.isidentifier())
    modules = sorted(top for top in candidates if find_spec(top) is not None)
    return UnlockedPackage(name, distribution.version if distribution is not None else "", tuple(modules))


def _copy_metadata(package: UnlockedPackage, out: Path) -> None:
    """As an installer leaves them, so that its licences are found, and its version at run time."""
    distribution = _distribution(package.name)
    if distribution is None:
        return
    info = out / f"{package.name.replace('-', '_')}-{package.version}.dist-info"
    texts = {"METADATA": distribution.read_text("METADATA") or "", **licence_texts(distribution)}
    for path, text in texts.items():
        (info / path).parent.mkdir(parents=True, exist_ok=True)
        (info / path).write_text(text, encoding="utf-8")
    rows = [*(f"{top}/__init__.py" for top in package.modules), *(f"{info.name}/{path}" for path in texts)]
    (info / "RECORD").write_text("".join(f"{row},,\n" for row in rows), encoding="utf-8")


def _list_imports(place: Path) -> Iterator[str]:
    for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        for node in ast.walk(ast.parse(file.read_bytes())) if file.suffix == ".py" else ():
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
