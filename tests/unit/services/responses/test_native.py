"""A provider's own Responses as a run: whatever it sends, what comes of it is a valid stream; and what it is sent of a context."""

from copy import deepcopy
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.apis.responses import ResponseRequest
from core.frame.types import JsonObject
from core.services.responses.contract import Event, ItemAdded, Run, RunEnded, Usage
from core.services.responses.native.finding import has_own_tools_alone
from core.services.responses.native.members import read_annotation
from core.services.responses.native.reading import NativeReader
from core.services.responses.native.writing import write_body, write_items
from core.services.responses.output import Output
from tests.parts.response_schema import check_stream
from tests.unit.services.responses.runs import runs
from tests.unit.services.responses.test_printing import printed

EMPTY: Final[list[JsonObject]] = [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]
LIES: Final[list[Any]] = [
    None,
    True,
    -1,
    10**30,
    "",
    "x",
    [],
    [5],
    {},
    {"type": 5},
    [{"type": 5}],
    [{"text": 5}],
    {"id": []},
]
UNKNOWN: Final = [{"type": "response.new.delta", "delta": "x", "output_index": 0}, {"type": 1}, {"object": "x"}]


def read(events: list[JsonObject], start: int = 0) -> list[Event]:
    """What a run makes of them; it has that many items already."""
    reader = NativeReader(Output(start))
    pieces = [piece for event in events for piece in reader.feed(event)]
    return (
        pieces
        if reader.ended
        else [*pieces, *reader.break_off(), RunEnded("failed", Usage(), error={"code": "server_error", "message": "x"})]
    )


def content_of(response: JsonObject) -> list[Any]:
    """What its items say, without ids."""
    names = (
        "type",
        "name",
        "call_id",
        "content",
        "summary",
        "arguments",
        "input",
        "status",
        "output",
        "error",
        "tools",
        "queries",
        "results",
    )
    items = [{name: item[name] for name in names if name in item} for item in response["output"]]
    for item in items:
        if item["type"] == "reasoning":
            item["status"] = "completed"
        if item["type"] == "message":
            item["content"] = item["content"] or EMPTY
    return items


@settings(max_examples=25, deadline=None)
@given(runs())
def test_a_valid_stream_says_the_same_as_a_run(events: list[Event]) -> None:
    stream, whole = printed(events, {"message.output_text.logprobs"})
    again, response = printed(read([event.data for event in stream]), set())
    check_stream(event.data for event in again)
    if whole["status"] == "completed":
        assert content_of(response) == content_of(whole)
    assert (response["status"], response["usage"]) == (whole["status"], whole["usage"] or response["usage"])


def lie(event: JsonObject, data: st.DataObject) -> JsonObject:
    """The event with something else in the place of one of its members, or of a member of its members."""
    told: Any = deepcopy(event)
    holder, places = told, [name for name in told if name != "type"]
    while places:
        place = data.draw(st.sampled_from(places))
        inner = holder[place]
        places = list(inner) if isinstance(inner, dict) else list(range(len(inner))) if isinstance(inner, list) else []
        if not places or data.draw(st.integers(0, 2)) == 0:
            holder[place] = data.draw(st.sampled_from(LIES))
            break
        holder = inner
    changed: JsonObject = told
    return changed


@settings(max_examples=40, deadline=None)
@given(runs(), st.data())
def test_whatever_is_missing_twice_or_unknown_what_comes_of_it_is_valid(
    events: list[Event], data: st.DataObject
) -> None:
    stream = [event.data for event in printed(events, set())[0]]
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(stream) - 1))
        match data.draw(st.sampled_from(["drop", "twice", "unknown", "move", "strip", "lie", "lie"])):
            case "drop":
                stream = [*stream[:place], *stream[place + 1 :]] or stream
            case "twice":
                stream.insert(place, stream[place])
            case "unknown":
                stream.insert(place, data.draw(st.sampled_from(UNKNOWN)))
            case "move":
                stream.append(stream.pop(place))
            case "lie":
                stream[place] = lie(stream[place], data)
            case _:
                stream[place] = {"type": stream[place].get("type"), "output_index": data.draw(st.integers(0, 3))}
    last = next(
        (
            at
            for at, event in enumerate(stream)
            if str(event.get("type")) in {"response.completed", "response.incomplete", "response.failed"}
        ),
        len(stream),
    )
    check_stream(event.data for event in printed(read(stream[: last + 1]), set())[0])


def test_what_a_provider_says_of_an_item_is_of_its_sort_or_left_out() -> None:
    output: list[JsonObject] = [
        {"type": "message", "content": [{"type": "output_text", "text": "Hi"}], "phase": {"a": 1}},
        {"type": "message", "content": [{"type": "output_text", "text": "Hi"}], "phase": "commentary"},
        {"type": "function_call", "name": "", "call_id": 5, "arguments": {}},
        {"type": "file_search_call", "queries": [5, "q"], "results": ["x", {"text": "t"}]},
    ]
    stream, response = printed(
        read([{"type": "response.completed", "response": {"output": output}}]), {"file_search_call.results"}
    )
    check_stream(event.data for event in stream)
    first, second, call, search = response["output"]
    assert ("phase" in first, second["phase"], call["name"]) == (False, "commentary", "tool")
    assert (search["queries"], search["results"]) == (["q"], [{"text": "t"}])


def test_an_item_that_ends_as_another_is_what_it_began_as() -> None:
    begun: JsonObject = {"type": "message", "role": "assistant", "content": []}
    thought: JsonObject = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    events: list[JsonObject] = [
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"},
        {"type": "response.output_item.done", "output_index": 0, "item": thought},
        {"type": "response.output_item.added", "output_index": 1, "item": {"type": "file_search_call", "queries": []}},
        {"type": "response.output_item.done", "output_index": 1, "item": {"type": []}},
        {"type": "response.completed", "response": {}},
    ]
    stream, response = printed(read(events), set())
    check_stream(event.data for event in stream)
    message, search = response["output"]
    assert (message["type"], message["content"][0]["text"]) == ("message", "Hi")
    assert (search["type"], search["status"]) == ("file_search_call", "incomplete")


def test_of_a_tool_that_has_begun_nothing_is_told_of_its_outcome() -> None:
    call: JsonObject = {"type": "mcp_call", "server_label": "s", "name": "roll", "arguments": "{}", "output": "6"}
    begun, done = (
        [{"type": f"response.output_item.{word}", "output_index": 0, "item": call}] for word in ("added", "done")
    )
    events = read([*begun, *done, {"type": "response.completed", "response": {}}])
    added = events[0]
    assert isinstance(added, ItemAdded)
    assert (added.item["output"], added.item["server_label"], added.item["name"]) == (None, "s", "roll")
    assert printed(events, set())[1]["output"][0]["output"] == "6"


def test_items_that_only_the_last_event_has_are_given_out() -> None:
    output: list[JsonObject] = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "theirs"},
        {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ]
    usage = {"input_tokens": 3, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}}
    events = read([{"type": "response.completed", "response": {"output": output, "usage": usage}}])
    stream, response = printed(events, {"reasoning.encrypted_content"})
    check_stream(event.data for event in stream)
    thought, message, search = response["output"]
    assert (search["type"], search["status"]) == ("web_search_call", "completed")
    assert (thought["encrypted_content"], message["content"][0]["text"]) == ("theirs", "Hi")
    assert response["usage"]["total_tokens"] == 5
    assert response["usage"]["input_tokens_details"] == {"cached_tokens": 1}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"error": {"code": "x", "message": "y" * 9000}}, ("server_error", "y" * 20)),
        ({"error": {"code": "rate_limit_exceeded"}}, ("rate_limit_exceeded", "The model's provider")),
        ({}, ("server_error", "The model's provider")),
    ],
)
def test_a_failure_has_a_code_that_clients_know(response: JsonObject, expected: tuple[str, str]) -> None:
    ended = read([{"type": "response.failed", "response": response}])[-1]
    assert isinstance(ended, RunEnded)
    assert ended.error is not None
    assert (ended.error["code"], ended.error["message"][:20]) == expected
    assert len(ended.error["message"]) < 1000


def test_a_provider_is_told_nothing_that_only_this_stack_knows() -> None:
    image = {"type": "input_image", "image_url": "https://a/b.png"}
    items: list[JsonObject] = [
        {"type": "function_call_output", "id": "fco_0", "call_id": "gone", "output": "of a call that has expired"},
        {"type": "message", "id": "msg_1", "role": "user", "status": "completed", "content": [image]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "TDEours"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "theirs"},
        {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "s", "tools": []},
        {"type": "mcp_call", "id": "mcp_1", "name": "roll", "arguments": "{}", "output": "6"},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "message", "id": "msg_2", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
    ]
    told = list(write_items(items, len(items)))
    assert told[0] == {"type": "message", "role": "user", "content": [image]}
    assert told[1] == {"type": "reasoning", "summary": [], "encrypted_content": "theirs"}
    call, output = told[2:4]
    assert (call["type"], call["name"], output["output"], call["call_id"]) == (
        "function_call",
        "roll",
        "6",
        output["call_id"],
    )
    assert told[4] == {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    assert told[5]["type"] == "function_call_output"
    assert told[6] == {"type": "message", "role": "assistant", "content": "Hi"}
    assert not any("id" in item or "status" in item for item in told)


def test_a_call_that_was_refused_is_told_by_what_was_asked() -> None:
    asked: JsonObject = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "roll", "arguments": '{"n": 1}'}
    refused: JsonObject = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False}
    another: JsonObject = {"type": "message", "id": "mcpr_1", "role": "user", "content": "x"}
    call, output = write_items([asked, refused], 2)
    assert (call["name"], call["arguments"]) == ("roll", '{"n": 1}')
    assert "did not approve" in output["output"]
    assert [item["type"] for item in write_items([another, refused], 2)] == ["message"]


def test_of_what_is_to_be_included_a_provider_is_told_what_it_can_have() -> None:
    include = ["reasoning.encrypted_content", "file_search_call.results"]
    tools: Any = None
    asked = ResponseRequest(model="m", include=include)
    assert write_body(asked, Run("m", [], tools))["include"] == include[:1]
    assert "include" not in write_body(ResponseRequest(model="m", include=include[1:]), Run("m", [], tools))


def test_a_citation_is_whole_and_of_text_that_has_come() -> None:
    page: JsonObject = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 3}
    file: JsonObject = {"type": "file_citation", "file_id": "f", "filename": "a", "index": 3}
    assert (read_annotation(page | {"more": 1}, 3), read_annotation(file, 3)) == (page, file)
    assert read_annotation(page | {"end_index": 0}, 3) == page | {"end_index": 0}
    wrong: list[JsonObject] = [{"start_index": -1}, {"end_index": 4}, {"start_index": 3, "end_index": 2}, {"title": 5}]
    assert not [lie for lie in [*wrong, {"type": "song"}] if read_annotation(page | lie, 3) is not None]


def test_a_request_with_a_tool_of_the_stack_is_not_the_providers() -> None:
    function = {"type": "function", "name": "f"}
    assert has_own_tools_alone(ResponseRequest(model="m", tools=[function, {"type": "custom", "name": "g"}]))
    assert has_own_tools_alone(ResponseRequest(model="m"))
    assert not has_own_tools_alone(ResponseRequest(model="m", tools=[function, {"type": "web_search"}]))
