"""Runs scenarios in a client's own environment: `python -m tests.clients.scripts.X URL` prints JSON on its last line."""

from collections.abc import Callable, Sequence
import json
import sys
import traceback
from typing import Any, Final

CHAT, ALIAS, EMBEDDING = "chat/smollm2-135m-instruct", "small", "embedding"
DIMENSION = 576
MESSAGES = [{"role": "user", "content": "Say hello."}]
SHORT: Final[dict[str, Any]] = {"max_tokens": 8, "temperature": 0}

type Scenario = Callable[[str], None]


def run(scenarios: Sequence[Scenario]) -> None:
    """Every scenario against the server at argv[1]; the failures' texts by scenario, null for a success."""
    failures: dict[str, str | None] = {}
    for scenario in scenarios:
        try:
            scenario(sys.argv[1])
        except Exception:  # noqa: BLE001 - whatever a client raises is this scenario's result
            failures[scenario.__name__] = traceback.format_exc()
        else:
            failures[scenario.__name__] = None
    print(json.dumps(failures))


def refusal[E: Exception](expected: type[E], call: Callable[[], object]) -> E:
    """What `call` raises, which must be `expected`: these environments have no pytest."""
    try:
        answer = call()
    except expected as refused:
        return refused
    raise AssertionError(f"expected {expected.__name__}, got {answer!r}")


def said(chunks: Sequence[Any]) -> str:
    """The text of a streamed chat."""
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def finishes(chunks: Sequence[Any]) -> list[str]:
    """The finish reasons in a stream, of which there is one."""
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
