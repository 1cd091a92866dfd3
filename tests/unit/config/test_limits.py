"""`server.quota.limits`, and the limits of a key: what is wrong with a row is said at its place, before anything is served."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.limits import QuotaRows, read_allowances, show_allowance, to_nanos
from core.config.problems import ConfigInvalid
from core.frame.callers import Allowance
from core.resolution.check import check
from core.resolution.resolve import resolve
from tests.unit.config.documents import loaded

NO_AMOUNT = "must be USD: a number below 1000000000, 0 or more, with at most 9 decimals"
STORE = {"type": "sqlite", "db_path": "/tmp/quota.db"}  # noqa: S108 - opened by nobody


LOCAL = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": "http://localhost:9"}}
SERVED: dict[str, Any] = {"apis": ["inference"], "providers": {"inference": [LOCAL]}}


def said_of(*rows: dict[str, Any], **environ: str) -> dict[str, str]:
    said = loaded(environ, **SERVED, server={"quota": {"kvstore": STORE, "limits": list(rows)}})
    return {problem.path: problem.message for problem in [*said.problems, *check(said)]}


def test_rows_of_callers_teams_roles_and_models_are_read() -> None:
    rows: list[dict[str, Any]] = [
        {"per": "caller", "window": "minute", "requests": "${env.MOST}"},
        {"per": "team", "name": "red", "window": "month", "money": "4.000000001", "tokens": 10, "soft": 1},
        {"per": "role", "name": "*", "window": "day", "money": 0.1, "currency": "USD", "hard": False},
        {"per": "model", "name": "vllm/*", "window": "hour", "tokens": 0, "shards": 64},
    ]
    assert said_of(*rows, MOST="60") == {}
    read = QuotaRows.model_validate({"limits": [rows[0] | {"requests": 60}, *rows[1:]]}).limits
    assert [row.allowance for row in read] == [
        Allowance("minute", requests=60),
        Allowance("month", tokens=10, nanos=4_000_000_001, soft=1),
        Allowance("day", nanos=100_000_000, hard=False),
        Allowance("hour", tokens=0),
    ]
    assert [row.whose for row in read] == ["caller", "team red", "role *", "model vllm/*"]
    assert (read[3].is_of("vllm/small"), read[3].is_of("small"), read[1].is_of("reds")) == (True, False, False)


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"money": -1}, ".money", NO_AMOUNT),
        ({"money": float("nan")}, ".money", NO_AMOUNT),
        ({"money": True}, ".money", NO_AMOUNT),
        ({"money": "five"}, ".money", NO_AMOUNT),
        ({"money": "0.0000000001"}, ".money", NO_AMOUNT),
        ({"money": 1_000_000_000}, ".money", NO_AMOUNT),
        ({"money": 1, "currency": "EUR"}, ".currency", "must be USD: this stack counts in no other currency"),
        ({}, "", "limits nothing: give at least one of requests, tokens and money"),
        ({"tokens": -1}, ".tokens", "must be at least 0"),
        ({"tokens": 1, "window": "week"}, ".window", "must be 'minute', 'hour', 'day' or 'month'"),
        ({"tokens": 1, "soft": 0}, ".soft", "must be more than 0"),
        ({"tokens": 1, "name": ""}, ".name", "must have at least 1 character"),
        ({"tokens": 1, "name": None}, "", 'needs the name of a team, or "*" for each'),
        ({"tokens": 1, "per": "caller"}, "", "per: caller has no name and no shards: it is of every caller"),
        ({"tokens": 1, "per": "key"}, ".per", "must be 'caller', 'team', 'role' or 'model'"),
        ({"tokens": 1, "shards": 65}, ".shards", "must be at most 64"),
        ({"tokens": 1, "most": 1}, ".most", "unknown key"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_row_is_said_at_its_place(change: dict[str, Any], field: str, said: str) -> None:
    row = {"per": "team", "name": "red", "window": "month"} | change
    ((path, message),) = said_of(row).items()
    assert path == f"server.quota.limits[0]{field}"
    assert said in message
    broken = loaded(**SERVED, server={"quota": {"kvstore": STORE, "limits": [row]}})
    with pytest.raises(ConfigInvalid, match=r"server\.quota\.limits"):
        await resolve(broken, ["inference"], version="1")


def test_two_rows_that_limit_the_same_are_named() -> None:
    red: dict[str, Any] = {"per": "team", "name": "red", "window": "day"}
    rows = [
        red | {"money": 5, "tokens": 9},
        red | {"requests": 3},
        red | {"money": 4},
        red | {"money": 5, "window": "month"},
    ]
    assert said_of(*rows) == {
        "server.quota.limits[2].money": "is limited for team red per day at limits[0] too: keep one of them"
    }


def test_limits_of_a_key_are_rows_without_a_name() -> None:
    rows: list[dict[str, Any]] = [{"window": "month", "money": "5"}, {"window": "minute", "requests": 3, "tokens": 9}]
    read = read_allowances(rows)
    assert read == (Allowance("month", nanos=5_000_000_000), Allowance("minute", 3, 9))
    assert [show_allowance(allowance) for allowance in read] == [
        {"window": "month", "money": "5", "currency": "USD", "soft": 0.8, "hard": True},
        {"window": "minute", "requests": 3, "tokens": 9, "soft": 0.8, "hard": True},
    ]
    with pytest.raises(ValueError, match=r"limits\[2\] limits money per month, as limits\[0\] does: keep one of them"):
        read_allowances([*rows, {"window": "month", "money": 6}])
    with pytest.raises(ValueError, match="Extra inputs"):
        read_allowances([rows[0] | {"per": "caller"}])


@given(st.integers(0, 10**18 - 1))
def test_what_is_shown_of_money_is_what_was_read(nanos: int) -> None:
    (shown,) = map(show_allowance, [Allowance("day", nanos=nanos)])
    assert read_allowances([shown])[0].nanos == nanos
    assert to_nanos(nanos // 10**9) == nanos // 10**9 * 10**9


@given(st.integers(0, 10**6 - 1), st.integers(0, 9))
def test_a_number_is_taken_by_its_shortest_decimals(amount: int, decimals: int) -> None:
    text = f"{amount:0{decimals + 1}d}"
    assert to_nanos(float(f"{text[:-decimals] or 0}.{text[-decimals:]}" if decimals else text)) == amount * 10 ** (
        9 - decimals
    )
