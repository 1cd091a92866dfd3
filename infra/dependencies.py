"""The locked dependencies of a package: which of those installed in a folder are needed, and their licences."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path
import re
import tomllib
from typing import Final, cast

from infra.trim import remove

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "locks" / "run.txt"
UNNEEDED: Final = frozenset({"pycparser"})  # cffi parses C with it, when something is built
UNSAID: Final = {"aioboto3": ("boto3",)}  # which it wants as an extra of aiobotocore that aiobotocore 3 has no more
LICENCES: Final = re.compile(r"(^|/)(licen[cs]es?/|licen[cs]e|copying|notice|authors)[^/]*", re.IGNORECASE)
CLASSIFIER: Final = "License :: OSI Approved :: "
LONGEST_NAME: Final = 60  # of a licence; some packages put its whole text there
NOTICE: Final = "What this package contains beside llambda itself, and the terms of each.\n"


@dataclass(frozen=True, slots=True)
class Dependency:
    """`requires` are names of other locked dependencies, `hashes` the SHA-256 of every file that the lock allows.

    `modules` are top-level names. `licence` is an SPDX expression, or else as the metadata name it.
    """

    name: str
    version: str
    licence: str
    is_spdx: bool
    requires: tuple[str, ...]
    modules: frozenset[str]
    hashes: tuple[str, ...]
    licence_texts: Mapping[str, str] = field(repr=False)


def prune(
    out: Path,
    libraries: frozenset[str],
    *,
    everything: bool,
    external: frozenset[str] = frozenset(),
    optional: frozenset[str] = frozenset(),
) -> list[Dependency]:
    """Remove from `out` what was installed there and is not needed to import `libraries`; returns what is left.

    It is in the order of its names. The dependencies named in `external` stay too, and the owners of the `optional`
    libraries where there are any.

    Raises:
        ValueError: the lock has nothing that is imported as one of them.
    """
    installed = {normal(entry.metadata["Name"]): entry for entry in distributions(path=[str(out)])}
    dependencies = _describe(installed)
    needed = set(dependencies) if everything else _select(dependencies, libraries, external, optional)
    for name, distribution in installed.items():
        if name not in needed:
            for file in distribution.files or ():
                remove(out / str(file))
    for folder in sorted((path for path in out.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return [dependencies[name] for name in sorted(needed)]


def licences(dependencies: Iterable[Dependency]) -> str:
    """The licence texts, one after the other; most licences ask that they go with every copy."""
    parts = [NOTICE]
    for one in dependencies:
        parts.append(f"\n{'=' * 79}\n{one.name} {one.version}: {one.licence or 'see below'}\n")
        parts += [f"{'-' * 79}\n{file}\n\n{text.strip()}\n" for file, text in sorted(one.licence_texts.items())]
    return "".join(parts)


def read_lock() -> dict[str, tuple[str, ...]]:
    """The SHA-256, in hex, that the lock allows of each dependency, by its normal name."""
    hashes: dict[str, list[str]] = {}
    name = ""
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if not line.startswith((" ", "#")):
            name = normal(line.partition("==")[0])
            hashes[name] = []
        hashes[name] += re.findall(r"--hash=sha256:([0-9a-f]{64})", line)
    return {name: tuple(sorted(digests)) for name, digests in hashes.items()}


def normal(name: str) -> str:
    """The name as indexes spell it (https://packaging.python.org/en/latest/specifications/name-normalization/)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _select(
    dependencies: Mapping[str, Dependency],
    libraries: frozenset[str],
    external: frozenset[str],
    optional: frozenset[str],
) -> set[str]:
    """The names of the needed ones, with all that these require."""
    owners: dict[str, list[str]] = {}  # several share a name that is no module by itself, as arro3
    for name, dependency in dependencies.items():
        for module in dependency.modules:
            owners.setdefault(module, []).append(name)
    if unknown := sorted(libraries - set(owners)):
        raise ValueError(f"nothing in {LOCK.relative_to(ROOT)} is imported as {', '.join(unknown)}")
    needed: set[str] = set()
    waiting = [name for library in libraries | (optional & set(owners)) for name in owners[library]]
    waiting += external & set(dependencies)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += dependencies[name].requires
    return needed


def list_requirements(distribution: Distribution) -> list[str]:
    """The normal names of what it requires, without what its extras add."""
    return list(_requires(distribution, frozenset()))


def _describe(installed: Mapping[str, Distribution]) -> dict[str, Dependency]:
    hashes, extras = read_lock(), _extras()
    requires = {
        name: {*_requires(distribution, extras.get(name, frozenset())), *UNSAID.get(name, ())}
        for name, distribution in installed.items()
    }
    return {
        name: Dependency(
            name,
            distribution.version,
            _licence(cast("Message", distribution.metadata)),
            "License-Expression" in distribution.metadata,
            tuple(sorted(requires[name] & set(installed) - UNNEEDED)),
            frozenset(_modules(distribution)),
            hashes.get(name, ()),
            licence_texts(distribution),
        )
        for name, distribution in installed.items()
    }


def _extras() -> dict[str, frozenset[str]]:
    """The extras that this project asks for: `pyjwt[crypto]`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    matches = [re.match(r"([\w.-]+)\[([\w,-]+)\]", requirement) for requirement in project["dependencies"]]
    return {normal(match[1]): frozenset(match[2].split(",")) for match in matches if match}


def _requires(distribution: Distribution, extras: frozenset[str]) -> Iterator[str]:
    for line in distribution.requires or ():
        requirement, _, marker = line.partition(";")
        optional = re.search(r"extra\s*==\s*[\"']([\w-]+)", marker)
        if optional is None or optional[1] in extras:
            yield normal(re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0])


def _modules(distribution: Distribution) -> Iterator[str]:
    for file in distribution.files or ():
        first = file.parts[0]
        if not first.endswith(".dist-info") and (len(file.parts) > 1 or first.endswith((".py", ".so"))):
            yield first.partition(".")[0]


def _licence(metadata: Message) -> str:
    classifiers = [line.removeprefix(CLASSIFIER) for line in metadata.get_all("Classifier", []) if CLASSIFIER in line]
    text = str(metadata.get("License") or "")
    name = text if len(text) <= LONGEST_NAME and "\n" not in text else ""
    return str(metadata.get("License-Expression") or name or ", ".join(classifiers))


def licence_texts(distribution: Distribution) -> dict[str, str]:
    """The texts of the licence files in its `.dist-info`, by their path in it."""
    paths = ((str(file).partition(".dist-info/")[2], file) for file in distribution.files or ())
    return {path: _text(file.read_binary()) for path, file in paths if LICENCES.search(path)}


def _text(content: bytes) -> str:
    """Licences of some C libraries are Latin-1, for the sake of their (c)."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
