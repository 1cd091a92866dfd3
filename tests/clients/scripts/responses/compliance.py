"""What the Open Responses compliance suite asks over HTTP, held to the types that others made of its specification (`openresponses-types`).

Source: https://www.openresponses.org/compliance. What it asks by WebSocket is not served.
"""

from collections.abc import Iterator
import json
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.clients.scripts.harness import run

MODEL: Final = "local/m"
WEATHER: Final[dict[str, Any]] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a place.",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
PNG: Final = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="


def post(url: str, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
    headers = {"content-type": "application/json", "authorization": "Bearer x"}
    request = Request(f"{url}/v1{path}", json.dumps(body).encode(), headers)  # noqa: S310 - of the test's own server
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310 - likewise
            return answer.status, answer.read()
    except HTTPError as refused:
        return refused.code, refused.read()


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **more}


def ask(url: str, *messages: dict[str, Any], **more: Any) -> Any:
    """The response, which fits the type and is completed."""
    status, body = post(url, "/responses", {"model": MODEL, "input": list(messages), **more})
    assert status == 200, body
    return completed(json.loads(body))


def completed(response: dict[str, Any]) -> Any:
    from openresponses_types import ResponseResource

    found = ResponseResource.model_validate(response, strict=False)
    assert found.output
    assert found.status == "completed"
    assert response["completed_at"] >= response["created_at"]
    return found


def basic_response(url: str) -> None:
    ask(url, said("user", "Say hello in three words."))


def assistant_phase(url: str) -> None:
    before = said("assistant", "I look for it.", phase="commentary"), said("assistant", "Four.", phase="final_answer")
    ask(url, *before, said("user", "Repeat the number."))


def response_output_phase_schema(url: str) -> None:
    """Phases come back where items are read again."""
    status, body = post(url, "/conversations", {"items": [said("assistant", "I look.", phase="commentary")]})
    assert status == 200, body
    conversation = json.loads(body)["id"]
    with urlopen(f"{url}/v1/conversations/{conversation}/items", timeout=60) as answer:  # noqa: S310 - its own server
        [item] = json.load(answer)["data"]
    assert item["phase"] == "commentary"


def events_of(body: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for block in body.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if lines and lines["data"] != "[DONE]":
            yield lines["event"], json.loads(lines["data"])


def type_of(kind: str) -> Any:
    import openresponses_types

    name = "".join(word.capitalize() for word in kind.replace(".", "_").split("_"))
    return getattr(openresponses_types, f"{name}StreamingEvent")


def streaming_response(url: str) -> None:
    status, body = post(
        url, "/responses", {"model": MODEL, "input": [said("user", "Count from 1 to 5.")], "stream": True}
    )
    assert status == 200, body
    events = list(events_of(body))
    for name, event in events:
        assert name == event["type"]
        type_of(name).model_validate(event)
    assert {name for name, _ in events} >= {"response.created", "response.output_text.delta"}
    assert events[-1][0] == "response.completed"
    completed(events[-1][1]["response"])


def system_prompt(url: str) -> None:
    ask(url, said("system", "You are a pirate."), said("user", "Say hello."))


def tool_calling(url: str) -> None:
    found = ask(url, said("user", "What's the weather like in San Francisco?"), tools=[WEATHER])
    assert "function_call" in [item.type for item in found.output]


def image_input(url: str) -> None:
    content = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": PNG}]
    ask(url, said("user", content))


def multi_turn(url: str) -> None:
    ask(url, said("user", "I am Alice."), said("assistant", "Hello Alice!"), said("user", "Who am I?"))


def compact_response(url: str) -> None:
    from openresponses_types import CompactResource

    said_before = [said("user", "We launch on Tuesday."), said("assistant", "Tuesday it is.")]
    body = {"model": MODEL, "prompt_cache_key": "a-key", "input": said_before}
    status, answer = post(url, "/responses/compact", body)
    assert status == 200, answer
    found = CompactResource.model_validate_json(answer)
    assert found.object == "response.compaction"
    assert "compaction" in [item.type for item in found.output]


def compact_missing_model(url: str) -> None:
    status, _ = post(url, "/responses/compact", {"input": [said("user", "Compact this.")]})
    assert status == 400


SCENARIOS = (
    basic_response,
    assistant_phase,
    response_output_phase_schema,
    streaming_response,
    system_prompt,
    tool_calling,
    image_input,
    multi_turn,
    compact_response,
    compact_missing_model,
)

if __name__ == "__main__":
    run(SCENARIOS)
