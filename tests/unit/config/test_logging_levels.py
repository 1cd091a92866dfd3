"""LLAMBDA_LOGGING: levels of loggers in one line, and what is said of a line that is wrong."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.logging_levels import LEVELS, levels_in, logging_levels

EVERY = {"core": "debug", "functions": "debug"}


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("all=debug", EVERY),
        (" ALL = DEBUG ", EVERY),
        ("core.web=info;core.stores=warning", {"core.web": "info", "core.stores": "warning"}),
        ("core.web=info, acme=critical", {"core.web": "info", "acme": "critical"}),
        ("core.web=info;;core.web=error;", {"core.web": "error"}),
        ("core=error;all=debug", EVERY),
        ("all=debug;core=error", {**EVERY, "core": "error"}),
        ("root=info", {"root": "info"}),
        ("", {}),
        (" ; , ", {}),
    ],
)
def test_each_part_sets_a_level(text: str, levels: dict[str, str]) -> None:
    assert levels_in(text) == (levels, [])


@pytest.mark.parametrize("part", ["debug", "all", "all=", "=debug", "all=loud", "all:debug", "all=debug=info", "="])
def test_a_part_that_sets_none_is_said_with_the_form_and_the_others_hold(part: str) -> None:
    levels, [complaint] = levels_in(f"core.web=info;{part}")
    assert levels == {"core.web": "info"}
    assert complaint.startswith(f"`{part}` sets no level: write CATEGORY=LEVEL, with `;` between several;")
    assert "debug, info, warning, error, critical" in complaint


@given(st.text())
def test_any_text_gives_levels_that_exist_and_a_complaint_for_each_other_part(text: str) -> None:
    levels, complaints = levels_in(text)
    assert set(levels.values()) <= set(LEVELS)
    assert all(levels)
    parts = [part for part in text.replace(",", ";").split(";") if part.strip()]
    assert len(complaints) <= len(parts)
    assert bool(levels) or len(complaints) == len(parts)


@given(st.dictionaries(st.from_regex(r"[a-z_]+(\.[a-z_]+)*", fullmatch=True), st.sampled_from(LEVELS)))
def test_what_is_written_is_read_again(wanted: dict[str, str]) -> None:
    wanted.pop("all", None)
    assert levels_in(";".join(f"{name}={level}" for name, level in wanted.items())) == (wanted, [])


def test_the_reference_s_variable_counts_where_ours_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMBDA_LOGGING", raising=False)
    monkeypatch.delenv("LLAMA_STACK_LOGGING", raising=False)
    assert logging_levels() == ({}, [])
    monkeypatch.setenv("LLAMA_STACK_LOGGING", "all=debug;oops")
    levels, [complaint] = logging_levels()
    assert levels == EVERY
    assert complaint.startswith("LLAMA_STACK_LOGGING: `oops`")
    monkeypatch.setenv("LLAMBDA_LOGGING", "core.web=error")
    assert logging_levels() == ({"core.web": "error"}, [])
