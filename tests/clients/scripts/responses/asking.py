"""How OpenAI's client asks for responses here, and what it looks at beyond what its stream helper does."""

from collections.abc import Iterable, Sequence
import os
from typing import Any, Final

from tests.parts.model_script import Round, write_script

MODEL: Final = "local/m"
WEATHER: Final[dict[str, Any]] = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


def openai(url: str) -> Any:
    import openai

    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def person() -> Any:
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        job: str

    return Person


def box(**more: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "box", "server_url": os.environ["MCP_URL"], **more}


def streamed(url: str, *rounds: Round, **asked: Any) -> tuple[Any, list[Any]]:
    """The final response and the events, which must join to it."""
    asked = {"model": MODEL, **asked} | ({"input": write_script(*rounds)} if rounds else {})
    with openai(url).responses.stream(**asked) as stream:
        events = list(stream)
        final = stream.get_final_response()
    check_events(events, final)
    return final, events


def check_events(events: Sequence[Any], final: Any) -> None:
    """What the helper does not look at: numbers, texts joined, and that what was done is what there is at the end."""
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].response.id == final.id == events[0].response.id
    done = {event.output_index: event.item for event in events if event.type == "response.output_item.done"}
    assert list(done) == list(range(len(final.output)))
    assert [plain(done[at]) for at in done] == [plain(item) for item in final.output]
    for kind, whole in TEXTS.items():
        check_texts(events, kind, whole)


TEXTS: Final = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_text": "text",
    "response.reasoning_summary_text": "text",
    "response.function_call_arguments": "arguments",
    "response.mcp_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}


def check_texts(events: Sequence[Any], kind: str, whole: str) -> None:
    texts: dict[Any, str] = {}
    for event in events:
        place = event.model_dump(include={"item_id", "output_index", "content_index", "summary_index"})
        at = tuple(sorted(place.items()))
        if event.type == f"{kind}.delta":
            texts[at] = texts.get(at, "") + event.delta
        if event.type == f"{kind}.done":
            assert texts.pop(at, "") == getattr(event, whole), event
    assert not texts, f"{kind} was not done: {texts}"


def plain(item: Any) -> dict[str, Any]:
    """Without what the client's parser puts in."""
    shown: dict[str, Any] = item.model_dump(exclude_none=True, warnings=False, exclude={"parsed_arguments", "parsed"})
    for part in shown.get("content", ()):
        part.pop("parsed", None)
    return shown


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


def of_kind(events: Iterable[Any], *kinds: str) -> list[Any]:
    return [event for event in events if event.type in kinds]
