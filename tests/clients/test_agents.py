"""The `Agent` of `llama-stack-client` 0.2.12 and its event logger over `llambda serve`, whose run config is one of 0.2."""

from collections.abc import Generator
from types import ModuleType

import pytest

from tests.clients.running import results
from tests.clients.scripts.agents import knowledge, tools, turns
from tests.parts import mcp_servers
from tests.parts.agent_world import served_turns
from tests.parts.guarded_stack import WORD

pytestmark = pytest.mark.conformance
CLIENT = "llama-stack-client-0.2"


@pytest.fixture(scope="module")
def served() -> Generator[tuple[str, dict[str, str]]]:
    """The address of the stack, and what the scripts are told of what is behind it."""
    with served_turns() as (url, world), mcp_servers.running("2") as sdk:
        yield url, {"MODEL_URL": world.model.url, "MCP_SDK_URL": sdk, "UNSAFE_WORD": WORD}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, str | None]]:
    """What each script printed; each runs once, for all its scenarios."""
    return {}


@pytest.mark.parametrize(
    ("script", "scenario"),
    [
        pytest.param(script, each.__name__, id=each.__name__)
        for script in (turns, tools, knowledge)
        for each in script.SCENARIOS
    ],
)
def test_the_agent_of_0_2_works(
    served: tuple[str, dict[str, str]],
    outcomes: dict[str, dict[str, str | None]],
    script: ModuleType,
    scenario: str,
) -> None:
    if script.__name__ not in outcomes:
        url, behind = served
        outcomes[script.__name__] = results(CLIENT, script.__name__, url, **behind)
    found = outcomes[script.__name__][scenario]
    assert found is None, found
