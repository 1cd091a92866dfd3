"""The report that a user reads."""

from core.config.places import Places, join, steps
from core.config.problems import ConfigInvalid, Problem


def test_the_report_has_a_line_for_every_problem() -> None:
    problems = [Problem("server.port", "must be an integer, got 'abc'"), Problem("", "is odd")]
    assert str(ConfigInvalid("run.yaml", problems)) == (
        "run.yaml: 2 problems\n  server.port: must be an integer, got 'abc'\n  is odd"
    )
    assert str(ConfigInvalid("run.yaml", problems[:1])).startswith("run.yaml: 1 problem\n")


def test_problems_can_be_read_back() -> None:
    problem = Problem("a", "b")
    assert ConfigInvalid("x", [problem]).problems == (problem,)


def test_paths_are_built_and_taken_apart() -> None:
    assert join(join(join("", "a"), 0), "b") == "a[0].b"
    assert steps("a[0].b") == ["a", "0", "b"]


def test_the_longest_known_prefix_says_where_a_value_was_written() -> None:
    places = Places({"a": "x", "a.b": "y[2]", "a.b[0]": "z"})
    assert places.source_path("a") == "x"
    assert places.source_path("a.c[1]") == "x.c[1]"
    assert places.source_path("a.b.c") == "y[2].c"
    assert places.source_path("a.b[0].c") == "z.c"
    assert places.source_path("ab.c") == "ab.c"
