"""`openai` 2 and 3: their helpers for tools, images and structured output, over two providers that were told the same.

Each scenario's results must be equal for both; `python -m ... URL` as the other scripts.
"""

from base64 import b64encode
from collections.abc import Callable
from functools import partial
import json
from typing import Any, Final

from tests.clients.scripts.harness import refusal, run

MODELS: Final = ("vllm/m", "bedrock/anthropic.claude-test-v1:0")
THROTTLED: Final = ("throttled-vllm/m", "throttled-bedrock/anthropic.claude-test-v1:0")
PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


def openai(url: str) -> Any:
    import openai

    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def weather() -> Any:
    from pydantic import BaseModel

    class Weather(BaseModel):
        city: str
        unit: str | None

    return Weather


def person() -> Any:
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        job: str

    return Person


def tool(kind: Any) -> Any:
    from openai import pydantic_function_tool

    return pydantic_function_tool(kind, name="weather")


def same(results: Callable[[str], Any]) -> Any:
    """What both models give, which must be the same."""
    first, second = (results(model) for model in MODELS)
    assert first == second, f"{MODELS[0]}: {first!r}\n{MODELS[1]}: {second!r}"
    return first


def plain(completion: Any) -> dict[str, Any]:
    """A completion without what tells two apart, or what only one vendor sends."""
    choice = completion.choices[0]
    calls = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
    total = completion.usage.total_tokens
    return {"text": choice.message.content, "calls": calls, "finish": choice.finish_reason, "tokens": total}


def asking(text: Any) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def text_and_bounds(url: str) -> None:
    create = openai(url).chat.completions.create
    for bound in ("max_tokens", "max_completion_tokens"):

        def ask(model: str, bound: str = bound) -> Any:
            return plain(create(model=model, messages=asking("Hi"), **{bound: 9}))

        assert same(ask) == {"text": "Be brief.|Hi|9", "calls": [], "finish": "stop", "tokens": 18}


def tools_and_their_results(url: str) -> None:
    """Two calls at once, parsed by the client; the conversation with their results goes on."""
    completions = openai(url).chat.completions
    kind = weather()

    def conversation(model: str) -> Any:
        messages: list[Any] = asking("Paris and Oslo")
        asked = completions.parse(model=model, messages=messages, tools=[tool(kind)])
        message = asked.choices[0].message
        parsed = [call.function.parsed_arguments for call in message.tool_calls]
        assert [each.city for each in parsed] == ["Paris", "Oslo"]
        messages.append(message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": f"{call.function.parsed_arguments.city} 20"}
            for call in message.tool_calls
        ]
        return plain(asked), plain(completions.create(model=model, messages=messages, tools=[tool(kind)]))

    first, second = same(conversation)
    assert (first["finish"], len(first["calls"])) == ("tool_calls", 2)
    assert second["text"] == "call_0: Paris 20; call_1: Oslo 20"


def streamed_tools(url: str) -> None:
    completions = openai(url).chat.completions
    kind = weather()

    def streamed(model: str) -> Any:
        asked = {"model": model, "messages": asking("Paris and Oslo"), "stream_options": {"include_usage": True}}
        with completions.stream(**asked, tools=[tool(kind)]) as stream:
            done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
            final = stream.get_final_completion()
        assert [json.loads(event.arguments)["city"] for event in done] == ["Paris", "Oslo"]
        return plain(final), [(event.index, event.name, event.arguments) for event in done]

    final, _ = same(streamed)
    assert final["text"] == "I will look."


def an_image(url: str) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64encode(PNG).decode()}"}}
    content = [{"type": "text", "text": "What is this?"}, image]
    create = openai(url).chat.completions.create
    found = same(lambda model: plain(create(model=model, messages=asking(content))))
    assert found["text"] == f"What is this?: image/png, {len(PNG)} bytes"


def structured_output(url: str) -> None:
    completions = openai(url).chat.completions
    kind = person()

    def parsed(model: str) -> Any:
        whole = completions.parse(model=model, messages=asking("Who?"), response_format=kind)
        asked = {"model": model, "messages": asking("Who?"), "stream_options": {"include_usage": True}}
        with completions.stream(**asked, response_format=kind) as stream:
            streamed = stream.get_final_completion()
        assert whole.choices[0].message.parsed == streamed.choices[0].message.parsed == kind(name="NAME", job="JOB")
        return plain(whole), plain(streamed)

    whole, streamed = same(parsed)
    assert whole == streamed


def what_ended_the_answer(url: str) -> None:
    """The helper for structured output raises for an answer that was cut or filtered, in a stream too."""
    from openai import ContentFilterFinishReasonError, LengthFinishReasonError

    completions = openai(url).chat.completions
    kind = weather()
    for finish, error in (("length", LengthFinishReasonError), ("content_filter", ContentFilterFinishReasonError)):

        def stream(model: str, finish: str = finish) -> None:
            with completions.stream(model=model, messages=asking(finish), response_format=kind) as events:
                events.until_done()

        for model in MODELS:
            found = completions.create(model=model, messages=asking(finish)).choices[0]
            assert (found.finish_reason, found.message.content) == (finish, '{"ci')
            refusal(error, partial(stream, model))


def throttled(url: str) -> None:
    from openai import RateLimitError

    create = openai(url).chat.completions.create
    for model in THROTTLED:
        for more in ({}, {"stream": True}):
            error = refusal(RateLimitError, partial(create, model=model, messages=asking("Hi"), **more))
            assert error.response.headers["retry-after"] == "1"


def log_probabilities_are_refused_by_bedrock(url: str) -> None:
    from openai import BadRequestError

    create = openai(url).chat.completions.create
    error = refusal(BadRequestError, partial(create, model=MODELS[1], messages=asking("Hi"), logprobs=True))
    assert error.param == "logprobs"


SCENARIOS = (
    text_and_bounds,
    tools_and_their_results,
    streamed_tools,
    an_image,
    structured_output,
    what_ended_the_answer,
    throttled,
    log_probabilities_are_refused_by_bedrock,
)

if __name__ == "__main__":
    run(SCENARIOS)
