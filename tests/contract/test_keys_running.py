"""`llambda keys create` beside a stack that runs: a key that it will not take comes with a warning."""

from concurrent.futures import ThreadPoolExecutor
import json
from pathlib import Path

from click.testing import CliRunner
import pytest

from core.cli.main import command, main
from infra.local.ports import free_port
from tests.parts.secrets import plant
from tests.parts.stack import new_key, serving

type Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")


def config(folder: Path, port: int, store: str = "registry.db", *, auth: bool = True) -> Path:
    document = {
        "version": 2,
        "image_name": "t",
        "apis": ["inference"],
        "providers": {
            "inference": [
                {"provider_id": "a", "provider_type": "remote::vllm", "config": {"url": "http://127.0.0.1:9"}}
            ]
        },
        "metadata_store": {"type": "sqlite", "db_path": str(folder / store)},
        "server": {"port": port} | ({"auth": {"providers": [{"type": "api_key"}]}} if auth else {}),
    }
    path = folder / f"{store}-{auth}.json"
    path.write_text(json.dumps(document))
    return path


def create(path: Path, capsys: Output) -> str:
    """What it says beside the key, each message on a line."""
    with ThreadPoolExecutor(1) as threads:  # its event loop is no business of those of the tests
        assert threads.submit(main, ["keys", "create", "--config", str(path), "--name", "demo"]).result() == 0
    said = capsys.readouterr()
    plant(said.out.removesuffix("\n"))
    assert said.out.count("\n") == 1
    return said.err


def test_the_store_is_said_and_a_stack_on_another_is_warned_of(tmp_path: Path, capsys: Output) -> None:
    port = free_port()
    mine = config(tmp_path, port)
    with serving(mine, tmp_path / "log", "--port", str(port)):
        said = create(mine, capsys)
        assert f"Its hash is in the SQLite file {tmp_path / 'registry.db'}.\n" in said
        assert "warning" not in said
        said = create(config(tmp_path, port, "other.db"), capsys)
        assert f"SQLite file {tmp_path / 'other.db'}.\n" in said
        assert f"warning: a stack runs at http://127.0.0.1:{port}, and it does not know the keys of this store" in said
        main(["keys", "list", "--json", "--config", str(mine)])
        assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["demo"]
        main(["audit", "--json", "--config", str(mine)])
        changes = json.loads(capsys.readouterr().out)
        assert [(each["action"], each["after"]["name"]) for each in changes] == [("create", "demo")]  # not of what asks
    assert "warning" not in create(config(tmp_path, port, "other.db"), capsys)


def test_a_stack_that_asks_for_no_keys_is_warned_of(tmp_path: Path, capsys: Output) -> None:
    port = free_port()
    with serving(config(tmp_path, port, auth=False), tmp_path / "log", "--port", str(port)):
        said = create(config(tmp_path, port), capsys)
    assert "it lets everybody in without a key" in said


def test_keys_of_a_running_stack_are_what_its_policy_lets(tmp_path: Path, capsys: Output) -> None:
    path = config(tmp_path, free_port())
    document = json.loads(path.read_text())
    rule = {"permit": {"actions": ["create", "read", "update", "delete"], "resource": "key::*"}}
    document["server"]["auth"]["access_policy"] = [rule | {"when": "user with ops in roles"}]
    path.write_text(json.dumps(document))

    def run(key: str, *words: str) -> tuple[int, str, str]:
        """As in a shell with the stack's URL and the key."""
        runner = CliRunner(env={"LLAMBDA_URL": url, "LLAMBDA_API_KEY": key, "COLUMNS": "1000"})
        done = runner.invoke(command, ["keys", *words], standalone_mode=False)
        return done.exit_code, done.stdout, str(done.exception or done.stderr)

    with serving(path, tmp_path / "log") as url:
        ops = new_key(path, {}, "--name", "ops", "--roles", "ops")
        code, out, said = run(ops, "create", "--name", "ci", "--roles", "ops", "--models", "small")
        first = plant(out.removesuffix("\n"))
        assert (code, "not shown again" in said) == (0, True)
        key_id = first.split("_")[1]
        second = plant(run(ops, "rotate", key_id, "--overlap", "1h")[1].removesuffix("\n"))
        assert (second != first, second.split("_")[1]) == (True, key_id)
        changed = json.loads(run(ops, "update", key_id, "--models", "*", "--name", "cd", "--json")[1])
        assert (changed["name"], changed["models"], changed["usable"]) == ("cd", None, True)
        assert "name:       cd\n" in run(first, "get", key_id)[1]
        assert {row["name"] for row in json.loads(run(ops, "list", "--json")[1])} == {"ops", "cd"}
        code, _, said = run(second, "create", "--name", "x", "--roles", "chief", "--force")
        assert (code, "`permit: {actions: create, resource: 'role::chief'}`" in said) == (1, True)
        code, _, said = run(ops, "create", "--name", "x", "--roles", "op")
        assert "did you mean `ops`?" in said
        assert run(ops, "revoke", key_id)[:2] == (0, f"Revoked {key_id}.\n")
        assert run(ops, "revoke", "abcdefgh2345")[2].endswith("`llambda keys list` lists what there is.")
        local = CliRunner(env={"LLAMBDA_URL": url}).invoke(
            command, ["keys", "list", "--config", str(path), "--all", "--json"], standalone_mode=False
        )
        assert [row["revoked"] is None for row in json.loads(local.stdout) if row["id"] == key_id] == [False]
    capsys.readouterr()
