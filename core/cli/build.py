"""`llambda build`: the functions' packages for AWS Lambda, out of a checkout."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
import subprocess
from typing import TYPE_CHECKING, Final

import click

from core.cli.options import config_option, json_option, print_json
from core.cli.terminal import show, ticking, wrap_table
from core.config import distributions

if TYPE_CHECKING:
    from infra.package import Package

EXAMPLES: Final = """\
\b
Examples:
  llambda build --report          every function, for distribution `lambda`
  llambda build --function inference --config mine.yaml
  llambda build --architecture x86_64 --out /tmp/packages --json
"""
NO_CHECKOUT: Final = "llambda build works only in a checkout: the installed package has no sources to build from"
MB: Final = 1_000_000
LARGEST: Final = 8  # parts that a report names


@click.command(epilog=EXAMPLES)
@click.option(
    "--function",
    "functions",
    metavar="NAME",
    multiple=True,
    help="A module of functions/, such as inference (repeatable; default: all).",
)
@config_option("--template", default="lambda", envvar=None)
@click.option("--architecture", type=click.Choice(("arm64", "x86_64")), default="arm64", show_default=True)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build"),
    show_default=True,
    help="Where the packages go.",
)
@click.option("--report", is_flag=True, help="Also list what is in each package.")
@json_option
def command(
    functions: tuple[str, ...], config: str, architecture: str, out: Path, *, report: bool, as_json: bool
) -> None:
    """Build the functions' packages for AWS Lambda: folders, zips, bills of materials.

    The same sources, lock file and run config give the same zips, byte for byte.
    `sam build` makes the same packages; nothing here needs it, or an account.
    """
    packages = _build_packages(functions, distributions.find(config), architecture, out)
    if as_json:
        print_json([package.to_json() for package in packages])
        return
    for line in _table(packages):
        print(line)
    if report:
        show("".join(f"\n{_details(package)}" for package in packages))


def _build_packages(functions: Sequence[str], config: Path, architecture: str, out: Path) -> "list[Package]":
    try:
        return _build_each(functions, config, architecture, out)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != "infra":
            raise
        raise click.ClickException(NO_CHECKOUT) from missing
    except (ValueError, FileNotFoundError) as mistake:
        raise click.UsageError(str(mistake)) from mistake
    except subprocess.CalledProcessError as failure:
        raise click.ClickException("the dependencies could not be installed") from failure


def _build_each(functions: Sequence[str], config: Path, architecture: str, out: Path) -> "list[Package]":
    from infra.build import BuildRequest, module_of, modules
    from infra.package import package

    names = list(dict.fromkeys(module_of(name) for name in functions or modules()))
    packages: list[Package] = []
    for number, name in enumerate(names, 1):
        with ticking(f"building {name} for {architecture} ({number} of {len(names)})"):
            packages.append(package(BuildRequest(name, out / name, config, architecture)))
    return packages


def _table(packages: "list[Package]") -> Iterator[str]:
    weights = [(package, package.weight) for package in packages]
    rows = [(p.function, p.architecture, _mb(w.unzipped), _mb(w.zipped), w.sha256) for p, w in weights]
    return wrap_table([("function", "architecture", "unzipped", "zipped", "sha256 of the zip"), *rows])


def _details(package: "Package") -> str:
    largest = ", ".join(f"{name} {_mb(size)}" for name, size in list(package.weight.parts.items())[:LARGEST])
    versions = ", ".join(f"{name} {version}" for name, version in package.dependencies.items())
    types = Counter(name.partition("/")[0] for name in package.provider_types)
    counts = ", ".join(f"{number} of {api}" for api, number in types.items())
    lines = (
        f"{package.zip}, {package.sbom}",
        f"largest: {largest}",
        f"dependencies: {versions}",
        f"provider types that it can serve: {counts}",
    )
    return f"{package.function}\n" + "".join(f"  {line}\n" for line in lines)


def _mb(size: int) -> str:
    return f"{size / MB:.1f} MB"
