"""The command line: exit codes, and answers that say what to do next."""

import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest
import yaml

from core.cli.main import COMMANDS, main
from core.frame.version import VERSION

ROOT = Path(__file__).parents[3]

GOOD = """
version: 2
image_name: t
apis: [inference]
providers:
  inference:
    - {provider_id: a, provider_type: "remote::vllm", config: {url: "${env.URL}", api_token: "${env.TOKEN:=none}"}}
metadata_store: {type: sqlite, db_path: ./x.db}
"""


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "good.yaml").write_text(GOOD)
    return str(tmp_path / "good.yaml")


def test_a_good_file_is_valid(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "validate", good, "--env", "URL=http://u"]) == 0
    assert "valid (1 provider, 0 resources)" in capsys.readouterr().out


def test_a_bad_file_exits_with_2_and_lists_every_problem_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(GOOD.replace("remote::vllm", "remote::vlm").replace("version: 2", "version: 2\nservr: {}"))
    assert main(["config", "validate", str(bad), "--env", "URL="]) == 2
    report = capsys.readouterr().err
    for words in ("3 problems", "servr", "URL is empty", "did you mean `remote::vllm`?"):
        assert words in report


def test_show_prints_what_is_in_force_without_secrets(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", good, "--env", "URL=http://u", "--env", "TOKEN=s3cret"]) == 0
    shown = capsys.readouterr().out
    assert "http://u" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["config", "validate", "strter"], "did you mean `starter`?"),
        (["config", "validate", "starter", "--env", "NOVALUE"], "KEY=VALUE"),
        (["serve", "nope.yaml"], "nope.yaml"),
    ],
)
def test_a_mistake_exits_with_2_and_says_what_to_do(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["iam"], ["serve", "starter", "--port", "x"], ["serve", "starter", "--port", "70000"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Usage: llambda" in capsys.readouterr().err


def test_help_says_what_the_exit_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "llambda serve starter" in said
    for code in ("0    done", "1    it failed", "2    a mistake", "130  interrupted"):
        assert code in said


def test_alone_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Exit codes:" in capsys.readouterr().err


def test_the_version_is_the_products(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"llambda {VERSION}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["srve", "starter"], "No such command 'srve'. Did you mean 'serve'?"),
        (["config", "shw"], "No such command 'shw'. Did you mean 'show'?"),
        (["serve", "starter", "--prot", "9000"], "No such option '--prot'. (Did you mean one of: '--host', '--port'?)"),
        (["x" * 40], "No such command"),
    ],
)
def test_a_name_that_does_not_exist_comes_with_the_nearest_one(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_valid_and_not_valid_are_json_where_it_is_asked_for(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["config", "validate", good, "--json", "--env"]
    assert main([*asked, "URL=http://u"]) == 0
    counts = {"providers": 1, "resources": 0}
    said = capsys.readouterr()
    assert json.loads(said.out) == {"config": good, "valid": True, "problems": []} | counts
    assert main([*asked, "URL="]) == 2
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert (report["config"], report["valid"]) == (good, False)
    [problem] = report["problems"]
    assert problem["path"] == "providers.inference[0].config.url"
    assert "URL is empty" in problem["message"]
    assert said.err == ""


def test_what_is_in_force_is_json_without_secrets_too(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", good, "--env", "URL=http://ü", "--env", "TOKEN=s3cret", "--json"]) == 0
    said = capsys.readouterr().out
    assert json.loads(said)["providers"]["inference"][0]["config"]["url"] == "http://ü"
    assert "s3cret" not in said
    assert "ü" in said


def process(unbuffered: str, out: Any, *arguments: str) -> subprocess.Popen[str]:
    """Unbuffered, unless this is "", what is printed is written at once, and else in large pieces and at the end."""
    command = [sys.executable, "-m", "core.cli.main", *arguments]
    env = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=out, stderr=subprocess.PIPE)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, unbuffered: str) -> None:
    """As `| head -1`: what is printed is more than a pipe holds."""
    levels = {f"a.logger.{number}": "info" for number in range(20_000)}
    document = yaml.safe_load(GOOD.replace("${env.URL}", "http://u")) | {"logging": {"category_levels": levels}}
    (tmp_path / "long.json").write_text(json.dumps(document))
    arguments = ("config", "show", str(tmp_path / "long.json"), "--json")
    with process(unbuffered, subprocess.PIPE, *arguments) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "{\n"
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_is_gone_is_no_error(good: str, unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    with process(unbuffered, write, "config", "validate", good, "--env", "URL=http://u") as running:
        os.close(write)
        assert running.communicate()[1] == ""
    assert running.returncode == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_said_once(good: str, unbuffered: str) -> None:
    with (
        Path("/dev/full").open("w") as full,
        process(unbuffered, full, "config", "validate", good, "--env", "URL=http://u") as running,
    ):
        said = running.communicate()[1]
    assert (running.returncode, said) == (1, "Error: [Errno 28] No space left on device\n")


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("interrupt", 130, ""),
        ("connect", 1, "Connection refused"),
        ("read", 1, "Error: /nowhere/run.yaml: No such file or directory"),
        ("write", 1, "Error: /etc/run.yaml: Permission denied"),
        ("ask", 1, "Error: Provider `a` cannot be reached."),
        ("config", 2, "run.yaml: 2 problems\n  apis: is wrong\n  so is all"),
        ("comply", 2, "  close: missing"),
        ("exit", 1, ""),
        ("return", 1, ""),
    ],
)
def test_a_failure_is_an_exit_code_and_words_and_no_traceback(
    how: str, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(COMMANDS, "fail", ("tests.unit.cli.failing", "Fail."))
    assert main(["fail", how]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert bool(said) == bool(printed.err.strip())
    if code == 1 and said:
        assert printed.err.count("\n") == 1
