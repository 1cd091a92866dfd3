"""`llambda run` and `llambda stack`: what scripts for the reference's command line say is taken."""

from pathlib import Path

import pytest

from core.cli.main import main
from infra import package as packages
from infra.archive import Weight
from infra.build import BuildRequest
from infra.package import Package

type Output = pytest.CaptureFixture[str]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[BuildRequest]:
    """What is to be built; nothing is."""
    found: list[BuildRequest] = []

    def package(wanted: BuildRequest) -> Package:
        found.append(wanted)
        weight = Weight(2_000_000, 1_000_000, "ab" * 32, {})
        return Package(wanted.module, wanted.architecture, wanted.out, weight, {}, [])

    monkeypatch.setattr(packages, "package", package)
    return found


@pytest.mark.parametrize("words", [["run"], ["stack", "run"]])
def test_options_that_mean_nothing_here_are_taken_and_said(words: list[str], capsys: Output) -> None:
    unused = ["--image-type", "conda", "--image-name", "mine", "--enable-ui", "--disable-ipv6"]
    assert main([*words, "strter", *unused]) == 2
    notes, _, mistake = capsys.readouterr().err.partition("strter")
    assert sorted(notes.splitlines()) == [
        f"note: --{name} has no effect here" for name in ("disable-ipv6", "enable-ui", "image-name", "image-type")
    ]
    assert "did you mean `starter`?" in mistake


def test_nothing_is_said_of_what_is_not_given(capsys: Output) -> None:
    assert main(["run", "strter"]) == 2
    assert "note:" not in capsys.readouterr().err


@pytest.mark.parametrize("port", ["x", "70000", "-1", "8.5"])
def test_the_port_may_be_the_environments_and_is_checked(
    port: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_STACK_PORT", port)
    assert main(["run", "starter"]) == 2
    said = capsys.readouterr().err
    assert "LLAMA_STACK_PORT" in said
    assert f"`{port}` is not a port" in said
    assert main(["run", "strter", "--port", "9000"]) == 2
    assert "LLAMA_STACK_PORT" not in capsys.readouterr().err


def test_without_a_config_it_is_the_environments(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("[]")
    monkeypatch.setenv("LLAMBDA_CONFIG", str(tmp_path / "mine.yaml"))
    assert main(["run"]) == 2
    assert "mine.yaml: 1 problem" in capsys.readouterr().err


def test_a_template_is_a_distribution_to_build(asked: list[BuildRequest], tmp_path: Path, capsys: Output) -> None:
    out = ["--function", "admin", "--out", str(tmp_path)]
    assert main(["stack", "build", "--template", "starter", "--image-type", "container", *out]) == 0
    assert "note: --image-type has no effect here" in capsys.readouterr().err
    assert main(["build", "--config", "starter", *out]) == 0
    one, other = asked
    assert one == other
    assert one.config.name == "starter.yaml"


def test_build_itself_takes_none_of_them(capsys: Output) -> None:
    assert main(["build", "--image-type", "conda"]) == 2
    assert "No such option '--image-type'" in capsys.readouterr().err
