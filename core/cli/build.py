"""`llambda build`: the functions' packages for AWS Lambda, out of a checkout."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import click

from core.cli.options import config_option, json_option, print_json
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
NO_CHECKOUT: Final = "llambda build works in a checkout alone: the installed package has no sources to build from"
MB: Final = 1_000_000
LARGEST: Final = 8  # parts that a report names


@click.command(epilog=EXAMPLES)
@click.option(
    "--function",
    "functions",
    metavar="NAME",
    multiple=True,
    help="One of functions/, as inference (repeatable; default: all).",
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
@click.option("--report", is_flag=True, help="Also say what they are made of.")
@json_option
def command(
    functions: tuple[str, ...], config: str, architecture: str, out: Path, *, report: bool, as_json: bool
) -> None:
    """Build the functions' packages for AWS Lambda: folders, zips, bills of materials.

    The same sources, lock file and run config give the same zips, byte for byte.
    `sam build` makes the same packages; nothing here needs it, or an account.
    """
    packages = _made(functions, distributions.find(config), architecture, out)
    if as_json:
        print_json([each.as_json() for each in packages])
        return
    print(_table(packages))
    if report:
        print("".join(f"\n{_details(each)}" for each in packages))


def _made(functions: Sequence[str], config: Path, architecture: str, out: Path) -> "list[Package]":
    try:
        return _packages(functions, config, architecture, out)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != "infra":
            raise
        raise click.ClickException(NO_CHECKOUT) from missing
    except (ValueError, FileNotFoundError) as mistake:
        raise click.UsageError(str(mistake)) from mistake
    except subprocess.CalledProcessError as failure:
        raise click.ClickException("the dependencies could not be installed") from failure


def _packages(functions: Sequence[str], config: Path, architecture: str, out: Path) -> "list[Package]":
    from infra.build import Build, module_of, modules
    from infra.package import package

    wanted = list(dict.fromkeys(module_of(name) for name in functions or modules()))
    made: list[Package] = []
    for number, name in enumerate(wanted, 1):
        print(f"building {name} for {architecture} ({number} of {len(wanted)})", file=sys.stderr)
        made.append(package(Build(name, out / name, config, architecture)))
    return made


def _table(packages: "list[Package]") -> str:
    rows = [("function", "architecture", "unzipped", "zipped", "sha256 of the zip")]
    rows += [
        (each.function, each.architecture, _mb(each.weight.unzipped), _mb(each.weight.zipped), each.weight.sha256)
        for each in packages
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _details(each: "Package") -> str:
    largest = ", ".join(f"{name} {_mb(size)}" for name, size in list(each.weight.parts.items())[:LARGEST])
    versions = ", ".join(f"{name} {version}" for name, version in each.dependencies.items())
    types = Counter(name.partition("/")[0] for name in each.provider_types)
    counted = ", ".join(f"{number} of {api}" for api, number in types.items())
    lines = (
        f"{each.zip}, {each.sbom}",
        f"largest: {largest}",
        f"dependencies: {versions}",
        f"provider types that it can serve: {counted}",
    )
    return f"{each.function}\n" + "".join(f"  {line}\n" for line in lines)


def _mb(size: int) -> str:
    return f"{size / MB:.1f} MB"
