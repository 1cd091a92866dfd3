"""`pydantic-ai`, as its users write programs with it: agents over the model class for OpenAI's chat completions."""

import asyncio
from functools import partial
import time
from typing import Any, Final

from openai import AsyncOpenAI
from pydantic_ai import Agent, BinaryContent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.embeddings import Embedder
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.scripts.sdks.program import (
    BUSY,
    CITIES,
    EMBEDDINGS,
    KEY,
    MODELS,
    PDF,
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
    nonce,
    refusal,
    run,
    sees,
    wait_until,
    weather,
)

LOOP: Final = asyncio.new_event_loop()
asyncio.set_event_loop(LOOP)  # `run_sync` takes it too: a client of httpx belongs to one loop


def agent(model: str, key: str = KEY, retries: int = 2, **more: Any) -> Any:
    client = AsyncOpenAI(base_url=URL, api_key=key, max_retries=retries)
    provider = OpenAIProvider(openai_client=client)
    return Agent(OpenAIChatModel(model, provider=provider), instructions=SYSTEM, **more)


def chat(model: str) -> None:
    result = agent(model, model_settings={"temperature": 0.5, "max_tokens": 50}).run_sync("Hi")
    assert result.output == "Be brief.|Hi"
    assert (result.usage.input_tokens, result.usage.output_tokens) == TOKENS[:2]


def stream_with_usage(model: str) -> None:
    async def ask() -> tuple[str, int]:
        async with agent(model).run_stream("Hi") as result:
            text = "".join([piece async for piece in result.stream_text(delta=True)])
            return text, result.usage.output_tokens

    assert LOOP.run_until_complete(ask()) == ("Be brief.|Hi", TOKENS[1])


def tools_in_a_loop(model: str) -> None:
    cities: list[str] = []

    def weather_tool(city: str) -> str:
        """The weather of a city."""
        cities.append(city)
        return weather(city)

    result = agent(model, tools=[weather_tool]).run_sync(TASK)
    assert (sorted(cities), result.output) == (sorted(CITIES), SUMMARY)


def streamed_tools_in_a_loop(model: str) -> None:
    async def ask() -> str:
        async with agent(model, tools=[weather]).run_stream(TASK) as result:
            output: str = await result.get_output()
            return output

    assert LOOP.run_until_complete(ask()) == SUMMARY


def tools_and_a_structured_answer(model: str) -> None:
    """The answer is a tool of its own, and one of them must be called."""
    task = partial(agent(model, tools=[weather], output_type=Person).run_sync, TASK)
    if can_be_forced(model):
        result = task()
        assert result.output == PERSON
        assert SUMMARY.removeprefix("Summary: ").split("; ")[-1] in str(result.all_messages())
    else:
        assert "tool_choice" in str(refusal(ModelHTTPError, task))


def a_history_is_summed_up_without_tools(model: str) -> None:
    history = agent(model, tools=[weather]).run_sync(TASK).all_messages()
    result = agent(model).run_sync("Sum up.", message_history=history)
    assert result.output == SUMMARY
    assert agent(model).run_sync(message_history=history[:-1]).output == SUMMARY, "after a result"


def kinds(model: str) -> list[Any]:
    """A plain type is a tool, as ToolOutput is."""
    kinds = [NativeOutput(Person), PromptedOutput(Person)]
    return [Person, ToolOutput(Person), *kinds] if can_be_forced(model) else kinds


def structured_output(model: str) -> None:
    for kind in kinds(model):
        assert agent(model, output_type=kind).run_sync("Who?").output == PERSON, kind


def streamed_structured_output(model: str) -> None:
    async def ask(kind: Any) -> Any:
        async with agent(model, output_type=kind).run_stream("Who?") as result:
            return await result.get_output()

    for kind in kinds(model):
        assert LOOP.run_until_complete(ask(kind)) == PERSON, kind


def an_image(model: str) -> None:
    def ask() -> Any:
        return agent(model).run_sync(["Look", BinaryContent(PNG, media_type="image/png")]).output

    if sees(model):
        assert ask() == f"{len(PNG)} bytes"
    else:
        assert refusal(ModelHTTPError, ask).status_code == 400


def a_document_and_an_image(model: str) -> None:
    parts = [BinaryContent(PDF, media_type="application/pdf"), BinaryContent(PNG, media_type="image/png")]
    if sees(model):
        assert agent(model).run_sync(parts).output == f"{len(PDF)} bytes and {len(PNG)} bytes"
    else:
        assert agent(model).run_sync(parts[:1]).output == f"{len(PDF)} bytes"


def a_tool_that_shows_an_image(model: str) -> None:
    def show() -> BinaryContent:
        """What it looks like."""
        return BinaryContent(PNG, media_type="image/png")

    if sees(model):
        assert agent(model, tools=[show]).run_sync("Show me.").output == f"{len(PNG)} bytes"


def too_long_a_prompt(model: str) -> None:
    error = refusal(ModelHTTPError, lambda: agent(model).run_sync("too long"))
    assert type(error).__name__ == "ModelContextWindowExceededError", repr(error)


def a_throttled_model_is_asked_again(model: str) -> None:
    begin = time.monotonic()
    assert agent(model).run_sync(f"busy {nonce()}").output.startswith("Be brief.|busy")
    assert time.monotonic() - begin > (1 if model.startswith("vllm") else 0.3)
    error = refusal(ModelHTTPError, lambda: agent(model, retries=0).run_sync(f"busy {nonce()}"))
    assert error.status_code in BUSY, error


async def _text(model: str, prompt: str) -> str:
    async with agent(model).run_stream(prompt) as result:
        return "".join([piece async for piece in result.stream_text(delta=True)])


def _await_text(model: str, prompt: str) -> str:
    return LOOP.run_until_complete(_text(model, prompt))


def a_broken_stream_raises(model: str) -> None:
    for text in ("break", "cut"):
        refusal(ModelAPIError, partial(_await_text, model, text))


def a_caller_who_leaves_ends_the_call(model: str) -> None:
    name = nonce()

    async def leave() -> None:
        task = asyncio.create_task(_text(model, f"endless {name}"))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.wait([task])

    LOOP.run_until_complete(leave())
    wait_until(lambda: agent(model).run_sync(f"was {name} ended?").output == "yes")


def an_unknown_model() -> None:
    for name in ("nothing", "vllm/gone"):
        assert refusal(ModelHTTPError, partial(agent(name).run_sync, "Hi")).status_code == 404


def embeddings() -> None:
    for model in EMBEDDINGS:
        provider = OpenAIProvider(base_url=URL, api_key=KEY)
        result = Embedder(OpenAIEmbeddingModel(model, provider=provider)).embed_documents_sync(["ab", "c"])
        assert [list(vector) for vector in result.embeddings] == [[2, 195], [1, 99]]


def a_wrong_key() -> None:
    assert refusal(ModelHTTPError, lambda: agent(MODELS[0], "none").run_sync("Hi")).status_code == 401


def a_spent_quota() -> None:
    agent(MODELS[0], SPENT_KEY).run_sync("Hi")
    assert refusal(ModelHTTPError, lambda: agent(MODELS[0], SPENT_KEY, 0).run_sync("Hi")).status_code == 429


if __name__ == "__main__":
    run(
        (
            chat,
            stream_with_usage,
            tools_in_a_loop,
            streamed_tools_in_a_loop,
            tools_and_a_structured_answer,
            a_history_is_summed_up_without_tools,
            structured_output,
            streamed_structured_output,
            an_image,
            a_document_and_an_image,
            a_tool_that_shows_an_image,
            too_long_a_prompt,
            a_throttled_model_is_asked_again,
            a_broken_stream_raises,
            a_caller_who_leaves_ends_the_call,
        ),
        (an_unknown_model, embeddings, a_wrong_key, a_spent_quota),
    )
