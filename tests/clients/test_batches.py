"""The real clients' calls of batches, against `llambda serve`."""

from collections.abc import Generator
import json

import pytest

from infra.local import clients
from tests.clients.running import check
from tests.parts.batch_stack import plain_document
from tests.parts.stack import serving
from tests.parts.upstream import FakeUpstream, in_thread

pytestmark = pytest.mark.conformance
HAVE_BATCHES = [name for name in clients.names() if name != "llama-stack-client-0.2"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("batches")
    with in_thread(FakeUpstream()) as upstream:
        (folder / "run.json").write_text(json.dumps(plain_document(folder, upstream.url)))
        with serving(folder / "run.json", folder / "log.txt") as url:
            yield url


@pytest.mark.parametrize("client", HAVE_BATCHES)
def test_a_real_clients_calls_of_batches_work(url: str, client: str) -> None:
    check(client, "tests.clients.scripts.batches", url)
