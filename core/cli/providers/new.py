"""What `llambda providers new` writes: a package whose tests pass, out of the texts in template/."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
import re
from typing import Final

from core.platform.commands import path_word, pip_install_here, program, python

TEMPLATES: Final = Path(__file__).parent / "template"
NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME: Final = 40
APIS: Final = tuple(sorted({path.name.partition("_")[2] for path in TEMPLATES.glob("*_*")}))
"""Those that there are templates for."""

PLACE: Final = re.compile(r"@([A-Z]+)@")
OWN_PROTOCOLS: Final = {"agents": "core.apis.agents:RunsAgents"}
"""Of APIs whose providers are another's here, beside that one's."""
FACTORIES: Final = {"remote": "get_adapter_impl", "inline": "get_provider_impl"}
NEEDS: Final = {
    ("inline", "safety"): '"inference"',
    ("inline", "batches"): '"files", "inference"',
    ("inline", "eval"): '"datasetio", "inference"',
}
REQUIRES: Final = {"remote": '"aiohttp>=3.14,<4", "pydantic>=2.13,<3"', "inline": '"pydantic>=2.13,<3"'}


@dataclass(frozen=True, slots=True)
class NewPackage:
    name: str
    api: str
    flavour: str

    @property
    def provider_type(self) -> str:
        """As a run config names it."""
        return f"{self.flavour}::{self.name}"

    @property
    def module(self) -> str:
        """The package that is imported."""
        return f"llambda_provider_{self.name.replace('-', '_')}"


def fault_of(package: NewPackage) -> str | None:
    """What is wrong with its name, if something is."""
    from core.resolution.provider_types import built_in  # late: `--help` does not need it

    if not NAME.fullmatch(package.name) or len(package.name) > LONGEST_NAME:
        return (
            f"`{package.name}` is not a name for a provider: lower-case letters, digits and single hyphens, "
            f"a letter first, at most {LONGEST_NAME} characters"
        )
    if (package.api, package.provider_type) in built_in():
        return f"`{package.provider_type}` is built in; choose another name"
    return None


def files(package: NewPackage) -> dict[str, str]:
    """The text of each file by its path in the package's folder."""
    template, module = f"{package.flavour}_{package.api}", package.module
    sources = {
        "README.md": "common/README.md",
        "pyproject.toml": "common/pyproject.toml",
        ".gitignore": "common/gitignore",
        f"{module}/__init__.py": f"{template}/init.py",
        f"{module}/adapter.py": f"{template}/adapter.py",
        f"{module}/config.py": f"{template}/config.py",
        f"{module}/provider.py": "common/provider.py",
        f"providers.d/{package.flavour}/{package.api}/{package.name}.yaml": f"common/{package.flavour}.yaml",
        "run.yaml": f"{template}/run.yaml",
        "tests/test_adapter.py": f"{template}/test_adapter.py",
        "tests/test_specs.py": "common/test_specs.py",
    }
    words = _words(package)
    return {
        path: PLACE.sub(lambda place: words[place[1]], (TEMPLATES / f"{source}.txt").read_text("utf-8"))
        for path, source in sources.items()
    }


def write(folder: Path, texts: dict[str, str]) -> None:
    """Make the folder; raises FileExistsError where there is one, whatever is in it."""
    folder.mkdir(parents=True)
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")


def next_commands(folder: Path) -> list[str]:
    """Install it, test it, check it, serve it; the first goes to the folder, in which the others are."""
    install = pip_install_here()
    return [
        f"cd {path_word(folder)}",
        install if find_spec("pytest") else f"{install} pytest",
        f"{python()} -m pytest",
        f"{program()} providers check --config run.yaml",
        f"{program()} serve run.yaml",
    ]


def _words(package: NewPackage) -> dict[str, str]:
    from core.apis.index import manifest  # nothing that `--help` needs
    from core.config.sections import OLDER_APIS

    served = OLDER_APIS.get(package.api, package.api)
    module, _, protocol = OWN_PROTOCOLS.get(package.api, manifest(served).provider or "").partition(":")
    return {
        "NAME": package.name,
        "ENV": package.name.replace("-", "_").upper(),
        "DIST": f"llambda-provider-{package.name}",
        "MODULE": package.module,
        "CLASS": "".join(part.capitalize() for part in package.name.split("-")),
        "TYPE": package.provider_type,
        "FLAVOUR": package.flavour,
        "API": package.api,
        "SERVED": served,
        "ARTICLE": "an" if package.api[0] in "aeiou" else "a",
        "FACTORY": FACTORIES[package.flavour],
        "PROTOCOL": protocol,
        "CONTRACT": f"{module.replace('.', '/')}.py",
        "KEY": f"{package.name.replace('-', '_')}_api_key",
        "REQUIRES": REQUIRES[package.flavour],
        "PIP": '"aiohttp"' if package.flavour == "remote" else "",
        "NEEDS": NEEDS.get((package.flavour, package.api), ""),
    }
