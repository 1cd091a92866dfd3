"""The rule of names finds what it is about, and the product keeps it."""

from pathlib import Path

import pytest

from tests.architecture.names import FOLDERS, MOST_BARE, MOST_PARTICIPLES, count, is_bare, is_participle

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["_shown", "taken_over_found", "is_configured", "_made", "drop_unused_listed"])
def test_participles_are_found(name: str) -> None:
    assert is_participle(name)


@pytest.mark.parametrize("name", ["embed", "speed", "find", "red", "read_shared", "_kept_size", "feed", "need"])
def test_other_words_that_end_alike_are_none(name: str) -> None:
    assert not is_participle(name)


def test_only_whole_names_of_variables_are_bare() -> None:
    assert [name for name in ("found", "_given", "each", "found_models", "known_apis", "row") if is_bare(name)] == [
        "found",
        "_given",
        "each",
    ]


def test_functions_and_variables_are_counted_wherever_they_stand(tmp_path: Path) -> None:
    code = "async def kept(given): found, row = given\nclass A:\n  def run(self): return [each for each in ()]\n"
    (tmp_path / "a.py").write_text(code)
    functions, variables = count([tmp_path])
    assert (functions.total, len(functions.places), variables.total, len(variables.places)) == (2, 1, 3, 2)


def test_the_product_keeps_the_rule() -> None:
    functions, variables = count([ROOT / name for name in FOLDERS])
    assert functions.percent <= MOST_PARTICIPLES, functions.places
    assert variables.percent <= MOST_BARE, variables.places
