"""Completion as the shells ask for it: the printed script in a real bash, and the words that each shell is told."""

import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

from core.cli.main import COMMANDS, main
from core.config import distributions

ROOT = Path(__file__).parents[3]
ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ printf 'option: %s %s\n' "$@"; }}
_llambda_completion llambda
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def llambda(tmp_path: Path) -> Path:
    """A folder with a `llambda` for the PATH."""
    (tmp_path / "llambda").write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m core.cli.main "$@"\n')
    (tmp_path / "llambda").chmod(0o755)
    return tmp_path


def script(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", shell]) == 0
    (folder / shell).write_text(capsys.readouterr().out)
    return folder / shell


def bash(folder: Path, words: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What bash would offer in place of the last of these words; `''` is a new one."""
    text = ASK.format(script=script("bash", folder, capsys), words=words)
    env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", text], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def test_commands_and_options_are_offered(llambda: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(bash(llambda, "llambda ''", capsys)) == set(COMMANDS)
    assert bash(llambda, "llambda comp", capsys) == ["completion"]
    assert bash(llambda, "llambda keys cr", capsys) == ["create"]
    assert bash(llambda, "llambda serve --po", capsys) == ["--port"]
    assert set(bash(llambda, "llambda completion ''", capsys)) == {"bash", "zsh", "fish"}


@pytest.mark.parametrize("before", ["serve", "run", "config validate", "keys list --config", "build --config"])
def test_a_run_config_is_a_distribution_or_a_file(
    before: str, llambda: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, *names = bash(llambda, f"llambda {before} ''", capsys)
    assert files == "option: -o default"
    assert names == distributions.names()
    assert bash(llambda, f"llambda {before} star", capsys) == [files, "starter"]
    assert [each for each in bash(llambda, f"llambda {before} ./ru", capsys) if each] == [files]


@pytest.mark.parametrize(
    ("shell", "words", "current"),
    [("zsh", "llambda serve star", "2"), ("fish", "llambda serve star", "star")],
)
def test_the_other_shells_are_told_in_their_own_form(llambda: Path, shell: str, words: str, current: str) -> None:
    env = os.environ | {"_LLAMBDA_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": current}
    done = subprocess.run([str(llambda / "llambda")], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "starter" in done.stdout
    assert "file" in done.stdout


@pytest.mark.parametrize(
    ("shell", "sign"), [("bash", "complete -o"), ("zsh", "#compdef llambda"), ("fish", "complete")]
)
def test_a_script_is_one_that_its_shell_reads(
    shell: str, sign: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = script(shell, tmp_path, capsys)
    assert sign in path.read_text()
    assert "_LLAMBDA_COMPLETE" in path.read_text()
    if found := shutil.which(shell):
        subprocess.run([found, "-n", str(path)], check=True)


def test_an_unknown_shell_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


def test_nothing_of_a_mistake_before_it_stops_completion(llambda: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bash(llambda, "llambda serve --env NOVALUE --port x --ho", capsys) == ["--host"]
