"""`openai-agents`, as its users write programs with it: over Responses, which is what it speaks unless it is told otherwise."""

import asyncio
from collections.abc import Awaitable, Callable
import os
from typing import Any, Final

from agents import (
    Agent,
    FileSearchTool,
    HostedMCPTool,
    ModelSettings,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    WebSearchTool,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.clients.scripts.harness import run
from tests.parts.model_script import Call, Round, write_script

WEATHER: Final = Call("weather", {"city": "Oslo"})


class Person(BaseModel):
    name: str
    job: str


@function_tool  # type: ignore[untyped-decorator]  # of a package that is not here
def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"rain in {city}"


def within(url: str, program: Callable[[AsyncOpenAI, OpenAIResponsesModel], Awaitable[None]]) -> None:
    async def main() -> None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            await program(client, OpenAIResponsesModel(model="local/m", openai_client=client))

    set_tracing_disabled(disabled=True)
    asyncio.run(main())


def functions(url: str) -> None:
    async def program(_: AsyncOpenAI, model: Any) -> None:
        agent = Agent(name="a", instructions="Be brief.", model=model, tools=[weather])
        script = write_script(Round(calls=(WEATHER, Call("weather", {"city": "Rome"}))), Round("{quote}"))
        for settings in (ModelSettings(), ModelSettings(store=False, parallel_tool_calls=True)):
            found = await Runner.run(agent.clone(model_settings=settings), script)
            assert found.final_output == "rain in Oslo; rain in Rome", found.final_output

    within(url, program)


def streams(url: str) -> None:
    async def program(_: AsyncOpenAI, model: Any) -> None:
        agent = Agent(name="a", model=model, tools=[weather])
        script = write_script(Round("Look. ", (WEATHER,), reasoning="Hm."), Round("{quote}"))
        found = Runner.run_streamed(agent, script)
        names = [event.name async for event in found.stream_events() if event.type == "run_item_stream_event"]
        assert found.final_output == "rain in Oslo"
        assert {"tool_called", "tool_output", "message_output_created", "reasoning_item_created"} <= set(names), names

    within(url, program)


def outputs(url: str) -> None:
    async def program(_: AsyncOpenAI, model: Any) -> None:
        found = await Runner.run(Agent(name="a", model=model, output_type=Person), "Who?")
        assert found.final_output == Person(name="NAME", job="JOB")

    within(url, program)


def handoffs(url: str) -> None:
    async def program(_: AsyncOpenAI, model: Any) -> None:
        expert = Agent(name="expert", model=model)
        agent = Agent(name="first", model=model, handoffs=[expert])
        found = await Runner.run(agent, write_script(Round(calls=(Call("transfer_to_expert"),)), Round("I know.")))
        assert (found.final_output, found.last_agent.name) == ("I know.", "expert")

    within(url, program)


def hosted_tools(url: str) -> None:
    async def program(client: AsyncOpenAI, model: Any) -> None:
        store = await client.vector_stores.create(name="notes")
        file = await client.files.create(file=("sun.txt", b"The sun is a star."), purpose="assistants")
        await client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
        box: Any = {
            "type": "mcp",
            "server_label": "box",
            "server_url": os.environ["MCP_URL"],
            "require_approval": "never",
        }
        tools = [
            HostedMCPTool(tool_config=box),
            FileSearchTool(vector_store_ids=[store.id], include_search_results=True),
        ]
        rounds = (
            Round(calls=(Call("greet", {"name": "Bo"}), Call("search", {"query": "sun"}))),
            Round("It is a star {mark}."),
        )
        found = await Runner.run(Agent(name="a", model=model, tools=tools), write_script(*rounds))
        assert found.final_output == "It is a star."
        searching = Agent(name="a", model=model, tools=[WebSearchTool()])
        found = await Runner.run(
            searching, write_script(Round(calls=(Call("search", {"query": "x"}),)), Round("Found."))
        )
        assert found.final_output == "Found."

    within(url, program)


def approvals(url: str) -> None:
    async def program(_: AsyncOpenAI, model: Any) -> None:
        box: Any = {
            "type": "mcp",
            "server_label": "box",
            "server_url": os.environ["MCP_URL"],
            "require_approval": "always",
        }
        tool = HostedMCPTool(tool_config=box, on_approval_request=lambda _: {"approve": True})
        script = write_script(Round(calls=(Call("greet", {"name": "Bo"}),)), Round("{quote}"))
        found = await Runner.run(Agent(name="a", model=model, tools=[tool]), script)
        assert "Hello, Bo!" in found.final_output

    within(url, program)


def sessions(url: str) -> None:
    async def program(client: AsyncOpenAI, model: Any) -> None:
        session = OpenAIConversationsSession(openai_client=client)
        agent = Agent(name="a", model=model)
        await Runner.run(agent, "I am Bo.", session=session)
        found = await Runner.run(agent, "Who am I?", session=session)
        assert "I am Bo." in found.final_output
        assert len(await session.get_items()) == 4
        await session.clear_session()
        first = await Runner.run(agent, "I am Bo.")
        then = await Runner.run(agent, "Who am I?", previous_response_id=first.last_response_id)
        assert "I am Bo." in then.final_output

    within(url, program)


SCENARIOS = (functions, streams, outputs, handoffs, hosted_tools, approvals, sessions)

if __name__ == "__main__":
    run(SCENARIOS)
