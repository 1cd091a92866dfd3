"""The real clients over responses of `llambda serve`: OpenAI's own, whose stream helper is the strictest check of events that there is."""

from collections.abc import Callable, Generator
import json
import os
import subprocess
import time
from types import ModuleType
from typing import Final

import httpx
import pytest

from infra.local import clients
from infra.local.parts import in_ci, missing_tools
from tests.clients.running import check, results
from tests.clients.scripts.responses import background, state, texts, tools
from tests.parts.model_script import Round, write_script
from tests.parts.response_stack import MODEL, ResponseWorld, served_responses
from tests.parts.stack import ROOT

pytestmark = pytest.mark.conformance
OPENAI: Final = tuple(name for name in clients.names() if name.startswith("openai"))


type Served = tuple[str, ResponseWorld]


@pytest.fixture(scope="module")
def served() -> Generator[Served]:
    """The address of the stack, and what is behind it."""
    with served_responses() as served:
        yield served


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], dict[str, str | None]]:
    """What each client's scripts printed; each runs once, for all its scenarios."""
    return {}


@pytest.mark.parametrize(
    ("script", "scenario"),
    [
        pytest.param(script, each.__name__, id=each.__name__)
        for script in (texts, tools, state, background)
        for each in script.SCENARIOS
    ],
)
@pytest.mark.parametrize("client", OPENAI)
def test_openais_client_works(
    served: Served,
    outcomes: dict[tuple[str, str], dict[str, str | None]],
    client: str,
    script: ModuleType,
    scenario: str,
) -> None:
    key = (client, script.__name__)
    if key not in outcomes:
        url, world = served
        outcomes[key] = results(client, script.__name__, url, MCP_URL=world.mcp_url)
    assert outcomes[key][scenario] is None, outcomes[key][scenario]


@pytest.mark.parametrize(
    ("client", "script"),
    [
        ("llama-stack-client-0.7", "family"),
        ("ogx-client-1.5", "family"),
        ("openai-agents-0", "agents_sdk"),
        ("pydantic-ai-2", "pydantic_agents"),
        ("langchain-openai-1", "langchain"),
        ("openresponses-types-2", "compliance"),
    ],
)
def test_others_programs_work(served: Served, client: str, script: str) -> None:
    url, world = served
    check(client, f"tests.clients.scripts.responses.{script}", url, MCP_URL=world.mcp_url)


def test_the_sdks_for_node_work(served: Served) -> None:
    if (missing := missing_tools("node", "npm")) and not in_ci():
        pytest.skip(f"{' and '.join(missing)} not found on the PATH")
    url, world = served
    command = [*clients.node_command("responses.mjs"), url]
    env = os.environ | {"MCP_URL": world.mcp_url}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=120)
    failures = [text for text in json.loads(done.stdout.splitlines()[-1]).values() if text is not None]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("ends", ["cancelled", "not stored"])
def test_who_leaves_a_stream_leaves_its_run_until_somebody_cancels_it(served: Served, ends: str) -> None:
    url, world = served
    with httpx.Client(base_url=f"{url}/v1", timeout=30) as client:
        conversation = client.post("/conversations", json={}).json()["id"]
        world.model.cancelled.clear()
        asked = {"model": MODEL, "stream": True, "input": write_script(Round("Hello there", ends="hang"))}
        asked |= {"store": False} if ends == "not stored" else {"conversation": conversation}
        with client.stream("POST", "/responses", json=asked) as stream:
            events = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
            made = next(events)["response"]["id"]
            assert any(event["type"] == "response.output_text.delta" for event in events)
        if ends == "cancelled":
            time.sleep(0.5)
            free = {"model": MODEL, "conversation": conversation, "input": "Hi"}
            assert client.post("/responses", json=free).status_code == 409
            assert not world.model.cancelled.is_set()
            found = client.post(f"/responses/{made}/cancel").json()
            assert (found["status"], found["output"][0]["status"]) == ("cancelled", "incomplete")
            assert client.post("/responses", json=free).status_code == 200
            items = client.get(f"/conversations/{conversation}/items").json()["data"]
            assert [item["role"] for item in items] == ["assistant", "user"]
        wait_until(world.model.cancelled.is_set)
        assert client.get(f"/responses/{made}").status_code == (404 if ends == "not stored" else 200)


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)
