"""`llambda build`: the functions' packages for AWS Lambda, out of a checkout."""

import argparse
from collections import Counter
import json
from pathlib import Path
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from core.cli.options import Commands
from core.config import distributions

if TYPE_CHECKING:
    from infra.package import Package

DESCRIPTION: Final = """\
Build the functions' packages: folders, zips, and bills of materials (CycloneDX).
The same sources, lock file and run config give the same zips, byte for byte.
`sam build` makes the same packages; nothing here needs it, or an account.
"""
EXAMPLES: Final = """\
examples:
  llambda build --report                    every function, for the distribution `lambda`
  llambda build --function inference --config mine.yaml --architecture x86_64
"""
NO_CHECKOUT: Final = "llambda build: works in a checkout alone: the installed package has no sources to build from"
MB: Final = 1_000_000
LARGEST: Final = 8  # parts that a report names


def add_to(commands: Commands) -> None:
    """The `build` command."""
    command = commands.add_parser("build", help="build the packages for AWS Lambda", description=DESCRIPTION)
    command.epilog = EXAMPLES
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    names = ", ".join(distributions.names())
    command.add_argument(
        "--function", metavar="NAME", action="append", help="one of functions/, as inference (repeatable; default: all)"
    )
    command.add_argument(
        "--config", metavar="CONFIG", default="lambda", help=f"a run config file, or a distribution: {names} (lambda)"
    )
    command.add_argument("--architecture", choices=("arm64", "x86_64"), default="arm64", help="(default: %(default)s)")
    command.add_argument("--out", metavar="DIR", type=Path, default=Path("build"), help="(default: %(default)s)")
    command.add_argument("--report", action="store_true", help="also say what they are made of")
    command.add_argument("--json", action="store_true", help="print all of it as JSON")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    config = distributions.find(options.config)
    try:
        packages = _packages(options, config)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != "infra":
            raise
        print(NO_CHECKOUT, file=sys.stderr)
        return 1
    except (ValueError, FileNotFoundError) as mistake:
        print(f"llambda build: {mistake}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError:
        print("llambda build: the dependencies could not be installed", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps([each.as_json() for each in packages], indent=1))
        return 0
    print(_table(packages))
    if options.report:
        print("".join(f"\n{_details(each)}" for each in packages))
    return 0


def _packages(options: argparse.Namespace, config: Path) -> "list[Package]":
    from infra.build import Build, module_of, modules
    from infra.package import package

    wanted = [module_of(name) for name in options.function or modules()]
    made: list[Package] = []
    for number, name in enumerate(dict.fromkeys(wanted), 1):
        print(f"building {name} for {options.architecture} ({number} of {len(set(wanted))})", file=sys.stderr)
        made.append(package(Build(name, options.out / name, config, options.architecture)))
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
