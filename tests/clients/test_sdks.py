"""Programs over the real SDKs, against one `llambda serve` over Bedrock and OpenAI-compatible upstreams that follow one script.

The clients all run at once: most of their time they wait.
"""

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
import json
import os
import subprocess
from typing import Final

import pytest

from infra.local import clients
from infra.local.parts import in_ci, missing_tools
from tests.parts.agent_stack import CLIENTS, EMBEDDINGS, MODELS, AgentStack, agent_stack
from tests.parts.stack import ROOT

pytestmark = pytest.mark.conformance
PYTHON: Final = {
    "openai": ("openai-3", "openai_sdk"),
    "langchain": ("langchain-openai-1", "langchain"),
    "pydantic-ai": ("pydantic-ai-2", "pydantic_agents"),
    "instructor": ("instructor-1", "instructor_modes"),
}
NODE: Final = {"openai-node": "openai_sdk.mjs", "vercel-ai": "vercel.mjs"}
SECONDS: Final = 400

type Runs = dict[str, Future[dict[str, str | None]]]


def command_of(client: str) -> list[str]:
    if client in PYTHON:
        environment, script = PYTHON[client]
        return [str(clients.python_of(environment)), "-m", f"tests.clients.scripts.sdks.{script}"]
    if (missing := missing_tools("node", "npm")) and not in_ci():
        pytest.skip(f"{' and '.join(missing)} not found on the PATH")
    return clients.node_command(NODE[client])


def results(client: str, stack: AgentStack) -> dict[str, str | None]:
    """What was wrong with each scenario, or None."""
    env = {
        "STACK_URL": stack.url,
        "STACK_KEY": stack.key,
        "STACK_SPENT_KEY": stack.spent_keys[client],
        "STACK_MODELS": json.dumps(MODELS),
        "STACK_EMBEDDINGS": json.dumps(EMBEDDINGS),
    }
    command = command_of(client)
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return results


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Generator[Runs]:
    """Of the clients that are tested in this run."""
    chosen = {item.callspec.params.get("client") for item in request.session.items if hasattr(item, "callspec")}
    with agent_stack() as stack, ThreadPoolExecutor() as threads:
        yield {client: threads.submit(results, client, stack) for client in CLIENTS if client in chosen}


@pytest.mark.parametrize("client", CLIENTS)
def test_the_programs_of_an_sdk_work(runs: Runs, client: str) -> None:
    failures = [f"{name}: {text}" for name, text in runs[client].result().items() if text is not None]
    if failures:
        pytest.fail("\n\n".join(failures), pytrace=False)
