"""The command line: exit codes, and answers that say what to do next."""

from pathlib import Path

import pytest

from core.cli.main import main

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
    "arguments", [[], ["serve"], ["serve", "starter", "--port", "x"], ["serve", "starter", "--port", "70000"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as usage:
        main(arguments)
    assert usage.value.code == 2
    assert "usage: llambda" in capsys.readouterr().err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "llambda serve starter" in capsys.readouterr().out
