"""The real clients against `llambda serve llama-guard`; the guard is an upstream that judges by one word.

The small local model is no guard, and what it says instead of a verdict must not pass: that is tested with it.
"""

from collections.abc import Generator
import json
from pathlib import Path

from aiohttp import web
import httpx
import pytest

from infra.local import clients
from infra.local.model_server import CHAT_MODEL
from tests.clients.running import check, params
from tests.clients.scripts.safety import GUARD
from tests.parts.stack import serving
from tests.parts.upstream import CHAT, FakeUpstream, in_thread


async def judge(request: web.Request) -> web.StreamResponse:
    asked = json.loads(await request.read())["messages"][0]["content"]
    said = "safe" if "User: hello" in asked else "unsafe\nS1"
    return web.json_response({**CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": said}}]})


@pytest.fixture(scope="module")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("llama-guard")
    with in_thread(FakeUpstream(replies={"/v1/chat/completions": judge})) as guard:
        env = {
            "VLLM_URL": guard.url,
            "SAFETY_VLLM_URL": guard.url,
            "INFERENCE_MODEL": "llama",
            "SAFETY_MODEL": GUARD,
            "SQLITE_STORE_DIR": str(folder),
        }
        with serving(Path("llama-guard"), folder / "log.txt", env=env) as url:
            yield url


@pytest.mark.parametrize("client", params(name for name in clients.names() if not name.startswith("ogx")))
def test_a_real_client_runs_shields_and_moderates(guarded_url: str, client: str) -> None:
    check(client, "tests.clients.scripts.safety", guarded_url)


def test_a_real_model_that_is_no_guard_is_a_failure_and_never_a_pass(model_server: str, tmp_path: Path) -> None:
    env = {
        "VLLM_URL": model_server,
        "SAFETY_VLLM_URL": model_server,
        "INFERENCE_MODEL": "other",
        "SAFETY_MODEL": CHAT_MODEL,
        "SQLITE_STORE_DIR": str(tmp_path),
    }
    with serving(Path("llama-guard"), tmp_path / "log.txt", env=env) as url:
        body = {"shield_id": CHAT_MODEL, "messages": [{"role": "user", "content": "Say hello."}], "params": {}}
        answer = httpx.post(f"{url}/v1/safety/run-shield", json=body, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
