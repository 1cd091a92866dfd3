"""Which store `llambda keys` uses, and what it says of the run config that names it."""

import json
from pathlib import Path

import pytest

from core.cli.main import main
from tests.parts.secrets import plant
from tests.unit.cli.conftest import AUTH, CONFIG, Keys

QUOTA = """\
server:
  auth: {providers: [{type: api_key}]}
  quota: {kvstore: {type: sqlite, db_path: FOLDER/counters.db}}
"""

type Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("server", "useful"),
    [
        ("", False),
        ("server: {port: 9000}\n", False),
        ("server: {auth: {provider_type: custom, config: {endpoint: 'https://a.example'}}}\n", False),
        ("server: {auth: {providers: [{type: custom, endpoint: 'https://a.example'}, api_key]}}\n", False),
        ("server: nonsense\n", False),
        ("server: {auth: {providers: {type: api_key}}}\n", False),
        ("server: {auth: {provider_type: api_key}}\n", True),
        ("server: {auth: {provider_config: {type: api_key}}}\n", True),
        ("server: {auth: {providers: [{type: custom, endpoint: 'https://a.example'}, {type: api_key}]}}\n", True),
        ("server: {auth: {providers: [{type: api_key}], access_policy: 7}}\n", True),
    ],
)
def test_a_key_that_opens_nothing_comes_with_what_to_add(
    keys: Keys, config: Path, capsys: Output, server: str, *, useful: bool
) -> None:
    config.write_text(config.read_text().replace(AUTH, server))
    assert keys("create", "--name", "demo") == 0
    said = capsys.readouterr()
    plant(said.out.strip())
    assert (f"of no use until {config} has this auth provider:" not in said.err) == useful
    assert ("server:\n    auth:\n      providers:\n        - type: api_key\n" not in said.err) == useful
    assert ("of no use" not in said.err) == useful


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ("db_path: FOLDER/registry.db", "db_path: '${env.AN_UNSET_PLACE}/x.db'", "AN_UNSET_PLACE"),
        ("type: sqlite", "type: postgres", "metadata_store.type"),
        ("metadata_store: {type: sqlite, db_path: FOLDER/registry.db}", "metadata_store: []", "metadata_store"),
        ("metadata_store: {type: sqlite, db_path: FOLDER/registry.db}", "storage: {stores: []}", "storage.stores"),
        ("image_name: t", "", "image_name"),
        ("version: 2", "registry: {cache_seconds: -1}", "registry.cache_seconds"),
        ("version: 2", "{", "YAML"),
    ],
)
def test_a_run_config_that_does_not_say_where_keys_are_is_refused(
    keys: Keys, config: Path, capsys: Output, good: str, bad: str, words: str
) -> None:
    config.write_text(CONFIG.replace(good, bad).replace("FOLDER", str(config.parent)))
    assert keys("create", "--name", "demo") == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "AN_UNSET_URL" not in said.err
    assert said.out == ""


def test_the_run_config_is_that_of_the_environment_unless_it_is_named(
    keys: Keys, config: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keys("create", "--name", "demo") == 0
    token = plant(capsys.readouterr().out.strip())
    monkeypatch.setenv("LLAMBDA_CONFIG", str(config))
    assert main(["keys", "list"]) == 0
    assert token.split("_")[1] in capsys.readouterr().out


def test_the_distribution_starter_is_the_default(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LLAMBDA_CONFIG", "SQLITE_STORE_DIR"):
        monkeypatch.setenv(name, "")
    assert main(["keys", "create", "--name", "demo", "--env", f"SQLITE_STORE_DIR={tmp_path}"]) == 0
    plant(capsys.readouterr().out.strip())
    assert (tmp_path / "registry.db").is_file()


def test_a_region_without_a_table_is_a_mistake(keys: Keys, capsys: Output) -> None:
    assert keys("list", "--region", "eu-west-1") == 2
    assert "is for --table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no limit"),
        ("week money 5", "is no limit"),
        ("month", "is no limit"),
        ("month warn", "is no limit"),
        ("month soft 0.5", "is no limit"),
        ("month money", "is no limit"),
        ("month euros 5", "is no limit"),
        ("day requests many", "has no number where one must be"),
        ("day money -1", "limits[0].money: must be USD: a number"),
        ("day requests 0 soft 2", "limits[0].soft"),
    ],
)
def test_a_limit_that_is_none_is_named_with_how_one_is_written(
    keys: Keys, config: Path, capsys: Output, text: str, words: str
) -> None:
    config.write_text(config.read_text().replace(AUTH, QUOTA.replace("FOLDER", str(config.parent))))
    assert keys("create", "--name", "demo", "--limit", text) != 0
    said = capsys.readouterr()
    assert (said.out, words in said.err) == ("", True), said.err


def test_limits_are_made_shown_changed_and_taken_away(keys: Keys, config: Path, capsys: Output) -> None:
    config.write_text(config.read_text().replace(AUTH, QUOTA.replace("FOLDER", str(config.parent))))
    rows = ("--limit", "month money 5.25 soft 0.9", "--limit", "minute requests 60 tokens 20000 warn")
    assert keys("create", "--name", "demo", *rows) == 0
    key_id = plant(capsys.readouterr().out.strip()).split("_")[1]
    assert keys("get", key_id) == 0
    shown = capsys.readouterr().out
    assert "limit:      5.25 USD a month, 0 used, until 20" in shown
    assert "limit:      60 requests a minute, 0 used, until 20" in shown
    assert "limit:      20,000 tokens a minute, 0 used, until 20" in shown
    assert shown.count("UTC (warns only)") == 2
    assert keys("update", key_id, "--limit", "day tokens 7", "--json") == 0
    assert [row["tokens"] for row in json.loads(capsys.readouterr().out)["limits"]] == [7]
    assert keys("update", key_id, "--limit", "none") == 0
    assert "limit:" not in capsys.readouterr().out


def test_limits_without_a_quota_are_refused(keys: Keys, capsys: Output) -> None:
    assert keys("create", "--name", "demo", "--limit", "month money 5") == 1
    said = capsys.readouterr()
    assert (said.out, "the run config has no server.quota" in said.err) == ("", True)
