"""Whatever a run brings, its stream is one that clients can read, and comes to what is answered without a stream."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.apis.responses import ResponseRequest
from core.errors import UpstreamFailed
from core.frame.types import JsonObject, NamedEvent
from core.services.responses.contract import Event, ItemDone, RunEnded, Usage
from core.services.responses.output import Output
from core.services.responses.printing.events import EventPrinter, failure_event
from core.services.responses.printing.forms import PrintedItem
from core.services.responses.printing.objects import begin_response, end_response, show_response, show_tool
from core.services.responses.printing.shown import show_item
from tests.parts.response_schema import check_stream
from tests.unit.services.responses.runs import runs

INCLUDES = st.sets(
    st.sampled_from(["file_search_call.results", "web_search_call.action.sources", "message.output_text.logprobs"])
)


def printed(events: list[Event], include: set[str], until: int | None = None) -> tuple[list[NamedEvent], JsonObject]:
    """The events of the stream, of a run that breaks after `until` events, and the whole object."""
    response = begin_response(ResponseRequest(model="m", input="hi"), None)
    printer, output = EventPrinter(response, include), dict[int, JsonObject]()
    stream = list(printer.begin())
    for event in events[:until]:
        if isinstance(event, ItemDone):
            output[event.slot.place] = event.item
        if isinstance(event, RunEnded):
            end_response(response, event, [output[place] for place in sorted(output)])
        stream += printer.print(event)
    return stream, show_response(response, include)


@settings(max_examples=40, deadline=None)
@given(runs(), INCLUDES)
def test_every_stream_is_valid_and_ends_with_the_whole_response(events: list[Event], include: set[str]) -> None:
    stream, whole = printed(events, include)
    assert all(event.name == event.data["type"] for event in stream)
    assert check_stream(event.data for event in stream) == whole


@settings(max_examples=30, deadline=None)
@given(runs(), st.data())
def test_a_stream_that_breaks_ends_with_the_response_that_failed(events: list[Event], data: st.DataObject) -> None:
    stream, _ = printed(events, set(), data.draw(st.integers(0, len(events) - 1)))
    last = failure_event(UpstreamFailed("It broke."), stream[-1])
    failed = check_stream([*(event.data for event in stream), last.data])
    assert failed["error"] == {"code": "server_error", "message": "It broke."}
    assert last.name == "response.failed"


def test_a_stream_that_breaks_before_its_first_event_has_an_error_with_a_type() -> None:
    event = failure_event(UpstreamFailed("It broke."), None)
    expected = {"code": "upstream_error", "message": "It broke.", "param": None}
    assert event == NamedEvent("error", {"type": "error", "sequence_number": 0, **expected})


ITEMS: dict[str, JsonObject] = {
    "message.output_text.logprobs": {"content": [{"type": "output_text", "logprobs": [{"token": "SHOWN"}]}]},
    "message.input_image.image_url": {"content": [{"type": "input_image", "image_url": "SHOWN"}]},
    "file_search_call.results": {"type": "file_search_call", "results": ["SHOWN"]},
    "web_search_call.action.sources": {"type": "web_search_call", "action": {"type": "search", "sources": ["SHOWN"]}},
    "web_search_call.results": {"type": "web_search_call", "results": ["SHOWN"]},
    "reasoning.encrypted_content": {"type": "reasoning", "encrypted_content": "SHOWN"},
}


@pytest.mark.parametrize("include", ITEMS)
def test_what_nobody_asked_for_is_not_shown(include: str) -> None:
    item = {"type": "message"} | ITEMS[include]
    assert "SHOWN" in str(show_item(item, {include}))
    assert "SHOWN" not in str(show_item(item, ITEMS.keys() - {include}))
    assert "SHOWN" in str(item)


def test_secrets_of_a_tool_are_not_said_again() -> None:
    tool = {
        "type": "mcp",
        "server_label": "s",
        "server_url": "https://me:hunter2@mcp.example:8443/key-hunter2?token=hunter2",
        "authorization": "hunter2",
        "headers": {"x-key": "hunter2"},
    }
    response = begin_response(ResponseRequest(model="m", input="hi", tools=[tool]), "conv_1")
    assert response["tools"] == [
        {"type": "mcp", "server_label": "s", "server_url": "https://mcp.example:8443/<redacted>"}
    ]
    assert response["conversation"] == {"id": "conv_1"}


def test_usage_of_all_rounds_is_told_of_a_failure_too() -> None:
    response = begin_response(ResponseRequest(model="m", input="hi"), None)
    end_response(response, RunEnded("failed", Usage(5, 2, 3, 1), error={"code": "server_error", "message": "m"}), [])
    assert response["usage"]["total_tokens"] == 8
    assert Output().count == 0


def test_no_response_is_completed_before_it_was_created() -> None:
    """By the clock of its worker, which may be behind the one of its POST."""
    ahead, long_ago = 10_000_000_000, 1
    for created_at in (ahead, long_ago):
        response = begin_response(ResponseRequest(model="m", input="hi"), None)
        response["created_at"] = created_at
        end_response(response, RunEnded("completed", Usage()), [])
        assert (response["completed_at"] == created_at) is (created_at == ahead)
        assert response["completed_at"] >= created_at


def test_of_what_is_no_url_nothing_is_shown() -> None:
    assert show_tool({"type": "later", "server_url": "http://[key"}) == {"type": "later", "server_url": "<redacted>"}


def test_secrets_are_hidden_wherever_they_are_in_a_tool() -> None:
    server: JsonObject = {
        "type": "mcp",
        "server_label": "s",
        "Authorization": "key",
        "server_url": "https://s.example/key",
    }
    shown: JsonObject = {"type": "mcp", "server_label": "s", "server_url": "https://s.example/<redacted>"}
    shell: JsonObject = {"type": "shell", "environment": {"network_policy": {"domain_secrets": [{"value": "key"}]}}}
    function: JsonObject = {"type": "function", "name": "f", "parameters": {"properties": {"headers": {}}}}
    choice: JsonObject = {"type": "allowed_tools", "mode": "auto", "tools": [server, function]}
    request = ResponseRequest(model="m", input="hi", tools=[server, shell, function], tool_choice=choice)
    response = begin_response(request, None)
    assert response["tools"][:2] == [shown, {"type": "shell", "environment": {"network_policy": {}}}]
    assert response["tools"][2]["parameters"] == function["parameters"]
    assert response["tool_choice"] == choice | {"tools": [shown, function]}


def test_an_image_is_shown_without_its_bytes_unless_they_were_asked_for() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    item = {"type": "message", "id": "msg_1", "role": "user", "content": [image]}
    assert show_item(item, ())["content"] == [{**image, "image_url": None}]
    assert show_item(item, ("message.input_image.image_url",)) == item


def test_the_error_of_a_call_is_a_text_whatever_form_was_kept() -> None:
    """OGX's client reads nothing else."""
    rows = (
        (None, None),
        ("it hangs", "it hangs"),
        ({"type": "http_error", "code": 502, "message": "down"}, "down"),
        ({"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "a"}, {"text": "b"}]}, "a\nb"),
    )
    for kept, shown in rows:
        item = {"type": "mcp_call", "id": "mcp_1", "error": kept}
        assert show_item(item, ()) == {**item, "error": shown}
        assert item["error"] == kept


def test_of_a_whole_item_the_parts_are_told_that_have_events_in_their_own_list() -> None:
    text, summary = {"type": "reasoning_text", "text": "a"}, {"type": "summary_text", "text": "b"}
    item = {"content": [{"type": "song"}, {}, summary, text], "summary": [text, summary]}
    assert [*PrintedItem("reasoning", is_called=True).rest_of(item)] == [summary, text]
    assert [*PrintedItem("reasoning", is_called=True, counts={"content": 4}).rest_of(item)] == [summary]
