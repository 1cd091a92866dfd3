"""The real clients' calls of stored chat completions, against `llambda serve`."""

from collections.abc import Generator

import pytest

from tests.clients.running import check, params
from tests.parts.stack import serving
from tests.parts.upstream import FakeUpstream, in_thread

CONFIG = """
version: 2
image_name: chats
providers:
  inference:
    - {provider_id: p, provider_type: "remote::vllm", config: {url: "${env.URL}"}}
metadata_store: {type: sqlite, db_path: "${env.FOLDER}/registry.db"}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("chats")
    (folder / "run.yaml").write_text(CONFIG, "utf-8")
    with in_thread(FakeUpstream()) as upstream:
        env = {"URL": f"{upstream.url}/v1", "FOLDER": str(folder)}
        with serving(folder / "run.yaml", folder / "log.txt", env=env) as url:
            yield url


@pytest.mark.parametrize("client", params(["llama-stack-client-0.2", "openai-2", "openai-3"]))
def test_a_real_clients_calls_of_stored_chats_work(url: str, client: str) -> None:
    check(client, "tests.clients.scripts.stored_chats", url)
