"""A file becomes a mapping, or one clear problem with the line it is on."""

import json
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest

from core.config.load import compile_json
from core.config.problems import ConfigInvalid, Problem
from core.config.source import read


def from_yaml(folder: Path, text: str | bytes) -> tuple[dict[str, Any] | None, list[Problem]]:
    file = folder / "run.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(file)


def only_problem(result: tuple[dict[str, Any] | None, list[Problem]]) -> str:
    value, problems = result
    assert value is None
    assert [problem.path for problem in problems] == [""]
    return problems[0].message


def test_yaml_becomes_plain_values(tmp_path: Path) -> None:
    text = "\ufeffa: [1, 1.5, true, null, x]\nb: &anchor {c: d}\ne: *anchor\nf: {<<: *anchor, g: h}\n"
    assert from_yaml(tmp_path, text) == (
        {"a": [1, 1.5, True, None, "x"], "b": {"c": "d"}, "e": {"c": "d"}, "f": {"c": "d", "g": "h"}},
        [],
    )


def test_dates_stay_text_because_a_run_config_has_none(tmp_path: Path) -> None:
    text = "version: 2024-10-22\nat: [2024-10-22 10:00:00]\n"
    assert from_yaml(tmp_path, text) == ({"version": "2024-10-22", "at": ["2024-10-22 10:00:00"]}, [])


def test_a_key_given_twice_is_a_problem_with_its_path_and_both_lines(tmp_path: Path) -> None:
    value, problems = from_yaml(tmp_path, "a:\n  - b: 1\n    c: 2\n    b: 3\nd: 4\nd: 5\nd: 6\n")
    assert value == {"a": [{"b": 3, "c": 2}], "d": 6}
    assert [str(problem) for problem in problems] == [
        "a[0].b: is given twice, on line 2 and on line 4",
        "d: is given twice, on line 5 and on line 6",
        "d: is given twice, on line 6 and on line 7",
    ]


def test_a_mistake_in_an_anchor_is_reported_once_however_often_it_is_used(tmp_path: Path) -> None:
    _, problems = from_yaml(tmp_path, "a: &x {b: 1, b: 2}\nc: *x\nd: [*x, *x]\n")
    assert [problem.path for problem in problems] == ["a.b"]


def test_a_key_that_is_not_text_is_a_problem(tmp_path: Path) -> None:
    value, problems = from_yaml(tmp_path, "on: 1\n8321: 2\n")
    assert value == {"on": 1, "8321": 2}
    assert [problem.path for problem in problems] == ["on", "8321"]
    assert "quotes" in problems[0].message


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: [1, 2\nb: 3\n", "line 2, column 2"),
        ("a: b: c\n", "line 1, column 5"),
        ("\ta: 1\n", "line 1, column 1"),
        ("a: !!python/object/apply:os.system [x]\n", "line 1, column 4"),
        ("a: *nowhere\n", "line 1, column 4"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1"),
        ("? [a]\n: 1\n", "line 1, column 3"),
    ],
)
def test_bad_yaml_is_one_problem_with_line_and_column(tmp_path: Path, text: str, where: str) -> None:
    message = only_problem(from_yaml(tmp_path, text))
    assert message.startswith(f"not valid YAML, {where}: ")


def test_a_control_character_is_bad_yaml(tmp_path: Path) -> None:
    assert only_problem(from_yaml(tmp_path, "a: \x01\n")).startswith("not valid YAML: ")


def test_bytes_that_are_no_utf8_are_named(tmp_path: Path) -> None:
    assert "not UTF-8 text: byte 3" in only_problem(from_yaml(tmp_path, b"a: \xff"))


@pytest.mark.parametrize(("text", "kind"), [("", "nothing"), ("# x\n", "nothing"), ("- a\n", "list"), ("x", "value")])
def test_a_document_must_be_a_mapping(tmp_path: Path, text: str, kind: str) -> None:
    message = only_problem(from_yaml(tmp_path, text))
    assert message.startswith("the document must be a mapping")
    assert message.endswith(kind)


@pytest.mark.parametrize("text", ["[" * 20_000, "a: " + "[" * 20_000])
def test_bottomless_nesting_is_a_problem_and_not_a_crash(tmp_path: Path, text: str) -> None:
    assert "nested too deeply" in only_problem(from_yaml(tmp_path, text))


def test_a_missing_file_and_a_folder_are_problems(tmp_path: Path) -> None:
    assert only_problem(read(tmp_path / "none.yaml")) == "there is no such file"
    assert only_problem(read(tmp_path)).startswith("the file cannot be read: ")


def test_json_is_read_where_the_name_says_so(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text('{"a": {"b": 1, "b": 2}}')
    assert read(file) == ({"a": {"b": 2}}, [Problem("b", "is given more than once")])
    file.write_text('{"a": 1,\n b}')
    assert only_problem(read(file)).startswith("not valid JSON, line 2, column 2")
    file.write_text("[" * 200_000)
    assert only_problem(read(file)) == "the document is nested too deeply"


def test_compiling_keeps_expressions_for_the_run_time(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("name: é\nurl: ${env.URL:=http://h}\nports: [1, 2024-01-01]\n")
    compiled = compile_json(file)
    assert json.loads(compiled) == {"name": "é", "url": "${env.URL:=http://h}", "ports": [1, "2024-01-01"]}
    (tmp_path / "run.json").write_text(compiled)
    assert read(tmp_path / "run.json") == read(file)


def test_compiling_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("a: 1\na: 2\n")
    with pytest.raises(ConfigInvalid, match="given twice"):
        compile_json(file)


def test_a_json_config_is_loaded_without_importing_yaml(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text('{"image_name": "x"}')
    program = (
        "import sys, pathlib; from core.config.load import load;"
        "assert load(pathlib.Path(sys.argv[1]), {}).problems == [];"
        "print(sorted({'yaml', 'difflib', 'aiohttp', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text", [bomb(9), bomb(9) + "b: {<<: [{c: *a8}]}\n", "a: &a {b: *a}\n", "a: &a [*a]\n"], ids=range(4)
)
def test_aliases_may_not_stand_for_billions_of_values_or_for_themselves(tmp_path: Path, text: str) -> None:
    assert "aliases stand for more than" in only_problem(from_yaml(tmp_path, text))


def test_aliases_in_usual_numbers_are_read(tmp_path: Path) -> None:
    assert from_yaml(tmp_path, bomb(3))[1] == []


def test_a_file_whose_indentation_was_lost_is_named_as_that_alone(tmp_path: Path) -> None:
    text = "version: 2\nproviders:\ninference:\n- provider_id: a\nprovider_type: remote::vllm\nconfig:\nurl: http://a\n"
    problem = only_problem(from_yaml(tmp_path, text))
    assert "lost its indentation" in problem
    assert "`provider_type`" in problem
    assert "line 5" in problem
