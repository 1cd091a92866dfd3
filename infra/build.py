"""`python -m infra.build InferenceFunction OUT`: one function's package, ready to be zipped.

It has the locked dependencies for the processor that it will run on, `core`, one module of
`functions`, the run config compiled to JSON, and byte code, because the file system of a running
function is read-only and without it every cold start compiles. `sam build` calls it through the
Makefile (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-custom-runtimes.html).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import cache_from_source
import os
from pathlib import Path
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Final

from infra.uv import uv

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "locks" / "run.txt"
CONFIG: Final = ROOT / "infra" / "distributions" / "lambda.yaml"
RUN_CONFIG: Final = "run.json"
PLATFORMS: Final = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
PYTHON: Final = (3, 13)
BUDGET_MB: Final = 60.0
MB: Final = 1_000_000
BUILT: Final = 1_577_836_800  # 2020-01-01: the same sources give the same zip

LEFT_OUT: Final = frozenset({"pyyaml"})  # the run config is JSON by then
NOT_DEPLOYED: Final = ("core/cli", "core/runtime/server.py")  # the laptop's side
AWS_SERVICES: Final = frozenset(
    {"bedrock/2023-04-20", "bedrock-runtime/2023-09-30", "dynamodb/2012-08-10", "sts/2011-06-15"}
)
FOLDERS_TO_DROP: Final = ("bin", "*.dist-info", "**/tests", "**/__pycache__")
FILES_TO_DROP: Final = (
    ".lock",
    "**/*.pyi",
    "**/py.typed",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.pxi",
    "**/*.c",
    "**/*.h",
    "**/examples-1.json*",
    "aiohttp/.hash",
    "pydantic/mypy.py",
)


@dataclass(frozen=True, slots=True)
class Build:
    """What to build: `module` of functions/, for `architecture`, with the run config at `config`, into `out`."""

    module: str
    out: Path
    config: Path = CONFIG
    architecture: str = "arm64"


def module_of(function: str) -> str:
    """The module behind a function of template.yaml: `VectorIoFunction` is `vector_io`.

    Raises:
        ValueError: there is no such module.
    """
    module = re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()
    if not (ROOT / "functions" / f"{module}.py").exists():
        raise ValueError(f"{function}: there is no functions/{module}.py")
    return module


def build(wanted: Build) -> None:
    """Make the package in `wanted.out`, whatever was there before.

    Raises:
        ValueError: this Python is not the function's, or the run config has problems.
        FileNotFoundError: there is no uv.
        subprocess.CalledProcessError: the dependencies could not be installed; uv has said why.
    """
    if sys.version_info[:2] != PYTHON:
        raise ValueError(f"byte code for Python {PYTHON[0]}.{PYTHON[1]} cannot be made by {sys.version.split()[0]}")
    run_config = _compiled(wanted.config)
    if wanted.out.exists():
        shutil.rmtree(wanted.out)
    wanted.out.mkdir(parents=True)
    _install(wanted)
    _copy_sources(wanted)
    _trim(wanted.out)
    (wanted.out / RUN_CONFIG).write_text(run_config, encoding="utf-8")
    _compile(wanted.out)
    _settle(wanted.out)


def _install(wanted: Build) -> None:
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("".join(_locked()), encoding="utf-8")
        command = [uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--no-compile", "--link-mode", "copy", "--python", sys.executable]
        command += ["--python-platform", PLATFORMS[wanted.architecture], "--python-version", "3.13"]
        subprocess.run([*command, "--target", str(wanted.out), "-r", str(requirements)], check=True)


def _locked() -> Iterator[str]:
    """The lock's lines without the requirements that a deployed function never imports."""
    kept = True
    for line in LOCK.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.startswith((" ", "#")):
            kept = line.partition("==")[0] not in LEFT_OUT
        if kept:
            yield line


def _copy_sources(wanted: Build) -> None:
    shutil.copytree(ROOT / "core", wanted.out / "core")
    for path in NOT_DEPLOYED:
        _remove(wanted.out / path)
    functions = wanted.out / "functions"
    functions.mkdir()
    for name in ("__init__.py", f"{wanted.module}.py"):
        shutil.copy(ROOT / "functions" / name, functions)


def _trim(out: Path) -> None:
    for pattern in (*FOLDERS_TO_DROP, *FILES_TO_DROP):
        for path in list(out.glob(pattern)):
            _remove(path)
    data = out / "botocore" / "data"
    for service in [path for path in data.iterdir() if path.is_dir()]:
        for version in list(service.iterdir()):
            if version.relative_to(data).as_posix() not in AWS_SERVICES:
                _remove(version)
        if not any(service.iterdir()):
            service.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _compiled(config: Path) -> str:
    from core.config.load import compile_json
    from core.config.problems import ConfigInvalid

    try:
        return compile_json(config)
    except ConfigInvalid as failure:
        raise ValueError(str(failure)) from failure


def _compile(out: Path) -> None:
    """Byte code that is never checked against its source. Without asserts and docstrings it loads no faster."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for source in sorted(out.rglob("*.py")):
        shown = source.relative_to(out).as_posix()
        py_compile.compile(
            str(source),
            cache_from_source(source, optimization=""),
            shown,
            doraise=True,
            optimize=0,
            invalidation_mode=unchecked,
        )


def _settle(out: Path) -> None:
    for path in out.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)
        os.utime(path, (BUILT, BUILT))


def size_mb(folder: Path) -> float:
    """Megabytes (10^6 bytes) of what is in `folder`, unzipped."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MB


def report(wanted: Build) -> str:
    """The package's size and its largest parts, with a warning when it is over the budget."""
    parts = sorted(((size_mb(part), part.name) for part in wanted.out.iterdir() if part.is_dir()), reverse=True)
    total = size_mb(wanted.out)
    largest = ", ".join(f"{name} {size:.1f}" for size, name in parts[:5])
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
