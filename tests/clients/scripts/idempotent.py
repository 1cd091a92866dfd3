"""Every client with an Idempotency-Key, against an upstream that never says the same twice, `hold` when it is told to `go`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from itertools import count
import time
from typing import Any
from uuid import uuid4

from tests.clients.scripts.guarded import package
from tests.clients.scripts.harness import refusal, run, said

MODEL = "p/m"
PATIENCE = 60  # seconds


def error(status: int) -> type[Exception]:
    """The class that the client raises for this status."""
    module = package()[0]
    names = {409: "ConflictError", 422: "UnprocessableEntityError"}
    if module.__name__ == "ogx_client":
        names = {409: "ConflictException", 422: "UnprocessableEntityException"}
        module = import_module("ogx_client.exceptions")
    found: type[Exception] = getattr(module, names[status])
    return found


def ask(url: str, text: str, key: str | None = None, **more: Any) -> Any:
    module, make = package()
    client = make(module, url, "none")
    ogx = module.__name__ == "ogx_client"
    completions = client.chat_completions if ogx else client.chat.completions
    if key is not None:
        more["_headers" if ogx else "extra_headers"] = {"Idempotency-Key": key}
    return completions.create(model=MODEL, messages=[{"role": "user", "content": text}], **more)


def answer(url: str, text: str, key: str | None = None) -> str:
    content: str = ask(url, text, key).choices[0].message.content
    return content


def until_it_is(url: str, text: str, wanted: str) -> Iterator[int]:
    """Count, until the upstream says `wanted` when it is asked `text`."""
    end = time.monotonic() + PATIENCE
    for number in count():
        if answer(url, text) == wanted:
            return
        assert time.monotonic() < end, f"{text} is not {wanted}"
        yield number


def the_same_key_gets_the_same_answer(url: str) -> None:
    key = str(uuid4())
    assert answer(url, "Hi", key) == answer(url, "Hi", key)
    assert answer(url, "Hi", key) != answer(url, "Hi", str(uuid4()))
    assert answer(url, "Hi") != answer(url, "Hi")


def the_same_key_gets_the_same_stream(url: str) -> None:
    key = str(uuid4())
    first, again, other = (said(list(ask(url, "Hi", each, stream=True))) for each in (key, key, str(uuid4())))
    assert first
    assert first == again
    assert first != other


def another_body_is_an_unprocessable_entity(url: str) -> None:
    key = str(uuid4())
    answer(url, "Hi", key)
    assert "Idempotency-Key" in str(refusal(error(422), partial(answer, url, "Bye", key)))


def a_call_in_progress_is_a_conflict(url: str) -> None:
    key = str(uuid4())
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(answer, url, "hold", key)
        for _ in until_it_is(url, "holds?", "yes"):
            time.sleep(0.01)
        refused = refusal(error(409), partial(answer, url, "hold", key))
        assert "Idempotency-Key" in str(refused)
        assert answer(url, "go") == "gone"
        assert first.result(PATIENCE) == answer(url, "hold", key)


SCENARIOS = (
    the_same_key_gets_the_same_answer,
    the_same_key_gets_the_same_stream,
    another_body_is_an_unprocessable_entity,
    a_call_in_progress_is_a_conflict,
)

if __name__ == "__main__":
    run(SCENARIOS)
