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
    for result in answer.results:
        named = getattr(result.categories, "model_extra", None) or result.categories
        assert {name for name, found in named.items() if found} == ({"Violent Crimes"} if result.flagged else set())
        assert len(named) == 14
    for name in (f"vllm-1/{GUARD}", f"llama-guard/{GUARD}"):
        assert stack.moderations.create(input="hello", model=name).results[0].flagged is False


def first_model(url: str) -> None:
    """Programs take the first `llm`: the one that the run config has first, and not the guard."""
    first = next(iter(client(url).models.list()))
    assert (getattr(first, "identifier", None) or first.id) == "llama"


def empty_keys(url: str) -> None:
    """As the command line and the web page of Llama Stack send them."""
    module, make = package()
    empty = {"X-LlamaStack-Provider-Data": '{"openai_api_key": "", "vllm_api_token": ""}'}
    stack = make(module, url, "none").with_options(default_headers=empty)
    messages = [{"role": "user", "content": "hello"}]
    assert stack.chat.completions.create(model="llama", messages=messages).choices[0].message.content


SCENARIOS = (shields, run_shield, moderations, first_model, empty_keys)

if __name__ == "__main__":
    run(SCENARIOS)
