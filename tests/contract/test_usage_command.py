"""`llambda usage` over a store, and against a stack that is served."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
import pytest

from core.cli.main import command
from core.stores.counters.sqlite import connect
from tests.parts.stack import serving
from tests.parts.usage import TODAY, chat, count


def run(*words: str, url: str | None = None) -> Result:
    runner = CliRunner(env={"LLAMBDA_URL": url, "COLUMNS": "80"})
    return runner.invoke(command, words, standalone_mode=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A run config whose quota's store has the usage of a key, which there is, and of ada."""
    document: dict[str, Any] = {
        "version": 2,
        "image_name": "counted",
        "apis": ["inference", "usage"],
        "providers": {
            "inference": [
                {"provider_id": "p", "provider_type": "remote::vllm", "config": {"url": "http://127.0.0.1:9"}}
            ]
        },
        "metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")},
        "server": {"quota": {"kvstore": {"type": "sqlite", "db_path": str(tmp_path / "usage.db")}}},
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    made = run("keys", "create", "--name", "night", "--config", str(path), "--json")
    assert made.exit_code == 0, made.stderr
    asyncio.run(_fill(tmp_path / "usage.db", json.loads(made.stdout)["id"]))
    return path


async def _fill(path: Path, key_id: str) -> None:
    store = connect(str(path))
    await count(
        store,
        f"user:api_key:{key_id}",
        chat(requests=12_345, answers=12_345, prompt_tokens=1_234_567, nanos=98_765_432_100),
    )
    await count(
        store, "user:custom%20house:ada", chat("bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", nanos=0, unpriced=1)
    )
    await count(store, "user:custom%20house:ada", chat(estimated_tokens=5), teams="blue+red")
    await store.close()


def test_a_table_in_80_columns_has_numbers_to_the_right_and_a_total(config: Path) -> None:
    shown = run("usage", "--since", "7d", "--config", str(config))
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.splitlines() == [
        "KEY    MODEL                         REQUESTS     PROMPT  COMPLETION  COST (USD)",
        "night  small                           12,345  1,234,567           5     98.7654",
        "-      small                                1         10           5     <0.0001",
        "-      bedrock/anthropic.claude-so…         1         10           5    unpriced",
        "TOTAL                                  12,347  1,234,587          15    98.7655+",
    ]
    assert "nobody knows the price of 1 of 12,347 answers" in shown.stderr
    assert "5 of the tokens are estimated" in shown.stderr


def test_groups_and_filters_are_those_of_the_api(config: Path) -> None:
    by_day = run("usage", "--by", "day,user", "--user", "ada", "--config", str(config))
    assert [line.split()[:3] for line in by_day.stdout.splitlines()[1:]] == [
        [str(TODAY), "ada", "2"],
        ["TOTAL", "2", "20"],
    ]
    total = run("usage", "--by", "", "--key", "night", "--config", str(config))
    assert [line.split()[0] for line in total.stdout.splitlines()] == ["REQUESTS", "12,345", "TOTAL"]
    team = run("usage", "--by", "team", "--team", "red", "--config", str(config))
    assert [line.split()[0] for line in team.stdout.splitlines()] == ["TEAM", "blue+red", "TOTAL"]
    narrow = run("usage", "--by", "day,user,team,model,provider", "--config", str(config))
    assert "1.2M" in narrow.stdout
    assert all(len(line) <= 80 for line in narrow.stdout.splitlines())
    none = run("usage", "--until", "1d", "--since", "7d", "--config", str(config))
    assert none.stdout == "nothing was used\n"


def test_json_has_what_the_api_answers_and_csv_exact_costs(config: Path) -> None:
    page = json.loads(run("usage", "--json", "--unsettled", "--config", str(config)).stdout)
    assert page["total"]["cost_nanos"] == 98_765_452_100
    assert page["unsettled"] == {"requests": 0, "tokens": 0, "cost": 0, "cost_nanos": 0, "calls": []}
    assert (page["group_by"], page["scope"]) == (["key", "model"], "all")
    titles, first, *_ = csv.reader(io.StringIO(run("usage", "--csv", "--config", str(config)).stdout))
    row = dict(zip(titles, first, strict=True))
    assert (row["key_name"], row["cost"], row["requests"]) == ("night", "98.7654321", "12345")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--since", "soon"], "`soon` is not a time; write 7d, 12h or 2027-01-31"),
        (["--since", "3650d"], "Usage is kept 400 days"),
        (["--since", "1d", "--until", "2d"], "`until` must be after `since`"),
        (["--by", "kye"], "there is no grouping `kye`; did you mean `key`?"),
        (["--csv", "--json"], "choose one of --csv and --json"),
        (["--table", "t-1", "--url", "http://127.0.0.1:9"], "--table is for the store"),
        (["--region", "eu-west-1"], "is for --table"),
        (["--config", "starter"], "no usage is counted: name a store at `server.usage.kvstore`"),
    ],
)
def test_a_mistake_is_said(config: Path, words: list[str], says: str) -> None:
    refused = run("usage", "--config", str(config), *words)
    assert says in str(refused.exception)


def test_a_running_stack_is_asked_by_its_url(config: Path, tmp_path: Path) -> None:
    with serving(config, tmp_path / "log.txt") as url:
        shown = run("usage", "--by", "user,model", "--user", "ada", "--model", "small", url=url)
        assert (shown.exit_code, shown.stdout.splitlines()[1].split()[:3]) == (0, ["ada", "small", "1"])
        assert "Usage is kept 400 days" in str(run("usage", "--since", "3650d", url=url).exception)
        helped = run("usage", "--help")
        assert all(len(line) <= 80 for line in helped.stdout.splitlines())
