"""`python -m infra.build InferenceFunction OUT`: one function's package, ready to be zipped.

It has `core`, one module of `functions`, the run config compiled to JSON, and of the locked dependencies, for the
processor that it will run on, those that the function can import under this run config; all as byte code, because the
file system of a running function is read-only and without it every cold start compiles. `sam build` calls it through
the Makefile
(https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-custom-runtimes.html).
"""

import argparse
from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
from typing import Final

from core.apis.index import manifest
from core.frame.api import WORKER
from core.stores.connect import STATE
from infra import bytecode, precompile
from infra.archive import parts_of
from infra.dependencies import LOCK, Dependency, licences, prune
from infra.external import ExternalPackages, copy, copy_specs, drop_metadata, find_external_packages, resolve_directory
from infra.modules import pack
from infra.needs import ENGINES, PARQUET, Needs, needs, only_called
from infra.rewrite import rewrite
from infra.sdk_data import ONLY_WITH, trim_sdk_data
from infra.trim import remove, trim
from infra.uv import uv

ROOT: Final = Path(__file__).resolve().parents[1]
CONFIG: Final = ROOT / "infra" / "distributions" / "lambda.yaml"
WRAPPER: Final = ROOT / "infra" / "stream"
RUN_CONFIG: Final = "run.json"
LICENCES: Final = "THIRD_PARTY_LICENSES"
CACHE: Final = "LLAMBDA_BYTECODE"
"""Names a folder for what was compiled before. It is for tests: what is marshalled may be told apart, though it is the same code, where another module went before it."""
PRECOMPILED: Final = "core/runtime/precompiled.bin"
PLATFORMS: Final = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
PYTHON: Final = (3, 13)
BUDGET_MB: Final = 40.0
MB: Final = 1_000_000
BUILD_TIME: Final = 1_577_836_800  # 2020-01-01: the same sources give the same zip
NOT_DEPLOYED: Final = (
    "core/cli",
    "core/client",
    "core/runtime/server.py",
    "core/resolution/erasure",
)  # the laptop's side

CHOSEN: Final = (  # what the function and its run config choose, once and for all
    *(f"stores/{name}/*.py" for name in STATE),
    "stores/semaphores/*.py",
    "quota/streams.py",
    "web/stream_limit.py",
    "services/jobs/*.py",
    "services/**/erasing.py",
    "services/**/extracts.py",
    "services/erasure.py",
    "runtime/*worker.py",
    "web/uploads.py",
    "web/multipart.py",
    "web/pages.*",
    "resolution/external/reference/*.py",
)
OVERVIEW: Final = (  # and what an overview of the stack has no use for beside: its package has the least room
    "services/**/*.py",
    "auth/*.py",
    "stores/answers/*.py",
    "web/idempotency.py",
    "providers/vector_sqlite/*.py",
)


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """`module` of functions/, for a processor of `architecture`, with the run config at `config`, into `out`."""

    module: str
    out: Path
    config: Path = CONFIG
    architecture: str = "arm64"


@dataclass(frozen=True, slots=True)
class BuildResult:
    """`run_config` is JSON, as in the package; `unlocked` are lines about packages that are not in the lock."""

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
    """The modules of functions/, one for each function, in alphabetical order."""
    return sorted(path.stem for path in (ROOT / "functions").glob("[!_]*.py"))


def build(request: BuildRequest) -> BuildResult:
    """Make the package in `request.out`, whatever was there before.

    Raises:
        ValueError: this Python is not the function's, the run config has problems, or a table of infra/ is stale.
        FileNotFoundError: there is no uv.
        subprocess.CalledProcessError: the dependencies could not be installed; uv has said why.
    """
    if sys.version_info[:2] != PYTHON:
        raise ValueError(f"byte code for Python {PYTHON[0]}.{PYTHON[1]} cannot be made by {sys.version.split()[0]}")
    run_config = _compile_config(request.config)
    directory, run_config = resolve_directory(run_config)
    # Twice: the first names the external providers, the second follows what their packages import of core.
    external = find_external_packages(needs(request.module, run_config).external)
    needed = needs(request.module, run_config, external.imports)
    remove(request.out)
    request.out.mkdir(parents=True)
    _install(request)
    copy(external, request.architecture, request.out)
    dependencies = prune(
        request.out,
        needed.libraries,
        everything=needed.everything,
        external=external.distributions,
        optional=external.libraries,
    )
    trim(request.out)
    rewrite(request.out)
    if (data := request.out / "botocore" / "data").exists():
        trim_sdk_data(data, ONLY_WITH.values() if needed.everything else needed.modules)
    _copy_sources(request, needed)
    run_config = copy_specs(directory, run_config, request.out)
    drop_metadata(request.out, external.distributions)
    _write(request.out, run_config, licences(dependencies))
    _precompile(request.out, needed)
    _compile(request.out, dependencies)
    _fix_modes_and_times(request.out)
    return BuildResult(run_config, needed, dependencies, _warn(external))


def _warn(packages: ExternalPackages) -> list[str]:
    """Report the packages that are not in the lock: their versions are this machine's, and no hash holds them."""
    lines = [str(package) for package in packages.unlocked]
    for line in lines:
        print(line, file=sys.stderr)
    return lines


def _install(request: BuildRequest) -> None:
    command = [uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--no-compile", "--link-mode", "copy", "--python", sys.executable]
    command += ["--python-platform", PLATFORMS[request.architecture], "--python-version", "3.13"]
    subprocess.run([*command, "--target", str(request.out), "-r", str(LOCK)], check=True)


def _copy_sources(request: BuildRequest, needed: Needs) -> None:
    """All of core but the laptop's side, and what neither this run config nor a later configuration can choose."""
    shutil.copytree(ROOT / "core", request.out / "core", ignore=shutil.ignore_patterns("__pycache__"))
    for path in NOT_DEPLOYED:
        remove(request.out / path)
    is_overview = request.module != WORKER and manifest(request.module).overview
    patterns = (*CHOSEN, *OVERVIEW) if is_overview else CHOSEN
    for file in (file for pattern in patterns for file in (request.out / "core").glob(pattern)):
        name = ".".join(file.relative_to(request.out).with_suffix("").parts)
        if file.stem != "__init__" and name not in needed.modules and not needed.everything:
            remove(file)
    apart = (*(only_called() if is_overview else ()), *(() if request.module == WORKER else (*ENGINES, *PARQUET)))
    for name in apart:
        remove(request.out / f"{name.replace('.', '/')}.py")
    functions = request.out / "functions"
    functions.mkdir()
    for name in ("__init__.py", f"{request.module}.py"):
        shutil.copy(ROOT / "functions" / name, functions)


def _precompile(out: Path, needed: Needs) -> None:
    """Write what core/runtime/coldstart.py reads; without random hashes, so that a build can be repeated."""
    modules = sorted(name for name in needed.modules if name.startswith("core."))
    command = [sys.executable, "-P", "-s", "-X", "no_debug_ranges", precompile.__file__, str(out / PRECOMPILED)]
    subprocess.run([*command, *modules], env={"PYTHONHASHSEED": "0"}, check=True)


def _compile(out: Path, dependencies: list[Dependency]) -> None:
    command = [sys.executable, "-I", "-S", "-X", "no_debug_ranges", bytecode.__file__, str(out)]
    if cache := os.environ.get(CACHE):
        command.append(cache)
    subprocess.run(command, check=True)
    pack(out, {"core", *(name for dependency in dependencies for name in dependency.modules)})


def _write(out: Path, run_config: str, terms: str) -> None:
    (out / RUN_CONFIG).write_text(run_config, encoding="utf-8")
    (out / LICENCES).write_text(terms, encoding="utf-8")
    if WRAPPER.exists():
        shutil.copy(WRAPPER, out)


def _compile_config(config: Path) -> str:
    from core.config.load import compile_json
    from core.config.problems import ConfigInvalid
    from core.resolution.deployment import without_disk
    from core.resolution.provider_types import built_in

    try:
        document = json.loads(compile_json(config))
    except ConfigInvalid as failure:
        raise ValueError(str(failure)) from failure
    return json.dumps(without_disk(document, built_in()), ensure_ascii=False, separators=(",", ":"))


def _fix_modes_and_times(out: Path) -> None:
    for path in out.rglob("*"):
        runs = path.is_dir() or path.suffix == ".so" or path.name == WRAPPER.name
        path.chmod(0o755 if runs else 0o644)
        os.utime(path, (BUILD_TIME, BUILD_TIME))


def size_mb(folder: Path) -> float:
    """Megabytes (10^6 bytes) of what is in `folder`, unzipped."""
    return sum(parts_of(folder).values()) / MB


def report(request: BuildRequest) -> str:
    """The package's size and its largest parts, with a warning when it is over the budget."""
    total = size_mb(request.out)
    largest = ", ".join(f"{name} {size / MB:.1f}" for name, size in list(parts_of(request.out).items())[:5])
    warning = f"; WARNING: over the budget of {BUDGET_MB:.0f} MB" if total > BUDGET_MB else ""
    return f"functions.{request.module} ({request.architecture}): {total:.1f} MB unzipped ({largest}){warning}"


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
        request = BuildRequest(module_of(options.function), options.out, Path(options.config), options.architecture)
        build(request)
    except (ValueError, FileNotFoundError, subprocess.CalledProcessError) as failure:
        print(f"infra.build: {failure}", file=sys.stderr)
        return 2
    print(report(request))
    return 0


if __name__ == "__main__":
    sys.exit(main())
