"""`python -m infra.build InferenceFunction OUT`: one function's package, ready to be zipped.

It has `core`, one module of `functions`, the run config compiled to JSON, and of the locked dependencies, for the
processor that it will run on, those that the function can import under this run config; all as byte code, because
the file system of a running function is read-only and without it every cold start compiles. `sam build` calls it through
the Makefile (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-custom-runtimes.html).
"""

import argparse
from dataclasses import dataclass, field
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
from typing import Final

from infra import bytecode, precompile
from infra.archive import parts_of
from infra.dependencies import LOCK, Dependency, keep, licences
from infra.external import Externals, copy, copy_specs, drop_metadata, externals, with_directory
from infra.needs import Needs, needs
from infra.rewrite import rewrite
from infra.sdk_data import cut
from infra.trim import remove, trim
from infra.uv import uv

ROOT: Final = Path(__file__).resolve().parents[1]
CONFIG: Final = ROOT / "infra" / "distributions" / "lambda.yaml"
WRAPPER: Final = ROOT / "infra" / "stream"
RUN_CONFIG: Final = "run.json"
LICENCES: Final = "THIRD_PARTY_LICENSES"
PRECOMPILED: Final = "core/runtime/precompiled.bin"
PLATFORMS: Final = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
PYTHON: Final = (3, 13)
BUDGET_MB: Final = 40.0
MB: Final = 1_000_000
BUILT: Final = 1_577_836_800  # 2020-01-01: the same sources give the same zip
NOT_DEPLOYED: Final = ("core/cli", "core/runtime/server.py")  # the laptop's side


@dataclass(frozen=True, slots=True)
class Build:
    """What to build: `module` of functions/, for `architecture`, with the run config at `config`, into `out`."""

    module: str
    out: Path
    config: Path = CONFIG
    architecture: str = "arm64"


@dataclass(frozen=True, slots=True)
class Built:
    """What is in a package, and why."""

    run_config: str
    needs: Needs
    dependencies: list[Dependency]
    unlocked: list[str] = field(default_factory=list[str])


def module_of(function: str) -> str:
    """The module behind a function of template.yaml: `VectorIoFunction` is `vector_io`.

    Raises:
        ValueError: there is no such module.
    """
    module = re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()
    if module not in modules():
        raise ValueError(f"{function}: there is no functions/{module}.py")
    return module


def modules() -> list[str]:
    """Every function, by its module."""
    return sorted(path.stem for path in (ROOT / "functions").glob("[!_]*.py"))


def build(wanted: Build) -> Built:
    """Make the package in `wanted.out`, whatever was there before.

    Raises:
        ValueError: this Python is not the function's, the run config has problems, or a table of infra/ is stale.
        FileNotFoundError: there is no uv.
        subprocess.CalledProcessError: the dependencies could not be installed; uv has said why.
    """
    if sys.version_info[:2] != PYTHON:
        raise ValueError(f"byte code for Python {PYTHON[0]}.{PYTHON[1]} cannot be made by {sys.version.split()[0]}")
    run_config = _compiled(wanted.config)
    directory, run_config = with_directory(run_config)
    foreign = externals(needs(wanted.module, run_config).external)
    needed = needs(wanted.module, run_config, foreign.imports)
    remove(wanted.out)
    wanted.out.mkdir(parents=True)
    _install(wanted)
    copy(foreign, wanted.architecture, wanted.out)
    kept = keep(
        wanted.out,
        needed.libraries,
        everything=needed.everything,
        named=foreign.distributions,
        perhaps=foreign.libraries,
    )
    trim(wanted.out)
    rewrite(wanted.out)
    if (data := wanted.out / "botocore" / "data").exists():
        cut(data)
    _copy_sources(wanted)
    run_config = copy_specs(directory, run_config, wanted.out)
    drop_metadata(wanted.out, foreign.distributions)
    _write(wanted.out, run_config, licences(kept))
    _precompile(wanted.out, needed)
    subprocess.run(
        [sys.executable, "-I", "-S", "-X", "no_debug_ranges", bytecode.__file__, str(wanted.out)], check=True
    )
    _settle(wanted.out)
    return Built(run_config, needed, kept, _said(foreign))


def _said(foreign: Externals) -> list[str]:
    lines = [str(each) for each in foreign.unlocked]
    for line in lines:
        print(line, file=sys.stderr)
    return lines


def _install(wanted: Build) -> None:
    command = [uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--no-compile", "--link-mode", "copy", "--python", sys.executable]
    command += ["--python-platform", PLATFORMS[wanted.architecture], "--python-version", "3.13"]
    subprocess.run([*command, "--target", str(wanted.out), "-r", str(LOCK)], check=True)


def _copy_sources(wanted: Build) -> None:
    shutil.copytree(ROOT / "core", wanted.out / "core", ignore=shutil.ignore_patterns("__pycache__"))
    for path in NOT_DEPLOYED:
        remove(wanted.out / path)
    functions = wanted.out / "functions"
    functions.mkdir()
    for name in ("__init__.py", f"{wanted.module}.py"):
        shutil.copy(ROOT / "functions" / name, functions)


def _precompile(out: Path, needed: Needs) -> None:
    """Without a random order of sets, so that the same sources give the same file."""
    modules = sorted(name for name in needed.modules if name.startswith("core."))
    command = [sys.executable, "-P", "-s", "-X", "no_debug_ranges", precompile.__file__, str(out / PRECOMPILED)]
    subprocess.run([*command, *modules], env={"PYTHONHASHSEED": "0"}, check=True)


def _write(out: Path, run_config: str, terms: str) -> None:
    (out / RUN_CONFIG).write_text(run_config, encoding="utf-8")
    (out / LICENCES).write_text(terms, encoding="utf-8")
    if WRAPPER.exists():
        shutil.copy(WRAPPER, out)


def _compiled(config: Path) -> str:
    from core.config.load import compile_json
    from core.config.problems import ConfigInvalid

    try:
        return compile_json(config)
    except ConfigInvalid as failure:
        raise ValueError(str(failure)) from failure


def _settle(out: Path) -> None:
    for path in out.rglob("*"):
        runs = path.is_dir() or path.suffix == ".so" or path.name == WRAPPER.name
        path.chmod(0o755 if runs else 0o644)
        os.utime(path, (BUILT, BUILT))


def size_mb(folder: Path) -> float:
    """Megabytes (10^6 bytes) of what is in `folder`, unzipped."""
    return sum(parts_of(folder).values()) / MB


def report(wanted: Build) -> str:
    """The package's size and its largest parts, with a warning when it is over the budget."""
    total = size_mb(wanted.out)
    largest = ", ".join(f"{name} {size / MB:.1f}" for name, size in list(parts_of(wanted.out).items())[:5])
    warning = f"; WARNING: over the budget of {BUDGET_MB:.0f} MB" if total > BUDGET_MB else ""
    return f"functions.{wanted.module} ({wanted.architecture}): {total:.1f} MB unzipped ({largest}){warning}"


def main() -> int:
    """Exit code 0, or 2 with one line about what was wrong."""
    parser = argparse.ArgumentParser(description="Build one function's package.")
    parser.add_argument("function", help="its name in template.yaml")
    parser.add_argument("out", type=Path, help="the folder to make; what is there is replaced")
    parser.add_argument("--config", type=Path, default=os.environ.get("LLAMBDA_BUILD_CONFIG") or CONFIG)
    architecture = os.environ.get("LLAMBDA_BUILD_ARCHITECTURE") or "arm64"
    parser.add_argument("--architecture", choices=PLATFORMS, default=architecture)
    options = parser.parse_args()
    try:
        wanted = Build(module_of(options.function), options.out, Path(options.config), options.architecture)
        build(wanted)
    except (ValueError, FileNotFoundError, subprocess.CalledProcessError) as failure:
        print(f"infra.build: {failure}", file=sys.stderr)
        return 2
    print(report(wanted))
    return 0


if __name__ == "__main__":
    sys.exit(main())
