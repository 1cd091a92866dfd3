"""`instructor`, as its users write programs with it, in each mode for OpenAI-compatible servers."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import instructor
from instructor.core.exceptions import InstructorRetryException
from openai import OpenAI
from pydantic import BaseModel

from tests.clients.scripts.sdks.program import (
    KEY,
    MODELS,
    PERSON,
    SPENT_KEY,
    SYSTEM,
    URL,
    Person,
    can_be_forced,
    refusal,
    run,
)

TOOLS: Final = instructor.Mode.TOOLS
JSON: Final = (instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA, instructor.Mode.MD_JSON)


class Weather(BaseModel):
    """The weather of a city."""

    city: str


def create(mode: Any, model: str, kind: Any, text: str = "Who?", key: str = KEY, **more: Any) -> Any:
    client = instructor.from_openai(OpenAI(base_url=URL, api_key=key, max_retries=0), mode=mode)
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
    return client.chat.completions.create(model=model, response_model=kind, messages=messages, max_retries=1, **more)


def modes(model: str) -> tuple[Any, ...]:
    return (TOOLS, *JSON) if can_be_forced(model) else JSON


def every_mode(model: str) -> None:
    for mode in modes(model):
        assert create(mode, model, Person).model_dump() == PERSON.model_dump(), mode
    if not can_be_forced(model):
        assert "tool_choice" in str(refusal(InstructorRetryException, partial(create, TOOLS, model, Person)))


def streamed(model: str) -> None:
    for mode in modes(model):
        pieces = list(create(mode, model, instructor.Partial[Person], stream=True))
        assert pieces[-1].model_dump() == PERSON.model_dump(), mode


def parallel_tools(model: str) -> None:
    calls = create(instructor.Mode.PARALLEL_TOOLS, model, Iterable[Weather], "Weather in Paris and Oslo")
    assert [call.city for call in calls] == ["Paris", "Oslo"]


def too_long_a_prompt(model: str) -> None:
    error = refusal(InstructorRetryException, partial(create, JSON[0], model, Person, "too long"))
    assert "context_length_exceeded" in str(error.__cause__.__dict__ | error.__dict__), error


def an_unknown_model() -> None:
    error = refusal(InstructorRetryException, partial(create, TOOLS, "nothing", Person))
    assert "404" in str(error)


def a_wrong_key_and_a_spent_quota() -> None:
    ask = partial(create, TOOLS, MODELS[0], Person)
    assert "401" in str(refusal(InstructorRetryException, partial(ask, key="none")))
    ask(key=SPENT_KEY)
    assert "429" in str(refusal(InstructorRetryException, partial(ask, key=SPENT_KEY)))


if __name__ == "__main__":
    run((every_mode, streamed, parallel_tools, too_long_a_prompt), (an_unknown_model, a_wrong_key_and_a_spent_quota))
