"""`llambda keys`, through the command line and over real stores: shown once, listed without secrets, revoked."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest

from core.auth.api_key import ApiKeyVerifier
from core.auth.verifier import Incoming
from core.cli.main import main
from core.errors import Unauthenticated
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.stores.registry import sqlite
from core.stores.registry.key_format import KIND, issue, parse
from core.stores.registry.port import RegistryStore
from tests.parts.secrets import plant
from tests.unit.cli.conftest import Keys

ROOT = Path(__file__).parents[3]
type Output = pytest.CaptureFixture[str]


def within(config: Path, work: Callable[[RegistryStore], Any]) -> Any:
    """What `work` makes of the store that the run config names."""

    async def working() -> Any:
        store = sqlite.connect(str(config.parent / "registry.db"))
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(working())


def verified(config: Path, token: str) -> Principal | None:
    async def verifying(store: RegistryStore) -> Principal | None:
        try:
            return await ApiKeyVerifier(store).verify(Incoming(token))
        except Unauthenticated:
            return None

    found: Principal | None = within(config, verifying)
    return found


def stored(config: Path, token: str) -> Resource:
    found: Resource = within(config, lambda store: store.get(KIND, id_of(token)))
    return found


def made(keys: Keys, capsys: Output, *options: str) -> str:
    assert keys("create", "--name", "demo", *options) == 0
    return plant(capsys.readouterr().out.strip())


def id_of(token: str) -> str:
    return (parse(token) or ("", ""))[0]


def test_a_made_key_is_alone_on_the_standard_output_and_opens_the_stack(
    keys: Keys, config: Path, capsys: Output
) -> None:
    assert keys("create", "--name", "demo", "--roles", "admin,dev,admin") == 0
    said = capsys.readouterr()
    token = plant(said.out.removesuffix("\n"))
    found = verified(config, token)
    assert found is not None
    assert found.attributes == {"roles": ("admin", "dev")}
    assert f"Key {found.id} (demo, roles admin, dev) does not expire." in said.err
    assert "not shown again" in said.err
    assert 'curl http://127.0.0.1:8321/v1/models -H "Authorization: Bearer $KEY"' in said.err
    assert token not in said.err
    assert "of no use" not in said.err


def test_two_keys_may_have_one_name(keys: Keys, config: Path, capsys: Output) -> None:
    one, other = made(keys, capsys), made(keys, capsys)
    assert one != other
    assert verified(config, one)
    assert verified(config, other)


def test_the_process_writes_the_secret_nowhere_but_to_its_output(config: Path) -> None:
    command = [sys.executable, "-m", "core.cli.main", "keys", "create", "--config", str(config), "--name", "demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    token = plant(done.stdout.strip())
    secret = (parse(token) or ("", ""))[1].encode()
    files = [path for path in config.parent.rglob("*") if path.is_file()]
    assert any(path.name == "registry.db" for path in files)
    assert all(secret not in path.read_bytes() for path in files)
    assert secret.decode() not in done.stderr


@pytest.mark.parametrize(("given", "seconds"), [("30d", 30 * 86_400), ("12h", 43_200), ("1h", 3600)])
def test_a_key_may_expire_after_a_time(keys: Keys, config: Path, capsys: Output, given: str, seconds: int) -> None:
    resource = stored(config, made(keys, capsys, "--expires", given))
    assert 0 <= resource.created + seconds - resource.attributes["expires"] < 60


def test_a_key_may_expire_on_a_day(keys: Keys, config: Path, capsys: Output) -> None:
    assert keys("create", "--name", "demo", "--expires", "2099-01-31") == 0
    said = capsys.readouterr()
    assert "expires 2099-01-31 00:00 UTC" in said.err
    assert stored(config, plant(said.out.strip())).attributes["expires"] == 4_073_500_800


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--name"),
        (["--name", ""], "1 to 100 printable characters"),
        (["--name", "   "], "1 to 100 printable characters"),
        (["--name", "a\nb"], "1 to 100 printable characters"),
        (["--name", "\x1b[31mred"], "1 to 100 printable characters"),
        (["--name", "x" * 101], "1 to 100 printable characters"),
        (["--name", "a", "--roles", ""], "names without spaces"),
        (["--name", "a", "--roles", "a,"], "names without spaces"),
        (["--name", "a", "--roles", "a, b"], "names without spaces"),
        (["--name", "a", "--roles", "a\tb"], "names without spaces"),
        (["--name", "a", "--expires", "2020-01-31"], "is in the past"),
        (["--name", "a", "--expires", "0d"], "write 30d, 12h or 2027-01-31"),
        (["--name", "a", "--expires", "-1d"], "expires"),
        (["--name", "a", "--expires", "30"], "write 30d, 12h or 2027-01-31"),
        (["--name", "a", "--expires", "999999d"], "write 30d, 12h or 2027-01-31"),
        (["--name", "a", "--expires", "٣d"], "write 30d, 12h or 2027-01-31"),
        (["--name", "a", "--expires", "2027-02-30"], "write 30d, 12h or 2027-01-31"),
        (["--name", "a", "--table", "x y"], "the name or the ARN"),
    ],
)
def test_a_mistake_makes_no_key(keys: Keys, config: Path, capsys: Output, options: list[str], words: str) -> None:
    assert keys("create", *options) == 2
    assert words in capsys.readouterr().err
    assert not (config.parent / "registry.db").exists()


def test_without_keys_the_list_says_so(keys: Keys, capsys: Output) -> None:
    assert keys("list") == 0
    assert capsys.readouterr().out == "no keys\n"


def test_the_list_fits_a_terminal_and_shows_no_secret_hash_or_salt(keys: Keys, config: Path, capsys: Output) -> None:
    tokens = [
        made(keys, capsys),
        made(keys, capsys, "--name", "a very long name of a key", "--roles", "administrators,developers"),
        made(keys, capsys, "--expires", "2099-01-31"),
    ]
    assert verified(config, tokens[0]) is not None
    assert keys("list") == 0
    listed = capsys.readouterr().out
    lines = listed.splitlines()
    assert lines[0].split() == ["ID", "NAME", "ROLES", "CREATED", "EXPIRES", "LAST", "USED"]
    assert len(lines) == 4
    assert max(map(len, lines)) < 80
    rows = {line.split()[0]: line for line in lines[1:]}
    assert list(rows) == sorted(id_of(token) for token in tokens)
    resources = [stored(config, token) for token in tokens]
    assert rows[id_of(tokens[0])].split()[1:3] == ["demo", "-"]
    assert rows[id_of(tokens[0])].count("never") == 1
    assert "a very long na…  administrat…" in rows[id_of(tokens[1])]
    assert rows[id_of(tokens[1])].count("never") == 2
    assert "2099-01-31" in rows[id_of(tokens[2])]
    for token, resource in zip(tokens, resources, strict=True):
        assert token.split("_", 2)[2] not in listed
        assert resource.attributes["hash"] not in listed
        assert resource.attributes["salt"] not in listed


def test_the_list_shows_what_is_expired_or_not_usable(keys: Keys, config: Path, capsys: Output) -> None:
    _, expired = issue("old", [], expires=5, now=1)
    _, broken = issue("broken", [], expires=None, now=1)
    within(config, lambda store: store.create(expired))
    within(config, lambda store: store.create(replace(broken, attributes={"hash": "5ecret"})))
    assert keys("list") == 0
    listed = capsys.readouterr().out
    assert f"{expired.identifier}  old              -             1970-01-01  expired     never" in listed
    assert f"{broken.identifier}  (not usable)     ?             1970-01-01  ?           ?" in listed
    assert "5ecret" not in listed


def test_the_list_has_every_page(keys: Keys, config: Path, capsys: Output) -> None:
    async def filled(store: RegistryStore) -> None:
        for number in range(201):
            await store.create(issue(f"key-{number}", [], expires=None, now=1)[1])

    within(config, filled)
    assert keys("list") == 0
    assert len(set(capsys.readouterr().out.splitlines())) == 202


def test_a_revoked_key_is_gone_and_the_others_stay(keys: Keys, config: Path, capsys: Output) -> None:
    config.write_text(config.read_text() + "registry: {cache_seconds: 5}\n")
    token, other = made(keys, capsys), made(keys, capsys)
    assert keys("revoke", id_of(token)) == 0
    said = capsys.readouterr().out
    assert said == (f"Revoked {id_of(token)}. Every function refuses it within 5 seconds (registry.cache_seconds).\n")
    assert verified(config, token) is None
    assert verified(config, other) is not None
    assert keys("revoke", id_of(token)) == 1
    assert (
        f"There is no key {id_of(token)} in the SQLite file {config.parent / 'registry.db'}." in capsys.readouterr().err
    )
    assert keys("revoke", id_of(other)) == 0


def test_a_key_is_revoked_by_its_whole_id_alone_and_never_repeated(keys: Keys, config: Path, capsys: Output) -> None:
    token = made(keys, capsys)
    for wrong in (token, id_of(token)[:11], f"llambda_{id_of(token)}", "demo", "*", ""):
        assert keys("revoke", wrong) == 2
        said = capsys.readouterr().err
        assert "not the key itself" in said
        assert token not in said
    assert verified(config, token) is not None


def test_only_keys_are_revoked(keys: Keys, config: Path, capsys: Output) -> None:
    model = Resource("model", "abcdefgh2345", "a", "m", {})
    within(config, lambda store: store.create(model))
    assert keys("revoke", "abcdefgh2345") == 1
    assert "There is no key" in capsys.readouterr().err
    assert within(config, lambda store: store.get("model", "abcdefgh2345")) == model


def test_a_store_that_cannot_be_used_is_a_failure_in_words(config: Path, keys: Keys, capsys: Output) -> None:
    (config.parent / "registry.db").write_text("my diary, " * 200)
    for arguments in (["create", "--name", "demo"], ["list"], ["revoke", "abcdefgh2345"]):
        assert keys(*arguments) == 1
        said = capsys.readouterr()
        assert "The registry's SQLite file `registry.db` cannot be used" in said.err
        assert said.out == ""


def test_keys_are_json_where_it_is_asked_for_and_nothing_else_is_said(keys: Keys, config: Path, capsys: Output) -> None:
    assert keys("list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert keys("create", "--name", "démo", "--roles", "admin,dev", "--expires", "2099-01-31", "--json") == 0
    said = capsys.readouterr()
    created = json.loads(said.out)
    token = plant(created.pop("key"))
    assert said.err == ""
    assert created.pop("opens") is True
    assert created.pop("store") == f"the SQLite file {config.parent / 'registry.db'}"
    assert created.pop("created") == stored(config, token).created
    expected = {"id": id_of(token), "usable": True, "name": "démo", "roles": ["admin", "dev"]}
    rest = dict.fromkeys(("last_used", "created_by", "models", "rotated", "previous_until", "revoked"))
    assert created == expected | rest | {"expires": 4_073_500_800, "teams": [], "limits": [], "revision": 1}
    _, broken = issue("broken", [], expires=None, now=1)
    within(config, lambda store: store.create(replace(broken, attributes={"hash": "5ecret"})))
    assert keys("list", "--json") == 0
    listed = capsys.readouterr().out
    assert {row["id"]: row["usable"] for row in json.loads(listed)} == {id_of(token): True, broken.identifier: False}
    assert "5ecret" not in listed
    assert token.split("_", 2)[2] not in listed
    assert stored(config, token).attributes["salt"] not in listed
    assert keys("revoke", id_of(token), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"revoked": id_of(token), "refused_within_seconds": 30}


def test_a_deployments_table_is_used_directly(
    registry_table: str, dynamodb_endpoint: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_endpoint)
    there = ["--table", registry_table, "--region", "us-east-1"]
    assert main(["keys", "create", *there, "--name", "demo", "--roles", "admin"]) == 0
    said = capsys.readouterr()
    token = plant(said.out.strip())
    assert "of no use until the deployment's run config has this auth provider" in said.err
    assert main(["keys", "list", *there]) == 0
    assert f"{id_of(token)}  demo             admin" in capsys.readouterr().out
    assert main(["keys", "revoke", *there, id_of(token)]) == 0
    assert "within 30 seconds (registry.cache_seconds, or as long as its run config says)" in capsys.readouterr().out
    assert main(["keys", "list", *there]) == 0
    assert capsys.readouterr().out == "no keys\n"
    assert main(["keys", "list", "--table", "no-such-table"]) == 1
    assert "`no-such-table` does not exist in this account and region" in capsys.readouterr().err


def test_a_key_is_rotated_with_an_overlap_shown_changed_and_revoked(keys: Keys, config: Path, capsys: Output) -> None:
    first = made(keys, capsys, "--teams", "red", "--models", "small,vllm/*", "--force")
    key_id = id_of(first)
    assert keys("rotate", key_id, "--overlap", "2d") == 0
    said = capsys.readouterr()
    second = plant(said.out.removesuffix("\n"))
    assert (id_of(second), second != first, second in said.err) == (key_id, True, False)
    assert "not shown again" in said.err
    assert "The secret before passes until " in said.err
    for token in (first, second):
        found = verified(config, token)
        assert found is not None
        assert (found.attributes, found.grant and found.grant.models) == ({"teams": ("red",)}, ("small", "vllm/*"))
    assert keys("rotate", key_id) == 1
    assert "rotate it with `force`" in capsys.readouterr().err
    assert keys("rotate", key_id, "--force", "--overlap", "0", "--json") == 0
    third = json.loads(capsys.readouterr().out)
    assert verified(config, plant(third["key"])) is not None
    assert (third["previous_until"], verified(config, first), verified(config, second)) == (None, None, None)


def test_a_key_is_changed_shown_and_revoked_and_its_name_stays(keys: Keys, capsys: Output) -> None:
    key_id = id_of(made(keys, capsys, "--teams", "red", "--models", "small,vllm/*", "--force"))
    assert keys("update", key_id, "--name", "cd", "--models", "*", "--teams", "", "--expires", "2099-01-31") == 0
    shown = capsys.readouterr().out
    lines = (
        "key:        ID",
        "name:       cd",
        "teams:      none",
        "models:     all",
        "expires:    2099-01-31 00:00 UTC",
    )
    assert all(line.replace("ID", key_id) in shown for line in lines), shown
    assert keys("update", key_id, "--expires", "never", "--models", "small", "--json") == 0
    changed = json.loads(capsys.readouterr().out)
    assert (changed["expires"], changed["models"], changed["revision"]) == (None, ["small"], 3)
    assert keys("get", key_id, "--json") == 0
    assert json.loads(capsys.readouterr().out) == changed
    assert keys("revoke", key_id) == 0
    capsys.readouterr()
    assert keys("list") == 0
    assert capsys.readouterr().out == "no keys\n"
    assert keys("list", "--all") == 0
    assert f"{key_id}  cd " in (listed := capsys.readouterr().out)
    assert "revoked" in listed
    for action in ("rotate", "update"):
        assert keys(action, key_id, *(["--name", "x"] if action == "update" else [])) == 1
        assert "revoked, for good" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["rotate", "abcdefgh2345", "--overlap", "31d"], "no time of at most 30d"),
        (["rotate", "abcdefgh2345", "--overlap", "1w"], "no time of at most 30d"),
        (["rotate", "abcdefgh2345", "--overlap", "-1h"], "no time of at most 30d"),
        (["rotate", "demo"], "not the key itself"),
        (["update", "abcdefgh2345"], "name what is to change"),
        (["update", "abcdefgh2345", "--roles", "a b"], "names without spaces"),
        (["get", "llambda_abcdefgh2345_x"], "not the key itself"),
        (["list", "--url", "http://127.0.0.1:9"], "--url is of a running stack and --config of a store"),
    ],
)
def test_a_mistake_changes_no_key(keys: Keys, capsys: Output, options: list[str], words: str) -> None:
    assert keys(*options) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("action", [["get"], ["rotate"], ["update", "--name", "x"]])
def test_a_key_that_is_not_there_is_said_with_the_store(keys: Keys, capsys: Output, action: list[str]) -> None:
    assert keys(action[0], "abcdefgh2345", *action[1:]) == 1
    assert "There is no key abcdefgh2345 in the SQLite file" in capsys.readouterr().err
