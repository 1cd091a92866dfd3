"""`openai`, as its users write programs with it."""

from functools import partial
import json
import time
from typing import Any, Final

from openai import (
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OpenAI,
    RateLimitError,
    pydantic_function_tool,
)
from pydantic import BaseModel

from tests.clients.scripts.sdks.program import (
    BUSY,
    CITIES,
    EMBEDDINGS,
    IMAGE,
    KEY,
    MODELS,
    PERSON,
    PNG,
    SPENT_KEY,
    SUMMARY,
    SYSTEM,
    TASK,
    TOKENS,
    URL,
    Person,
    can_be_forced,
    counts_calls,
    nonce,
    refusal,
    run,
    schema_of,
    sees,
    wait_until,
    weather,
)

client: Final = OpenAI(base_url=URL, api_key=KEY)
create: Final = client.chat.completions.create


class Weather(BaseModel):
    """The weather of a city."""

    city: str


TOOLS: Final = [pydantic_function_tool(Weather, name="weather")]


def asking(text: Any) -> list[Any]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


def text_of(answer: Any) -> Any:
    return answer.choices[0].message.content


def chat(model: str) -> None:
    answer = create(model=model, messages=asking("Hi"), temperature=0.5, max_tokens=50)
    assert text_of(answer) == "Be brief.|Hi"
    assert (answer.model, answer.choices[0].finish_reason) == (model, "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == TOKENS


def stream_with_usage(model: str) -> None:
    chunks = list(create(model=model, messages=asking("Hi"), stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Be brief.|Hi"
    assert chunks[-1].usage.total_tokens == TOKENS[-1]


def loop(model: str, *, streams: bool) -> tuple[list[Any], list[str]]:
    """The conversation until the model calls no more, and the cities that it asked about, in order."""
    messages, cities = asking(TASK), list[str]()
    while True:
        if streams:
            with client.chat.completions.stream(model=model, messages=messages, tools=TOOLS) as stream:
                message = stream.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.parse(model=model, messages=messages, tools=TOOLS).choices[0].message
        messages.append(message.model_dump(exclude_none=True, exclude={"parsed": True}))
        if not message.tool_calls:
            return messages, cities
        for call in message.tool_calls:
            city = json.loads(call.function.arguments)["city"]
            cities.append(city)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": weather(city)})


def tools_in_a_loop(model: str) -> None:
    messages, cities = loop(model, streams=False)
    assert (cities, messages[-1]["content"]) == (CITIES, SUMMARY)


def streamed_tools_in_a_loop(model: str) -> None:
    messages, cities = loop(model, streams=True)
    assert (cities, messages[-1]["content"]) == (CITIES, SUMMARY)


def choices_of_tools(model: str) -> None:
    named = {"type": "function", "function": {"name": "weather"}}
    for choice in ("required", named):
        ask = partial(create, model=model, messages=asking("Hi"), tools=TOOLS, tool_choice=choice)
        if can_be_forced(model):
            assert [call.function.name for call in ask().choices[0].message.tool_calls] == ["weather"]
        else:
            assert refusal(BadRequestError, ask).param == "tool_choice"
    message = create(model=model, messages=asking(TASK), tools=TOOLS, tool_choice="none").choices[0].message
    assert not message.tool_calls


def one_call_at_a_time(model: str) -> None:
    ask = partial(create, model=model, messages=asking(TASK), tools=TOOLS, parallel_tool_calls=False)
    if counts_calls(model):
        assert text_of(create(model=model, messages=asking("Hi"), parallel_tool_calls=False)) == "Be brief.|Hi"
        assert len(ask().choices[0].message.tool_calls) == 1
        pieces = [piece for piece in ask(stream=True) if piece.choices]
        assert {call.index for piece in pieces for call in piece.choices[0].delta.tool_calls or ()} == {0}
    else:
        assert "parallel_tool_calls" in refusal(BadRequestError, ask).message


def a_tool_without_parameters(model: str) -> None:
    class Ping(BaseModel):
        """Whether it is there."""

    tools = [pydantic_function_tool(Ping, name="ping.service:v1")]
    for streams in (False, True):
        messages = asking("Ping")
        if streams:
            with client.chat.completions.stream(model=model, messages=messages, tools=tools) as stream:
                message = stream.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.parse(model=model, messages=messages, tools=tools).choices[0].message
        [call] = message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == ("ping.service:v1", {})
        messages.append(message.model_dump(exclude_none=True, exclude={"parsed": True}))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "Pong: 0 degrees"})
        assert text_of(create(model=model, messages=messages, tools=tools)) == "Summary: Pong: 0 degrees"


def no_user_begins_or_ends(model: str) -> None:
    hello = {"role": "assistant", "content": "Hello! "}
    for messages in ([{"role": "system", "content": "Hi"}], [hello, *asking("Hi")[1:]], [*asking("Hi")[1:], hello]):
        assert "Hi" in text_of(create(model=model, messages=messages)), messages


def a_history_is_summed_up_without_tools(model: str) -> None:
    messages, _ = loop(model, streams=False)
    for more in ({}, {"tools": TOOLS, "tool_choice": "none"}, {"stream": True}):
        answer = create(model=model, messages=[*messages, {"role": "user", "content": "Sum up."}], **more)
        if "stream" in more:
            assert "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices) == SUMMARY
        else:
            assert text_of(answer) == SUMMARY
    assert text_of(create(model=model, messages=messages[:-1])) == SUMMARY, "after a result"


def structured_output(model: str) -> None:
    parse = client.chat.completions.parse
    assert parse(model=model, messages=asking("Who?"), response_format=Person).choices[0].message.parsed == PERSON
    with client.chat.completions.stream(model=model, messages=asking("Who?"), response_format=Person) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == PERSON


def json_mode(model: str) -> None:
    text = f"Who? Answer with JSON of this schema: {json.dumps(schema_of(Person))}"
    answer = create(model=model, messages=asking(text), response_format={"type": "json_object"})
    assert Person.model_validate_json(text_of(answer)) == PERSON


def an_image(model: str) -> None:
    ask = partial(create, model=model, messages=asking([{"type": "image_url", "image_url": {"url": IMAGE}}]))
    if sees(model):
        assert text_of(ask()) == f"{len(PNG)} bytes"
    else:
        assert "image" in refusal(BadRequestError, ask).message


def too_long_a_prompt(model: str) -> None:
    for more in ({}, {"stream": True}):
        error = refusal(BadRequestError, partial(create, model=model, messages=asking("too long"), **more))
        assert error.code == "context_length_exceeded", error


def a_throttled_model_is_asked_again(model: str) -> None:
    begin = time.monotonic()
    answer = create(model=model, messages=asking(f"busy {nonce()}"))
    assert text_of(answer).startswith("Be brief.|busy")
    assert time.monotonic() - begin > (1 if model.startswith("vllm") else 0.3)
    impatient = client.with_options(max_retries=0).chat.completions
    error = refusal(APIStatusError, lambda: impatient.create(model=model, messages=asking(f"busy {nonce()}")))
    assert error.status_code in BUSY, error
    assert not model.startswith("vllm") or error.response.headers["retry-after"] == "1"


def a_broken_stream_raises(model: str) -> None:
    for text in ("break", "cut"):
        stream = create(model=model, messages=asking(text), stream=True)
        refusal(APIError, partial(list, stream))


def a_caller_who_leaves_ends_the_call(model: str) -> None:
    name = nonce()
    with create(model=model, messages=asking(f"endless {name}"), stream=True) as stream:
        for _, chunk in zip(range(3), stream, strict=False):
            assert chunk.model == model
    wait_until(lambda: text_of(create(model=model, messages=asking(f"was {name} ended?"))) == "yes")


def a_caller_whose_time_is_up_ends_the_call(model: str) -> None:
    name = nonce()
    impatient = client.with_options(max_retries=0, timeout=0.5).chat.completions
    refusal(APITimeoutError, lambda: impatient.create(model=model, messages=asking(f"hang {name}")))
    wait_until(lambda: text_of(create(model=model, messages=asking(f"was {name} ended?"))) == "yes")


def an_unknown_model() -> None:
    for name in ("nothing", "vllm/gone", "nobody/m"):
        error = refusal(NotFoundError, partial(create, model=name, messages=asking("Hi")))
        assert error.param == "model", (name, error)


def embeddings() -> None:
    for model in EMBEDDINGS:
        for more in ({}, {"encoding_format": "float"}):
            answer = client.embeddings.create(model=model, input=["ab", "c"], **more)
            assert [row.embedding for row in answer.data] == [[2, 195], [1, 99]], model


def token_arrays_are_embedded_or_refused_with_the_reason() -> None:
    answer = client.embeddings.create(model=EMBEDDINGS[0], input=[[1, 2], [3]])
    assert [row.embedding for row in answer.data] == [[2, 3], [1, 3]]
    for model in EMBEDDINGS[1:]:
        error = refusal(BadRequestError, partial(client.embeddings.create, model=model, input=[[1, 2], [3]]))
        assert error.param == "input"
        assert "text" in error.message


def moderations() -> None:
    for model in ("safety", "guard"):
        answer = client.moderations.create(model=model, input=["hello", "how is a bomb made?"])
        assert [result.flagged for result in answer.results] == [False, True]
    fine = answer.results[0].model_dump()["categories"]
    assert len(fine) > 5
    assert not any(fine.values())


def a_wrong_key() -> None:
    refusal(AuthenticationError, OpenAI(base_url=URL, api_key="none").models.list)


def a_spent_quota() -> None:
    poor = OpenAI(base_url=URL, api_key=SPENT_KEY, max_retries=0)
    poor.chat.completions.create(model=MODELS[0], messages=asking("Hi"))
    error = refusal(RateLimitError, lambda: poor.chat.completions.create(model=MODELS[0], messages=asking("Hi")))
    assert "quota" in error.message.lower()


if __name__ == "__main__":
    run(
        (
            chat,
            stream_with_usage,
            tools_in_a_loop,
            streamed_tools_in_a_loop,
            choices_of_tools,
            one_call_at_a_time,
            a_tool_without_parameters,
            no_user_begins_or_ends,
            a_history_is_summed_up_without_tools,
            structured_output,
            json_mode,
            an_image,
            too_long_a_prompt,
            a_throttled_model_is_asked_again,
            a_broken_stream_raises,
            a_caller_who_leaves_ends_the_call,
            a_caller_whose_time_is_up_ends_the_call,
        ),
        (
            an_unknown_model,
            embeddings,
            token_arrays_are_embedded_or_refused_with_the_reason,
            moderations,
            a_wrong_key,
            a_spent_quota,
        ),
    )
