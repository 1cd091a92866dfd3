"""Llama Stack 0.2.12's command line and its own tests of datasets, scoring and evaluation, against `llambda serve starter`.

The model says what it is told: what is evaluated is the protocol, not wisdom.
"""

from collections.abc import Generator
import json
from pathlib import Path

from aiohttp import web
import pytest

from tests.clients.running import results
from tests.parts.stack import serving
from tests.parts.upstream import CHAT, FakeUpstream, in_thread

pytestmark = pytest.mark.conformance
CLIENT = "llama-stack-client-0.2"
SCRIPTS = ("eval_commands", "eval_reference")


async def echo(request: web.Request) -> web.StreamResponse:
    text = json.loads(await request.read())["messages"][-1]["content"]
    message = {"role": "assistant", "content": text}
    return web.json_response({**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@pytest.fixture(scope="module")
def starter_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("evals")
    with in_thread(FakeUpstream(replies={"/v1/chat/completions": echo})) as upstream:
        env = {"VLLM_URL": f"{upstream.url}/v1", "SQLITE_STORE_DIR": str(folder)}
        with serving(Path("starter"), folder / "log.txt", env=env) as url:
            yield url


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_reference_s_own_work(starter_url: str, script: str) -> None:
    failures = results(CLIENT, f"tests.clients.scripts.{script}", starter_url)
    assert not {name: text for name, text in failures.items() if text is not None}
