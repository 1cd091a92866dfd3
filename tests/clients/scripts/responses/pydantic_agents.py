"""`pydantic-ai` over Responses, as its users write programs with it."""

import asyncio
import os
from typing import Any, Final

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.messages import ModelResponse, ThinkingPart
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.scripts.harness import run
from tests.parts.model_script import Call, Round, write_script

SCRIPT: Final = write_script(Round("Look. ", (Call("weather", {"city": "Oslo"}),), reasoning="Hm."), Round("{quote}"))


class Person(BaseModel):
    name: str
    job: str


def model(url: str) -> Any:
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    return OpenAIResponsesModel("local/m", provider=OpenAIProvider(openai_client=client))


def agent_of(url: str, **more: Any) -> Any:
    agent = Agent(model(url), instructions="Be brief.", **more)

    @agent.tool_plain  # type: ignore[untyped-decorator]  # of a package that is not here
    def weather(city: str) -> str:
        return f"rain in {city}"

    return agent


def functions(url: str) -> None:
    found = asyncio.run(agent_of(url).run(SCRIPT))
    assert found.output == "rain in Oslo"
    parts = [part for message in found.all_messages() if isinstance(message, ModelResponse) for part in message.parts]
    assert any(isinstance(part, ThinkingPart) for part in parts), parts
    assert found.usage.input_tokens > 0


def streams(url: str) -> None:
    async def program() -> None:
        async with agent_of(url).run_stream(write_script(Round("Hello, who are you?"))) as stream:
            texts = [text async for text in stream.stream_text(delta=True)]
        assert "".join(texts) == "Hello, who are you?"

    asyncio.run(program())


def outputs(url: str) -> None:
    for output in (NativeOutput(Person), ToolOutput(Person)):
        found = asyncio.run(Agent(model(url), output_type=output).run("Who?"))
        assert found.output == Person(name="NAME", job="JOB")


def chains(url: str) -> None:
    async def program() -> None:
        agent = Agent(model(url), model_settings=OpenAIResponsesModelSettings(openai_previous_response_id="auto"))
        first = await agent.run("I am Bo.")
        then = await agent.run("Who am I?", message_history=first.all_messages())
        assert "I am Bo." in then.output
        assert then.output.count("I am Bo.") == 2, then.output  # the user's, and what was said of it

    asyncio.run(program())


def hosted_tools(url: str) -> None:
    from pydantic_ai.capabilities import NativeTool
    from pydantic_ai.native_tools import MCPServerTool, WebSearchTool

    box = NativeTool(MCPServerTool(id="box", url=os.environ["MCP_URL"]))
    agent = Agent(model(url), capabilities=[box])
    script = write_script(Round(calls=(Call("greet", {"name": "Bo"}),)), Round("{quote}"))
    assert "Hello, Bo!" in asyncio.run(agent.run(script)).output
    searching = Agent(model(url), capabilities=[NativeTool(WebSearchTool())])
    script = write_script(Round(calls=(Call("search", {"query": "x"}),)), Round("Found."))
    assert asyncio.run(searching.run(script)).output == "Found."


SCENARIOS = (functions, streams, outputs, chains, hosted_tools)

if __name__ == "__main__":
    run(SCENARIOS)
