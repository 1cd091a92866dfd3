"""The real clients of every generation against one running stack and a real model, none with a special setting."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from infra.local import clients
from tests.clients import running
from tests.clients.scripts import llama_stack, llama_stack_admin, llama_stack_native, ogx, openai_sdk

SCRIPTS: dict[str, tuple[ModuleType, ...]] = {
    "llama-stack-client-0.2": (llama_stack, llama_stack_native),
    "llama-stack-client-0.7": (llama_stack, llama_stack_admin),
    "ogx-client-1.5": (ogx,),
    "openai-2": (openai_sdk,),
    "openai-3": (openai_sdk,),
}
type Results = dict[tuple[str, str], dict[str, str | None]]


def cases() -> Iterator[Any]:
    for client, scripts in SCRIPTS.items():
        for script in scripts:
            for scenario in script.SCENARIOS:
                name = scenario.__name__
                yield pytest.param(client, script.__name__, name, id=f"{client}-{name}", marks=running.marks(client))


@pytest.fixture(scope="module")
def results() -> Results:
    """What each script printed; it runs once, for all its scenarios."""
    return {}


def test_every_client_has_a_script() -> None:
    assert clients.names() == sorted(SCRIPTS)


@pytest.mark.parametrize(("client", "script", "scenario"), list(cases()))
def test_a_real_client_works(stack_url: str, results: Results, client: str, script: str, scenario: str) -> None:
    if (client, script) not in results:
        results[client, script] = running.results(client, script, stack_url)
    assert results[client, script][scenario] is None, results[client, script][scenario]
