"""`llambda webhooks` against a stack that is served."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
import json
from pathlib import Path
import re

from click.testing import CliRunner, Result

from core.cli.main import command
from tests.parts.stack import serving
from tests.parts.upstream import status, threaded
from tests.parts.webhook_world import Receiver, receiving, webhooks_entry


def run(url: str, *words: str) -> Result:
    runner = CliRunner(env={"LLAMBDA_URL": url, "COLUMNS": "80"})
    return runner.invoke(command, ["webhooks", *words], standalone_mode=False)


@contextmanager
def served(folder: Path) -> Generator[tuple[str, Receiver]]:
    with ExitStack() as opened:
        receiver = opened.enter_context(threaded(receiving(status(200), status(500))))
        document = {
            "version": 2,
            "image_name": "hooks",
            "apis": ["webhooks"],
            "providers": {"webhooks": [webhooks_entry(receiver.url)]},
            "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
        }
        (folder / "run.json").write_text(json.dumps(document))
        yield opened.enter_context(serving(folder / "run.json", folder / "log.txt")), receiver


def test_endpoints_are_made_tried_changed_and_deleted(tmp_path: Path) -> None:
    with served(tmp_path) as (url, receiver):
        made = run(url, "create", receiver.url, "--event", "batch.completed")
        endpoint, secret = made.stdout.split()
        assert re.fullmatch(r"we_[0-9a-f]{24} whsec_\S{44}", f"{endpoint} {secret}")
        assert "shown this once" in made.stderr
        tested = [run(url, "test", endpoint), run(url, "test", endpoint, "--event", "batch.failed")]
        assert [each.stdout for each in tested] == [
            "batch.completed: answered with 200\n",
            "batch.failed: answered with 500\n",
        ]
        assert [each.return_value for each in tested] == [0, 1]
        assert receiver.received[0].is_signed_with(secret)
        rotated = run(url, "rotate", endpoint, "--keep-old", "--json")
        assert json.loads(rotated.stdout)["signing_secret"] != secret
        assert "name:      yours\n" in run(url, "update", endpoint, "--name", "yours").stdout
        every = json.loads(run(url, "create", receiver.url, "--json").stdout)
        assert len(every["event_types"]) == 8
        rows = run(url, "list").stdout.splitlines()
        assert (len(rows), max(map(len, rows)) <= 80, any(endpoint in row for row in rows)) == (3, True, True)
        assert "events:\n  batch.completed\n" in run(url, "show", endpoint).stdout
        refused = run(url, "create", "https://10.0.0.1:1/")
        assert "must be on one of these ports" in str(refused.exception)
        assert run(url, "delete", endpoint, every["id"]).stdout == f"deleted {endpoint}\ndeleted {every['id']}\n"
        assert run(url, "list").stdout == "no webhooks\n"
        unknown = run(url, "show", endpoint)
        assert "`llambda webhooks list` lists what there is." in str(unknown.exception)
