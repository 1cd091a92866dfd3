"""The real clients of OpenAI unwrap what `llambda serve` sends to a receiver on a real socket."""

from base64 import b64encode
from collections.abc import Generator
from contextlib import ExitStack
import json
from pathlib import Path
from typing import Final

from aiohttp import web
import pytest

from infra.local import clients
from tests.clients.running import results
from tests.clients.scripts import webhooks
from tests.parts.response_stack import response_world
from tests.parts.stack import serving
from tests.parts.upstream import threaded
from tests.parts.webhook_world import receiving, webhooks_entry

pytestmark = pytest.mark.conformance
OPENAI: Final = tuple(name for name in clients.names() if name.startswith("openai"))

type Served = tuple[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """The addresses of the stack and of the receiver, which tells at /received what it has got."""
    folder: Path = tmp_path_factory.mktemp("webhooks")
    with ExitStack() as opened:
        world = opened.enter_context(threaded(response_world(folder)))
        receiver = opened.enter_context(threaded(receiving()))

        async def tell(_: web.Request) -> web.StreamResponse:
            every = [{"headers": got.headers, "body": b64encode(got.body).decode()} for got in receiver.received]
            return web.json_response(every)

        receiver.server.replies["/received"] = tell
        document = world.document()
        document["apis"].append("webhooks")
        document["providers"]["webhooks"] = [webhooks_entry(receiver.url)]
        (folder / "run.json").write_text(json.dumps(document))
        yield opened.enter_context(serving(folder / "run.json", folder / "log.txt")), receiver.url


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, str | None]]:
    """What each client's script printed; it runs once, for all its scenarios."""
    return {}


@pytest.mark.parametrize("scenario", [each.__name__ for each in webhooks.SCENARIOS])
@pytest.mark.parametrize("client", OPENAI)
def test_openais_client_works(
    served: Served, outcomes: dict[str, dict[str, str | None]], client: str, scenario: str
) -> None:
    if client not in outcomes:
        url, receiver = served
        outcomes[client] = results(client, "tests.clients.scripts.webhooks", url, RECEIVER_URL=receiver)
    assert outcomes[client][scenario] is None, outcomes[client][scenario]
