"""A built package has all that its function needs and nothing else, and starts without compiling."""

import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

from infra import build
from tests.lambda_ import emulator
from tests.lambda_.conftest import FUNCTIONS, needs

ALONE = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
module = importlib.import_module(sys.argv[2])
assert callable(module.handler)
files = {name: getattr(each, "__file__", None) for name, each in sys.modules.items()}
print(json.dumps({name: file for name, file in files.items() if file}))
"""
ENVIRONMENT = {
    "LLAMBDA_CONFIG": "run.json",
    "REGISTRY_TABLE": "registry",
    "QUOTA_TABLE": "quota",
    "VLLM_URL": "http://127.0.0.1:9/v1",
}
ELF_MACHINE = {"x86_64": 62, "arm64": 183}  # https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html

every_function = pytest.mark.parametrize("module", FUNCTIONS)


def imported(package: Path, module: str) -> dict[str, str]:
    """What a Python with nothing but the package on its path imports for the handler, and from where."""
    command = [sys.executable, "-I", "-S", "-c", ALONE, str(package), f"functions.{module}"]
    environment = {"PATH": os.environ["PATH"], **ENVIRONMENT}
    answer = subprocess.run(command, cwd=package, env=environment, check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    files: dict[str, str] = json.loads(answer.stdout)
    return files


def files(package: Path) -> set[str]:
    return {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}


@every_function
def test_handler_imports_from_the_package_alone(packages: dict[str, Path], module: str) -> None:
    found = imported(packages[module], module)
    assert {"core.web.app", "starlette", "mangum"} <= found.keys()
    assert not any("site-packages" in file for file in found.values())


@every_function
def test_nothing_is_compiled_at_a_cold_start(packages: dict[str, Path], module: str) -> None:
    before = files(packages[module])
    sources = {file for file in before if file.endswith(".py")}
    compiled = {file for file in before if file.endswith(".pyc")}
    assert len(compiled) == len(sources) > 100
    imported(packages[module], module)
    assert files(packages[module]) == before


@every_function
def test_byte_code_is_what_runs_whatever_its_source_says(
    packages: dict[str, Path], module: str, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    subprocess.run(["cp", "-r", str(packages[module]), str(package)], check=True)
    for source in (package / "core").rglob("*.py"):
        source.write_text("raise SystemExit('compiled from its source')\n", encoding="utf-8")
    assert "core.web.app" in imported(package, module)


@every_function
def test_package_has_one_function_and_neither_tests_nor_the_laptops_side(
    packages: dict[str, Path], module: str
) -> None:
    found = files(packages[module])
    assert {file for file in found if file.startswith("functions/") and file.endswith(".py")} == {
        "functions/__init__.py",
        f"functions/{module}.py",
    }
    parts = {part for file in found for part in Path(file).parts}
    assert not parts & {"tests", "test", "cli", "infra", "yaml", "uvicorn", "bin", "pip"}
    assert not any(part.endswith(".dist-info") for part in parts)


@every_function
def test_package_is_within_the_budget_and_says_its_size(packages: dict[str, Path], module: str) -> None:
    assert build.size_mb(packages[module]) <= build.BUDGET_MB
    said = build.report(build.Build(module, packages[module], architecture="x86_64"))
    assert said.startswith(f"functions.{module} (x86_64): ")
    assert "WARNING" not in said


def test_report_warns_when_the_budget_is_exceeded(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(int((build.BUDGET_MB + 1) * build.MB))
    assert "61.0 MB" in build.report(build.Build("admin", tmp_path))
    assert "WARNING" in build.report(build.Build("admin", tmp_path))


@every_function
def test_run_config_is_compiled_with_its_variables_left_to_the_function(packages: dict[str, Path], module: str) -> None:
    document = json.loads((packages[module] / build.RUN_CONFIG).read_text(encoding="utf-8"))
    assert "${env.VLLM_URL" in document["providers"]["inference"][0]["config"]["url"]


@every_function
def test_files_have_one_time_and_can_be_read_by_lambdas_user(packages: dict[str, Path], module: str) -> None:
    for path in packages[module].rglob("*"):
        status = path.stat()
        assert status.st_mtime == build.BUILT, path
        assert status.st_mode & 0o444 == 0o444, path


def test_only_the_services_in_use_are_kept_of_all_that_aws_has(packages: dict[str, Path]) -> None:
    data = packages["inference"] / "botocore" / "data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == {"bedrock", "bedrock-runtime", "dynamodb", "sts"}
    assert {"endpoints.json", "partitions.json"} <= {path.name for path in data.iterdir()}


@pytest.mark.parametrize("architecture", build.PLATFORMS)
def test_build_replaces_what_was_there_by_code_for_the_architecture(architecture: str, tmp_path: Path) -> None:
    needs(emulator.uv)
    out = tmp_path / "out"
    out.mkdir()
    (out / "stale.so").touch()
    build.build(build.Build("admin", out, architecture=architecture))
    machines = {int.from_bytes(file.read_bytes()[18:20], "little") for file in out.rglob("*.so")}
    assert machines == {ELF_MACHINE[architecture]}


@pytest.mark.parametrize(("function", "said"), [("NoFunction", "functions/no.py"), ("", "functions/.py")])
def test_unknown_function_is_one_line_and_exit_code_2(function: str, said: str, tmp_path: Path) -> None:
    answer = run(function, str(tmp_path / "out"))
    assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
    assert said in answer.stderr


def test_broken_run_config_is_said_with_its_path_and_exit_code_2_and_nothing_is_made(tmp_path: Path) -> None:
    config = tmp_path / "broken.yaml"
    config.write_text("version: [", encoding="utf-8")
    answer = run("AdminFunction", str(tmp_path / "out"), "--config", str(config))
    assert answer.returncode == 2
    assert "broken.yaml" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "out").exists()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.build", *arguments]
    return subprocess.run(command, cwd=build.ROOT, check=False, capture_output=True, text=True)
