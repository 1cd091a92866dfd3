"""`llambda keys create` beside a stack that runs: a key that it will not take comes with a warning."""

from concurrent.futures import ThreadPoolExecutor
import json
from pathlib import Path

import pytest

from core.cli.main import main
from infra.local.ports import free_port
from tests.parts.secrets import plant
from tests.parts.stack import serving

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
    assert "warning" not in create(config(tmp_path, port, "other.db"), capsys)


def test_a_stack_that_asks_for_no_keys_is_warned_of(tmp_path: Path, capsys: Output) -> None:
    port = free_port()
    with serving(config(tmp_path, port, auth=False), tmp_path / "log", "--port", str(port)):
        said = create(config(tmp_path, port), capsys)
    assert "it lets everybody in without a key" in said
