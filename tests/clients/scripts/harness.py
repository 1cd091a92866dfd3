"""Runs scenarios in a client's own environment: `python -m tests.clients.scripts.X URL` prints JSON on its last line."""

from collections.abc import Callable, Sequence
import json
import sys
import traceback

CHAT, ALIAS, EMBEDDING = "chat/smollm2-135m-instruct", "small", "embedding"
DIMENSION = 576
MESSAGES = [{"role": "user", "content": "Say hello."}]

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
