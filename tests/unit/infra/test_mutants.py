"""What `make mutants` breaks, and that its table is true."""

import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import file_of, sample
from tests.mutants.mutations import mutations
from tests.mutants.table import TABLE, Row

SOURCE = '''
"""A docstring with 1 < 2."""

def f(a: int | None, b: "1 < 2" = 3) -> bool:
    """Another."""
    log.info("not %s", 1 + 1)
    if a:
        raise ValueError(f"{a + 1}")
    self.x = a is None
    while a < b and not b:
        a += 1
        del b
        del self.x
        break
    return any([a, True])
'''
BROKEN = {
    ("3", "4"),
    ("a", "not a"),
    ("raise ValueError(f'{a + 1}')", "pass"),
    ("self.x = a is None", "pass"),
    ("a is None", "a is not None"),
    ("a < b and (not b)", "a < b or not b"),
    ("a < b", "a <= b"),
    ("not b", "b"),
    ("a += 1", "pass"),
    ("del self.x", "pass"),
    ("1", "2"),
    ("break", "continue"),
    ("return any([a, True])", "return None"),
    ("any([a, True])", "all([a, True])"),
    ("True", "False"),
}


def test_one_thing_is_broken_at_a_time_and_no_text_annotation_or_log_line() -> None:
    found = mutations(SOURCE)
    assert {(mutation.original, mutation.mutated) for mutation in found} == BROKEN
    whole = ast.parse(SOURCE)
    broken = [ast.unparse(mutation.applied(whole)) for mutation in found]
    assert len({*broken, ast.unparse(whole)}) == len(found) + 1


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.module)
def test_the_table_names_what_there_is_and_a_seed_breaks_the_same_each_time(row: Row) -> None:
    assert file_of(row.module).is_file()
    assert all(Path(path).exists() for path in row.tests)
    chosen = sample(row, 1, 5)
    assert [(index, each.line) for index, each in chosen] == [(index, each.line) for index, each in sample(row, 1, 5)]
    assert 0 < len(chosen) <= 5
