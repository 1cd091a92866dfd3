"""A built package has all that its function needs and nothing else, and starts without compiling."""

from hashlib import sha256
from importlib.util import MAGIC_NUMBER
import json
import marshal
import os
from pathlib import Path
import subprocess
import sys
from types import CodeType
from typing import Any

import pytest

from core.runtime.packed import PUT_OFF
from infra import build
from infra.modules import AS_FILES, read_code, read_places
from infra.sdk_data import MODEL, ONLY_WITH, OPERATIONS, PAGES, RULES
from tests.lambda_ import emulator
from tests.lambda_.conftest import FUNCTIONS, needs
from tests.parts.documents_office import pdf

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
    "STATE_TABLE": "state",
    "BLOB_BUCKET": "blobs",
    "JOBS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
    "VECTOR_BUCKET": "arn:aws:s3vectors:us-east-1:123456789012:bucket/vectors",
    "TOOLS": "true",
    "RETRIEVAL": "true",
}
READING = """
import io, sys
sys.path.insert(0, sys.argv[1])
import core.runtime.coldstart
from core.services.vector_stores.ingest.extract import extract_text
print("".join(extract_text(io.BytesIO(sys.stdin.buffer.read()), "a.pdf")).strip())
"""
ELF_MACHINE = {"x86_64": 62, "arm64": 183}  # https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
ZIPPED_MB = {"inference": 25, "admin": 10}
OF_PACKAGES = "core.runtime.data_classes"
IN_PYTHON = {"aiohttp._websocket.reader_py"}  # where it is not in C
UNCHECKED = 0b01  # https://peps.python.org/pep-0552/

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


def modules(package: Path) -> set[str]:
    """As files, and in the one that has most of them, as the files that they would be."""
    places = read_places(package)
    packed = {name.replace(".", "/") + ("/__init__.pyc" if places[name][2] else ".pyc") for name in places}
    return packed | {file for file in files(package) if file.endswith(".pyc")}


@every_function
def test_handler_imports_from_the_package_alone(packages: dict[str, Path], module: str) -> None:
    found = imported(packages[module], module)
    assert {"core.web.app", "starlette", "mangum"} <= found.keys()
    assert not any("site-packages" in file for file in found.values())


@every_function
def test_it_imports_what_the_checkout_does_and_no_more(packages: dict[str, Path], module: str) -> None:
    command = [sys.executable, "-c", ALONE, str(build.ROOT), f"functions.{module}"]
    environment = {"PATH": os.environ["PATH"], **ENVIRONMENT, "LLAMBDA_CONFIG": str(packages[module] / "run.json")}
    answer = subprocess.run(command, cwd=build.ROOT, env=environment, check=True, capture_output=True, text=True)
    known = json.loads(answer.stdout).keys() | IN_PYTHON | {*PUT_OFF, OF_PACKAGES}
    assert imported(packages[module], module).keys() <= known


@pytest.mark.exact
def test_a_function_that_reads_files_reads_pdfs(tmp_path: Path) -> None:
    build.build(build.BuildRequest("vector_io", tmp_path / "vector_io", architecture=needs(emulator.architecture)))
    command = [sys.executable, "-I", "-S", "-c", READING, str(tmp_path / "vector_io")]
    done = subprocess.run(command, input=pdf("Hello"), check=False, capture_output=True)
    assert done.stdout.decode() == "Hello\n", done.stderr


@every_function
def test_nothing_is_compiled_at_a_cold_start(packages: dict[str, Path], module: str) -> None:
    before = files(packages[module])
    assert not {file for file in before if file.endswith(".py")}
    assert len(modules(packages[module])) > 600
    imported(packages[module], module)
    assert files(packages[module]) == before


@every_function
def test_most_modules_are_in_one_file(packages: dict[str, Path], module: str) -> None:
    package = packages[module]
    in_files = {path.relative_to(package) for pattern in AS_FILES for path in package.glob(pattern)}
    assert {Path(file) for file in files(package) if file.endswith(".pyc")} <= in_files
    packed = read_places(package).keys()
    assert packed >= {"core.web", "core.web.app", "botocore.session", "jwt", "pydantic._internal._generate_schema"}
    found = imported(package, module)
    assert len(packed & found.keys()) > 150
    for name in packed & found.keys():
        file = Path(found[name])
        assert file.with_suffix("") in {
            package.joinpath(*name.split(".")),
            package.joinpath(*name.split("."), "__init__"),
        }
        assert not file.exists()


@every_function
def test_byte_code_is_never_checked_and_has_names_and_lines_for_tracebacks(
    packages: dict[str, Path], module: str
) -> None:
    for file in packages[module].rglob("*.pyc"):
        magic, flags = file.read_bytes()[:4], int.from_bytes(file.read_bytes()[4:8], "little")
        assert (magic, flags) == (MAGIC_NUMBER, UNCHECKED), file
    contents = {
        "core/errors.py": (packages[module] / "core" / "errors.pyc").read_bytes()[16:],
        "core/web/app.py": read_code(packages[module], "core.web.app"),
    }
    for name, content in contents.items():
        code: CodeType = marshal.loads(content)  # noqa: S302 - our own
        assert code.co_filename == name
        assert len({line for _, _, line in code.co_lines()}) > 10


@every_function
def test_package_has_one_function_and_neither_tests_nor_the_laptops_side(
    packages: dict[str, Path], module: str
) -> None:
    found = files(packages[module])
    assert {file for file in found if file.startswith("functions/")} == {
        "functions/__init__.pyc",
        f"functions/{module}.pyc",
    }
    parts = {part for file in found | modules(packages[module]) for part in Path(file).parts}
    assert not parts & {"tests", "test", "cli", "infra", "yaml", "uvicorn", "bin", "pip", "pycparser", "server.pyc"}
    assert not any(part.endswith(".dist-info") for part in parts)


@every_function
def test_terms_of_every_part_are_in_the_package(packages: dict[str, Path], module: str) -> None:
    text = (packages[module] / build.LICENCES).read_text(encoding="utf-8")
    for words in ("aiobotocore 3", "pydantic-core 2", "MIT License", "Apache License"):
        assert words in text


@every_function
def test_package_is_within_the_budget_and_says_its_size(packages: dict[str, Path], module: str) -> None:
    assert build.size_mb(packages[module]) <= build.BUDGET_MB
    said = build.report(build.BuildRequest(module, packages[module], architecture="x86_64"))
    assert said.startswith(f"functions.{module} (x86_64): ")
    assert "WARNING" not in said
    assert packages[module].with_suffix(".zip").stat().st_size <= ZIPPED_MB[module] * build.MB


def test_report_warns_when_the_budget_is_exceeded(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(int((build.BUDGET_MB + 1) * build.MB))
    assert f"{build.BUDGET_MB + 1:.1f} MB" in build.report(build.BuildRequest("admin", tmp_path))
    assert "WARNING" in build.report(build.BuildRequest("admin", tmp_path))


@every_function
def test_run_config_is_compiled_with_its_variables_left_to_the_function(packages: dict[str, Path], module: str) -> None:
    document = json.loads((packages[module] / build.RUN_CONFIG).read_text(encoding="utf-8"))
    assert "${env.VLLM_URL" in document["providers"]["inference"][0]["config"]["url"]


@every_function
def test_files_have_one_time_and_can_be_read_by_lambdas_user(packages: dict[str, Path], module: str) -> None:
    for path in packages[module].rglob("*"):
        status = path.stat()
        assert status.st_mtime == build.BUILD_TIME, path
        assert status.st_mode & 0o444 == 0o444, path
    wrapper = packages[module] / build.WRAPPER.name
    assert wrapper.stat().st_mode & 0o777 == 0o755
    assert wrapper.read_text(encoding="utf-8").startswith("#!/bin/sh\n")


def test_only_the_services_in_use_are_kept_of_all_that_aws_has(packages: dict[str, Path]) -> None:
    data = packages["inference"] / "botocore" / "data"
    found = {path.relative_to(data).as_posix() for path in data.rglob("*.json")}
    used = {"core.platform.aws_secrets", "core.stores.blobs.s3"}  # a secret by a variable, and chats that are kept
    names = OPERATIONS.keys() - {name for name, module in ONLY_WITH.items() if module not in used}
    services = {f"{name}/{part}.json" for name in names for part in (MODEL, PAGES, RULES)}
    assert services <= found
    assert {name for name in found - services if "/" in name} == set()
    assert {"endpoints.json", "partitions.json", "_retry.json"} <= found
    of_s3 = 178_115 + 5_700  # its rules and operations, for chats that are kept, and its part of endpoints.json
    assert sum((data / name).stat().st_size for name in found) < 200_000 + of_s3
    assert not (packages["admin"] / "botocore" / "data" / "s3").exists()


@pytest.mark.exact
def test_code_is_for_the_architecture_that_is_asked_for(packages: dict[str, Path], tmp_path: Path) -> None:
    own = needs(emulator.architecture)
    [other] = build.PLATFORMS.keys() - {own}
    build.build(build.BuildRequest("admin", tmp_path / "out", architecture=other))
    for package, architecture in ((packages["admin"], own), (tmp_path / "out", other)):
        machines = {int.from_bytes(file.read_bytes()[18:20], "little") for file in package.rglob("*.so")}
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


@pytest.mark.exact
def test_two_builds_are_the_same_byte_for_byte_whatever_was_there(tmp_path: Path) -> None:
    built_by_command(tmp_path / "first")
    first, second = tmp_path / "first" / "admin", tmp_path / "admin"
    second.mkdir()
    (second / "stale.so").touch()
    said = built_by_command(tmp_path)
    for kind in (".zip", ".cdx.json"):
        assert first.with_suffix(kind).read_bytes() == second.with_suffix(kind).read_bytes()
    assert said["sha256"] == sha256(second.with_suffix(".zip").read_bytes()).hexdigest()
    bill = json.loads(second.with_suffix(".cdx.json").read_text(encoding="utf-8"))
    assert {each["name"] for each in bill["components"]} == set(said["dependencies"])


def built_by_command(out: Path) -> dict[str, Any]:
    """What `llambda build` says of the package of admin, with strings hashed otherwise than here and nothing compiled before."""
    command = [sys.executable, "-m", "core.cli.main", "build", "--function", "admin", "--json", "--out", str(out)]
    command += ["--architecture", needs(emulator.architecture)]
    environment = {**os.environ, "PYTHONHASHSEED": "7", build.CACHE: ""}
    answer = subprocess.run(command, cwd=build.ROOT, env=environment, check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    [said] = json.loads(answer.stdout)
    found: dict[str, Any] = said
    return found


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.build", *arguments]
    return subprocess.run(command, cwd=build.ROOT, check=False, capture_output=True, text=True)
