"""`langchain-openai` over Responses, as its users write programs with it."""

import os
from typing import Any, Final

from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from tests.clients.scripts.harness import run
from tests.parts.model_script import Call, Round, write_script

SCRIPT: Final = write_script(Round("Look. ", (Call("weather", {"city": "Oslo"}),), reasoning="Hm."), Round("{quote}"))


class Person(BaseModel):
    name: str
    job: str


@tool  # type: ignore[untyped-decorator]  # of a package that is not here
def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"rain in {city}"


def model(url: str, **more: Any) -> Any:
    how = {"use_responses_api": True, "output_version": "responses/v1", "max_retries": 0, **more}
    return ChatOpenAI(model="local/m", base_url=f"{url}/v1", api_key="none", **how)


def functions(url: str) -> None:
    for more in ({}, {"store": False}, {"use_previous_response_id": True}):
        chat = model(url, **more).bind_tools([weather])
        asked = chat.invoke([HumanMessage(SCRIPT)])
        [call] = asked.tool_calls
        assert call["args"] == {"city": "Oslo"}
        answer = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
        assert chat.invoke([HumanMessage(SCRIPT), asked, answer]).text == "rain in Oslo"


def streams(url: str) -> None:
    whole: Any = None
    for chunk in model(url).bind_tools([weather]).stream(SCRIPT):
        assert isinstance(chunk, AIMessageChunk)
        whole = chunk if whole is None else whole + chunk
    assert whole.text == "Look. "
    assert whole.tool_calls[0]["args"] == {"city": "Oslo"}
    assert whole.usage_metadata["total_tokens"] > 0


def outputs(url: str) -> None:
    for method in ("json_schema", "function_calling"):
        found = model(url).with_structured_output(Person, method=method).invoke("Who?")
        assert found == Person(name="NAME", job="JOB")


def hosted_tools(url: str) -> None:
    box = {"type": "mcp", "server_label": "box", "server_url": os.environ["MCP_URL"], "require_approval": "never"}
    script = write_script(Round(calls=(Call("greet", {"name": "Bo"}),)), Round("{quote}"))
    chat = model(url).bind_tools([box])
    found = chat.invoke(script)
    assert "Hello, Bo!" in found.text
    assert [block["type"] for block in found.content] == ["mcp_list_tools", "mcp_call", "text"]
    assert "Hello, Bo!" in chat.invoke([HumanMessage(script), found, HumanMessage("What was said?")]).text
    searched = (
        model(url)
        .bind_tools([{"type": "web_search"}])
        .invoke(write_script(Round(calls=(Call("search", {"query": "x"}),)), Round("Found [it]({link}).")))
    )
    assert searched.text.startswith("Found")


SCENARIOS = (functions, streams, outputs, hosted_tools)

if __name__ == "__main__":
    run(SCENARIOS)
