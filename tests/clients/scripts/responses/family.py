"""`llama-stack-client` 0.7 and `ogx-client` 1.5 over responses, conversations and prompts."""

import os
import time
from typing import Any, Final

from tests.clients.scripts.guarded import package
from tests.clients.scripts.harness import refusal, run
from tests.parts.model_script import Call, Round, write_script

MODEL: Final = "local/m"
WEATHER: Final[dict[str, Any]] = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def client(url: str) -> Any:
    module, make = package()
    return make(module, url, "none")


def gone(call: Any) -> None:
    """`call` is of what is not there; each client has classes of its own for that."""
    told = str(refusal(Exception, call)).lower()
    assert "404" in told or "not found" in told, told


def raw(value: Any) -> Any:
    """What a model of OpenAPI's generator wraps."""
    return getattr(value, "actual_instance", None) or value


def text_of(response: Any) -> str:
    message = raw(raw(response).output[-1])
    content = raw(message.content)
    return content if isinstance(content, str) else str(raw(content[0]).text)


def responses(url: str) -> None:
    stack = client(url)
    made = stack.responses.create(model=MODEL, input="I am Bo.", instructions="Be brief.", metadata={"k": "v"})
    assert "I am Bo." in text_of(made)
    then = stack.responses.create(model=MODEL, input="Who am I?", previous_response_id=made.id, max_infer_iters=3)
    assert "I am Bo." in text_of(then)
    assert text_of(stack.responses.retrieve(made.id)) == text_of(made)
    assert made.id in [row.id for row in raw(stack.responses.list(limit=5)).data]
    items = raw(stack.responses.input_items.list(made.id)).data
    assert len(items) == 1
    stack.responses.delete(made.id)
    gone(lambda: stack.responses.retrieve(made.id))


def streams(url: str) -> None:
    stack = client(url)
    script = write_script(Round("Look. ", (Call("weather", {"city": "Oslo"}),)), Round("done"))
    events = [raw(event) for event in stack.responses.create(model=MODEL, input=script, stream=True, tools=[WEATHER])]
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Look. "
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == '{"city": "Oslo"}'
    assert [event.sequence_number for event in events] == list(range(len(events)))


def failures(url: str) -> None:
    """A tool that failed is in answers and in lists of them."""
    stack = client(url)
    script = write_script(Round(calls=(Call("fail"),)), Round("done"))
    box: dict[str, Any] = {
        "type": "mcp",
        "server_label": "box",
        "server_url": os.environ["MCP_URL"],
        "require_approval": "never",
    }
    made = stack.responses.create(model=MODEL, input=script, tools=[box])
    [call] = [raw(item) for item in made.output if raw(item).type == "mcp_call"]
    assert call.error == "it failed", call
    assert made.id in [row.id for row in raw(stack.responses.list(limit=5)).data]
    assert raw(stack.responses.retrieve(made.id).output[-1]).type == "message"


def in_the_background(url: str) -> None:
    """Cancelled by OGX's alone: the other has no such call."""
    stack = client(url)
    made = stack.responses.create(model=MODEL, input=write_script(Round("Hello there")), background=True)
    assert raw(made).status == "queued"
    until = time.monotonic() + 60
    while (found := raw(stack.responses.retrieve(made.id))).status in {"queued", "in_progress"}:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert (found.status, text_of(found)) == ("completed", "Hello there")
    if hasattr(stack.responses, "cancel"):
        made = stack.responses.create(model=MODEL, input=write_script(Round("Hello", ends="hang")), background=True)
        assert raw(stack.responses.cancel(made.id)).status == "cancelled"


def conversations(url: str) -> None:
    stack = client(url)
    made = stack.conversations.create(metadata={"k": "v"})
    said: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "I am Bo."}]}
    stack.conversations.items.create(made.id, items=[said])
    answer = stack.responses.create(model=MODEL, input="Who am I?", conversation=made.id)
    assert "I am Bo." in text_of(answer)
    listed = raw(stack.conversations.items.list(made.id, limit=20, order="asc")).data
    assert [raw(item).role for item in listed] == ["user", "user", "assistant"]
    one = raw(listed[0]).id
    assert raw(stack.conversations.items.get(made.id, one) if _is_ogx() else _get(stack, made.id, one)).id == one
    assert stack.conversations.update(made.id, metadata={"k": "w"}).metadata == {"k": "w"}
    stack.conversations.delete(made.id)
    gone(lambda: stack.conversations.retrieve(made.id))


def _is_ogx() -> bool:
    return bool(package()[0].__name__ == "ogx_client")


def _get(stack: Any, conversation: str, item: str) -> Any:
    return stack.conversations.items.get(item, conversation_id=conversation)


def prompts(url: str) -> None:
    stack = client(url)
    made = stack.prompts.create(prompt="Greet {{ name }}.", variables=["name"])
    assert (made.version, made.variables, made.is_default) == (1, ["name"], True)
    newer = stack.prompts.update(made.prompt_id, prompt="Greet {{ name }} now.", version=1, variables=["name"])
    assert newer.version == 2
    stack.prompts.set_default_version(made.prompt_id, version=1)
    assert stack.prompts.retrieve(made.prompt_id).version == 1
    versions = raw(stack.prompts.versions.list(made.prompt_id))
    assert [row.version for row in getattr(versions, "data", versions)] == [1, 2]
    prompt: Any = {"id": made.prompt_id, "version": "2", "variables": {"name": {"type": "input_text", "text": "Bo"}}}
    assert "Greet Bo now." in text_of(stack.responses.create(model=MODEL, input="Hi", prompt=prompt))
    stack.prompts.delete(made.prompt_id)
    gone(lambda: stack.prompts.retrieve(made.prompt_id))


SCENARIOS = (responses, streams, failures, in_the_background, conversations, prompts)

if __name__ == "__main__":
    run(SCENARIOS)
