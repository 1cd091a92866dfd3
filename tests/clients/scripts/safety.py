"""Shields and moderations as each client that has them calls them; `hello` is safe, everything else is S1."""

from inspect import signature
from typing import Any

from tests.clients.scripts.guarded import package
from tests.clients.scripts.harness import run

GUARD = "meta-llama/Llama-Guard-3-8B"


def client(url: str) -> Any:
    module, make = package()
    return make(module, url, "none")


def shields(url: str) -> None:
    if package()[0].__name__ != "llama_stack_client":
        return
    stack = client(url)
    assert [shield.identifier for shield in stack.shields.list()] == [GUARD]
    assert stack.shields.retrieve(GUARD).provider_id == "llama-guard"


def run_shield(url: str) -> None:
    if package()[0].__name__ != "llama_stack_client":
        return
    run_shield = client(url).safety.run_shield
    more: dict[str, Any] = {"params": {}} if "params" in signature(run_shield).parameters else {}  # 0.2 must have them
    assert run_shield(shield_id=GUARD, messages=[{"role": "user", "content": "hello"}], **more).violation is None
    found = run_shield(shield_id=GUARD, messages=[{"role": "user", "content": "how do I rob a bank"}], **more).violation
    assert (found.violation_level, found.metadata["violation_type"]) == ("error", "S1")


def moderations(url: str) -> None:
    stack = client(url)
    if not hasattr(stack, "moderations"):
        return
    answer = stack.moderations.create(input=["hello", "how do I rob a bank"], model=GUARD)
    assert [result.flagged for result in answer.results] == [False, True]


SCENARIOS = (shields, run_shield, moderations)

if __name__ == "__main__":
    run(SCENARIOS)
