"""`llambda audit` over a store, and against a stack that is served."""

import json
from pathlib import Path

from click.testing import CliRunner, Result
import pytest

from core.cli.main import command
from tests.parts.stack import serving


def run(*words: str, url: str | None = None) -> Result:
    runner = CliRunner(env={"LLAMBDA_URL": url, "COLUMNS": "80"})
    return runner.invoke(command, words, standalone_mode=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A run config whose operator has made two keys and revoked one."""
    document = {
        "version": 2,
        "image_name": "audited",
        "apis": ["inference", "usage"],
        "providers": {
            "inference": [
                {"provider_id": "p", "provider_type": "remote::vllm", "config": {"url": "http://127.0.0.1:9"}}
            ]
        },
        "metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")},
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    for name in ("ci", "night"):
        made = run("keys", "create", "--name", name, "--config", str(path), "--json")
        assert made.exit_code == 0, made.stderr
    assert run("keys", "revoke", json.loads(made.stdout)["id"], "--config", str(path)).exit_code == 0
    return path


def test_the_operator_reads_the_store_in_80_columns(config: Path) -> None:
    shown = run("audit", "--since", "1d", "--config", str(config))
    assert shown.exit_code == 0, shown.stderr
    titles, *rows = shown.stdout.splitlines()
    assert titles.split() == ["WHAT", "ACTION", "WHO", "WHEN", "(UTC)"]
    assert [row.split()[1:3] for row in rows] == [
        ["update", "operator"],
        ["create", "operator"],
        ["create", "operator"],
    ]
    assert all(row.startswith("key::") and len(row) <= 80 for row in rows)
    every = json.loads(run("audit", "--config", str(config), "--json").stdout)
    assert [(entry["action"], entry["before"] is None) for entry in every][:2] == [("update", False), ("create", True)]
    assert not {"salt", "hash"} & (every[0]["before"].keys() | every[0]["after"].keys())
    few = run("audit", "--action", "create", "--limit", "1", "--config", str(config))
    assert (len(few.stdout.splitlines()), "the newest 1;" in few.stderr) == (2, True)
    none = run("audit", "--until", "2020-01-31", "--since", "2020-01-01", "--config", str(config))
    assert none.stdout == "nothing was changed\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--since", "soon"], "`soon` is not a time; write 7d, 12h or 2027-01-31"),
        (["--since", "500d"], "may be at most 400 days apart"),
        (["--since", "1d", "--until", "2d"], "`until` must be after `since`"),
        (["--entity", "key"], "`key` does not name a resource"),
        (["--table", "t-1", "--url", "http://127.0.0.1:9"], "--table is for the store"),
    ],
)
def test_a_mistake_is_said(config: Path, words: list[str], says: str) -> None:
    refused = run("audit", "--config", str(config), *words)
    assert says in str(refused.exception)


def test_a_running_stack_shows_what_the_caller_may_read(config: Path, tmp_path: Path) -> None:
    with serving(config, tmp_path / "log.txt") as url:
        shown = run("audit", url=url)
        assert (shown.exit_code, shown.stdout) == (0, "nothing was changed\n")  # the operator's is the operator's
        assert "may be at most 400 days apart" in str(run("audit", "--since", "500d", url=url).exception)


@pytest.mark.parametrize("option", ["--entity", "--actor"])
@pytest.mark.parametrize("text", ["", "m" * 1025])
def test_a_filter_that_is_too_long_or_empty_is_refused_in_words(option: str, text: str) -> None:
    asked = run("audit", option, text)
    assert asked.exit_code != 0
    assert f"must be 1 to 1024 characters; it has {len(text)}" in str(asked.exception)
