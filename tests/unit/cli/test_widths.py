"""What is laid out fits the terminal with words whole, what is to be pasted stays in one piece, colour is where it is shown."""

from io import StringIO
from pathlib import Path
import re
import subprocess
import sys
from typing import override

import pytest

from core.cli.main import main
from core.cli.terminal import clip_table, has_colour, ticking, wrap, wrap_table

ROOT = Path(__file__).parents[3]
type Output = pytest.CaptureFixture[str]
BAD = """
version: 2
image_name: t
apis: [inference]
providers:
  inference:
    - {provider_id: a, provider_type: "remote::vlm", config: {}}
    - {provider_id: b, provider_type: "remote::vllm", config: {url: "gpu:8000", api_tokn: x}}
metadata_store: {type: sqlite, db_path: ./x.db}
"""


class Terminal(StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize(
    "words",
    ["distributions list", "distributions show lambda", "providers list", "apis", "apis --all", "config validate BAD"],
)
def test_what_is_listed_fits_with_words_whole(
    words: str, columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    monkeypatch.chdir(tmp_path)
    arguments = words.replace("BAD", "bad.yaml").split()
    monkeypatch.setenv("COLUMNS", "1000")
    main(arguments)
    whole = "".join(capsys.readouterr())
    monkeypatch.setenv("COLUMNS", str(columns))
    main(arguments)
    narrow = "".join(capsys.readouterr())
    assert narrow.split() == whole.split()
    if "show" in words:  # behind the table is the file, as it is
        narrow = narrow.partition("\n\n# ")[0]
    assert max(map(len, narrow.splitlines())) <= columns


@pytest.mark.parametrize("columns", ["80", "60"])
def test_the_help_of_make_fits(columns: str) -> None:
    done = subprocess.run(
        ["make", "help"],
        check=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": columns},
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= int(columns)
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == targets


def test_a_command_in_a_message_stays_in_one_piece() -> None:
    command = "`VIRTUAL_ENV=/a/b uv pip install 'not-there>=1' another-package and-another one-more`"
    text = wrap(f"providers.inference[0].provider_type: is not installed; {command}, and so on, to the end", 60, "  ")
    assert command in text
    assert [line for line in text.split("\n") if len(line) > 60] == [f"  {command},"]
    for line in (
        "  llambda serve " + "x" * 9 + " y" * 40,
        "  KEY=$(llambda keys create" + " y" * 40,
        "  /a/llambda b" + " c" * 50,
    ):
        assert wrap(line, 60) == line
    assert wrap("a b" * 99, 0) == "a b" * 99


def test_a_table_gives_its_last_column_lines_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows = [("name", "what for"), ("a" * 20, "many words " * 6), ("b", "few")]
    lines = list(wrap_table(rows))
    assert max(map(len, lines)) <= 60
    assert lines[2].startswith(" " * 22 + "words")
    lines = list(wrap_table([("name", "sha"), ("a" * 30, "f" * 50)]))
    assert lines[-1] == f"    {'f' * 50}"
    assert max(map(len, clip_table((("ID", 30), ("WHO", 48)), [("i" * 40, "w" * 60)]))) <= 60


@pytest.mark.parametrize(
    ("variables", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour_is_where_it_is_shown(
    variables: dict[str, str], *, terminal: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert has_colour(Terminal() if terminal else StringIO()) is coloured


def test_colour_changes_no_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    main(["config", "validate", str(tmp_path / "bad.yaml")])
    plain = capsys.readouterr().err
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["config", "validate", str(tmp_path / "bad.yaml")])
    coloured = capsys.readouterr().err
    assert "\x1b[" not in plain
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_what_takes_long_says_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.cli.terminal.DRAWN_SECONDS", 0.01)
    monkeypatch.setattr("core.cli.terminal.SAID_SECONDS", 0.01)
    for stream in (Terminal(), StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with ticking("building"):
            while stream.getvalue().count(" s ...") < 2:
                pass
        text = stream.getvalue()
        assert text.startswith("building\n")
        assert text.endswith("\r\x1b[K" if stream.isatty() else " s ...\n")
