"""`llambda build`: what it says, and to whom; the packages themselves are tests/lambda_'s."""

import json
from pathlib import Path
import subprocess
import sys

import pytest

from core.cli.main import main
from infra import package as packages
from infra.archive import Weight
from infra.build import BuildRequest
from infra.package import Package


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[BuildRequest]:
    """What is asked for; nothing is built."""
    asked: list[BuildRequest] = []

    def package(wanted: BuildRequest) -> Package:
        asked.append(wanted)
        weight = Weight(2_000_000, 1_000_000, "ab" * 32, {"core": 1_500_000, "run.json": 500_000})
        types = ["inference/remote::vllm", "inference/remote::groq"]
        return Package(wanted.module, wanted.architecture, wanted.out, weight, {"starlette": "1.10.0"}, types)

    monkeypatch.setattr(packages, "package", package)
    return asked


def test_every_function_is_built_unless_some_are_named(built: list[BuildRequest], tmp_path: Path) -> None:
    assert main(["build", "--out", str(tmp_path)]) == 0
    assert {each.module for each in built} >= {"admin", "inference", "safety"}
    assert {each.architecture for each in built} == {"arm64"}
    assert {each.config.name for each in built} == {"lambda.yaml"}
    built.clear()
    arguments = [
        "--function",
        "admin",
        "--function",
        "AdminFunction",
        "--architecture",
        "x86_64",
        "--config",
        "starter",
    ]
    assert main(["build", "--out", str(tmp_path), *arguments]) == 0
    [only] = built
    assert (only.module, only.architecture, only.config.name) == ("admin", "x86_64", "starter.yaml")
    assert only.out == tmp_path / "admin"


@pytest.mark.usefixtures("built")
def test_progress_is_told_apart_from_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--function", "admin", "--out", str(tmp_path)])
    said = capsys.readouterr()
    assert said.err == "building admin for arm64 (1 of 1)\n"
    assert said.out.splitlines()[1] == f"admin     arm64         2.0 MB    1.0 MB  {'ab' * 32}"


@pytest.mark.usefixtures("built")
def test_a_report_says_what_it_is_made_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--function", "admin", "--out", str(tmp_path), "--report"])
    said = capsys.readouterr().out
    for words in ("largest: core 1.5 MB, run.json 0.5 MB", "starlette 1.10.0", "2 of inference", "admin.cdx.json"):
        assert words in said


@pytest.mark.usefixtures("built")
def test_json_has_bytes_and_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--function", "admin", "--out", str(tmp_path), "--json"])
    [said] = json.loads(capsys.readouterr().out)
    assert (said["function"], said["zipped"], said["zip"]) == ("admin", 1_000_000, str(tmp_path / "admin.zip"))
    assert said["provider_types"] == ["inference/remote::vllm", "inference/remote::groq"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--function", "nothing"], "functions/nothing.py"),
        (["--function", ""], "functions/.py"),
        (["--function", "../core/errors"], "functions/../core/errors.py"),
        (["--config", "lambdaa"], "did you mean `lambda`?"),
    ],
)
@pytest.mark.usefixtures("built")
def test_a_mistake_is_one_that_is_said(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "--out", str(tmp_path), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_dependencies_that_cannot_be_had_are_no_mistake_of_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def package(_: BuildRequest) -> Package:
        raise subprocess.CalledProcessError(2, ["uv"])

    monkeypatch.setattr(packages, "package", package)
    assert main(["build", "--function", "admin", "--out", str(tmp_path)]) == 1
    assert "could not be installed" in capsys.readouterr().err


def test_outside_of_a_checkout_it_says_that_it_needs_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "infra.build", None)
    assert main(["build"]) == 1
    assert "works only in a checkout" in capsys.readouterr().err
