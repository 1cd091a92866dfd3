"""The locked dependencies as they are installed in a folder: which of them are needed, what they may be used under."""

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
LICENCES: Final = re.compile(r"(^|/)(licen[cs]es?/|licen[cs]e|copying|notice|authors)[^/]*", re.IGNORECASE)
CLASSIFIER: Final = "License :: OSI Approved :: "
LONGEST_NAME: Final = 60  # of a licence; some packages put its whole text there
NOTICE: Final = "What this package contains beside llambda itself, and the terms of each.\n"


@dataclass(frozen=True, slots=True)
class Dependency:
    """`requires` are names of other locked dependencies, `hashes` the SHA-256 of every file that the lock allows.

    `licence` is an SPDX expression, or else what the metadata call it.
    """

    name: str
    version: str
    licence: str
    is_spdx: bool
    requires: tuple[str, ...]
    modules: frozenset[str]
    hashes: tuple[str, ...]
    licence_texts: Mapping[str, str] = field(repr=False)


def keep(
    out: Path,
    libraries: frozenset[str],
    *,
    everything: bool,
    named: frozenset[str] = frozenset(),
    perhaps: frozenset[str] = frozenset(),
) -> list[Dependency]:
    """Remove from `out` what was installed there and is not needed to import `libraries`; returns what is left.

    Needed are, too, the dependencies that are `named`, and those that modules of `perhaps` are from.

    Raises:
        ValueError: the lock has nothing that is imported as one of them.
    """
    installed = {normal(each.metadata["Name"]): each for each in distributions(path=[str(out)])}
    found = _described(installed)
    needed = set(found) if everything else _needed(found, libraries, named, perhaps)
    for name, each in installed.items():
        if name not in needed:
            for file in each.files or ():
                remove(out / str(file))
    for folder in sorted((path for path in out.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return [found[name] for name in sorted(needed)]


def licences(kept: Iterable[Dependency]) -> str:
    """The texts under which they may be handed on, one after the other."""
    parts = [NOTICE]
    for each in kept:
        parts.append(f"\n{'=' * 79}\n{each.name} {each.version}: {each.licence or 'see below'}\n")
        parts += [f"{'-' * 79}\n{file}\n\n{text.strip()}\n" for file, text in sorted(each.licence_texts.items())]
    return "".join(parts)


def locked() -> dict[str, tuple[str, ...]]:
    """The allowed SHA-256 of each dependency by its name."""
    hashes: dict[str, list[str]] = {}
    name = ""
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if not line.startswith((" ", "#")):
            name = normal(line.partition("==")[0])
            hashes[name] = []
        hashes[name] += re.findall(r"--hash=sha256:([0-9a-f]{64})", line)
    return {name: tuple(sorted(found)) for name, found in hashes.items()}


def normal(name: str) -> str:
    """The name as indexes spell it (https://packaging.python.org/en/latest/specifications/name-normalization/)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(
    found: Mapping[str, Dependency], libraries: frozenset[str], named: frozenset[str], perhaps: frozenset[str]
) -> set[str]:
    owners = {module: name for name, each in found.items() for module in each.modules}
    if unknown := sorted(libraries - set(owners)):
        raise ValueError(f"nothing in {LOCK.relative_to(ROOT)} is imported as {', '.join(unknown)}")
    needed: set[str] = set()
    waiting = [owners[library] for library in libraries | (perhaps & set(owners))]
    waiting += named & set(found)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += found[name].requires
    return needed


def required(each: Distribution) -> list[str]:
    """The normal names of what it requires without its extras."""
    return list(_requires(each, frozenset()))


def _described(installed: Mapping[str, Distribution]) -> dict[str, Dependency]:
    hashes, extras = locked(), _extras()
    return {
        name: Dependency(
            name,
            each.version,
            _licence(cast("Message", each.metadata)),
            "License-Expression" in each.metadata,
            tuple(sorted(set(_requires(each, extras.get(name, frozenset()))) & set(installed) - UNNEEDED)),
            frozenset(_modules(each)),
            hashes.get(name, ()),
            _texts(each),
        )
        for name, each in installed.items()
    }


def _extras() -> dict[str, frozenset[str]]:
    """The extras that this project asks for: `pyjwt[crypto]`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [re.match(r"([\w.-]+)\[([\w,-]+)\]", each) for each in project["dependencies"]]
    return {normal(match[1]): frozenset(match[2].split(",")) for match in found if match}


def _requires(each: Distribution, extras: frozenset[str]) -> Iterator[str]:
    for line in each.requires or ():
        requirement, _, marker = line.partition(";")
        optional = re.search(r"extra\s*==\s*[\"']([\w-]+)", marker)
        if optional is None or optional[1] in extras:
            yield normal(re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0])


def _modules(each: Distribution) -> Iterator[str]:
    for file in each.files or ():
        first = file.parts[0]
        if not first.endswith(".dist-info") and (len(file.parts) > 1 or first.endswith((".py", ".so"))):
            yield first.partition(".")[0]


def _licence(metadata: Message) -> str:
    classified = [line.removeprefix(CLASSIFIER) for line in metadata.get_all("Classifier", []) if CLASSIFIER in line]
    named = str(metadata.get("License") or "")
    short = named if len(named) <= LONGEST_NAME and "\n" not in named else ""
    return str(metadata.get("License-Expression") or short or ", ".join(classified))


def _texts(each: Distribution) -> dict[str, str]:
    found = [file for file in each.files or () if ".dist-info/" in str(file) and LICENCES.search(_inside(str(file)))]
    return {_inside(str(file)): file.read_text(encoding="utf-8") for file in found}


def _inside(file: str) -> str:
    return file.partition(".dist-info/")[2]
