"""What the programs of all SDKs are about: one stack, its models, and what the script of agents says (tests/parts/agent_script.py).

`python -m tests.clients.scripts.sdks.X`, with what it needs in the environment, prints JSON on its last line.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
import json
import os
import time
import traceback
from typing import Any, Final, Literal
from uuid import uuid4

from pydantic import BaseModel

URL: Final = f"{os.environ['STACK_URL']}/v1"
KEY: Final = os.environ["STACK_KEY"]
SPENT_KEY: Final = os.environ["STACK_SPENT_KEY"]
MODELS: Final[list[str]] = json.loads(os.environ["STACK_MODELS"])
EMBEDDINGS: Final[list[str]] = json.loads(os.environ["STACK_EMBEDDINGS"])

SYSTEM: Final = "Be brief."
TASK: Final = "Weather in Paris and Oslo, then Rome"
CITIES: Final = ["Paris", "Oslo", "Rome"]
DEGREES: Final = dict(zip(CITIES, (20, 11, 25), strict=True))
SUMMARY: Final = "Summary: Paris: 20 degrees; Oslo: 11 degrees; Rome: 25 degrees"
PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
PDF: Final = b"%PDF-1.7\n" + bytes(50)
IMAGE: Final = f"data:image/png;base64,{b64encode(PNG).decode()}"
TOKENS: Final = (11, 7, 18)
"""Of every call: in, out, both."""
BUSY: Final = (429, 502, 503)
"""How it is said that a vendor is: an SDK asks again after each."""


class Pet(BaseModel):
    kind: Literal["cat", "dog"]


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int
    pets: list[Pet]


PERSON: Final = Person(name="NAME", age=7, pets=[Pet(kind="cat"), Pet(kind="cat")])

type Scenario = Callable[[str], None]


def weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: {DEGREES[city]} degrees"


def sees(model: str) -> bool:
    """Whether a model takes images."""
    return "llama3" not in model


def can_be_forced(model: str) -> bool:
    """Whether a model can be made to call a tool: Llama on Bedrock only chooses itself."""
    return "llama3" not in model


def counts_calls(model: str) -> bool:
    """Whether a model can be kept to one call at a time: Databricks does not know the field."""
    return "databricks" not in model


def nonce() -> str:
    return uuid4().hex


def wait_until(condition: Callable[[], bool]) -> None:
    """Within five seconds."""
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until, "it has not come to pass in 5 s"
        time.sleep(0.02)


def refusal[E: Exception](expected: type[E], call: Callable[[], object]) -> E:
    """What `call` raises, which must be `expected`: these environments have no pytest."""
    try:
        answer = call()
    except expected as refused:
        return refused
    raise AssertionError(f"expected {expected.__name__}, got {answer!r}")


def run(scenarios: Sequence[Scenario], once: Sequence[Callable[[], None]] = (), *, of: Sequence[str] = MODELS) -> None:
    """Every scenario with every model; the failures' texts by scenario and model, null for a success."""
    calls: dict[str, Callable[[], None]] = {scenario.__name__: scenario for scenario in once}
    for scenario in scenarios:
        calls |= {f"{scenario.__name__}[{model}]": _with(scenario, model) for model in of}
    print(json.dumps({name: _failure(call) for name, call in calls.items()}))


def _with(scenario: Scenario, model: str) -> Callable[[], None]:
    return lambda: scenario(model)


def _failure(call: Callable[[], None]) -> str | None:
    try:
        call()
    except Exception:  # noqa: BLE001 - whatever an SDK raises is this scenario's result
        return traceback.format_exc()
    return None


def schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    return kind.model_json_schema()
