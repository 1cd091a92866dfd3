"""MCP's messages, events, tools, results and endpoints, as they are read and written."""

from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.apis.tools import ToolGroup
from core.config.answer_limits import AnswerLimits
from core.errors import InvalidRequest, UpstreamFailed
from core.providers.mcp.credentials import read_data
from core.providers.mcp.discovery import read_challenge
from core.providers.mcp.endpoints import check_endpoint, headers_for, parse
from core.providers.mcp.event_stream import EventReader
from core.providers.mcp.results import read_result, says_unknown
from core.providers.mcp.tools import find_mirrored, mirror, print_header, read_page
from core.providers.mcp.wire import Unusable, read_messages

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(
    st.text(max_size=4) | st.sampled_from(["content", "type", "text", "tools", "name", "inputSchema", "x-mcp-header"]),
    json_values,
)


async def read(pieces: list[bytes]) -> tuple[list[tuple[str, bytes]], EventReader]:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    reader = EventReader(AnswerLimits(), UpstreamFailed)
    return [event async for event in reader.read(chunks())], reader


@given(st.lists(st.integers(1, 40)), st.sampled_from([b"\n", b"\r", b"\r\n"]))
async def test_events_are_the_same_however_they_are_cut(sizes: list[int], newline: bytes) -> None:
    text = b"id: 1\nretry: 250\ndata:\n\n: ping\n\nevent: endpoint\ndata: /a\n\ndata: b\ndata: c\nid: 2\n\ndata: last"
    text = text.replace(b"\n", newline)
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    events, reader = await read([*pieces, text])
    assert events == [("endpoint", b"/a"), ("message", b"b\nc"), ("message", b"last")]
    assert (reader.last_id, reader.retry) == ("2", 0.25)


@pytest.mark.parametrize("value", [b"x" * 5000, "é".encode(), b"a\x00b"], ids=range(3))
async def test_an_id_that_no_header_could_bear_is_not_kept(value: bytes) -> None:
    _, reader = await read([b"id: 7\ndata: a\n\nid: " + value + b"\ndata: b\n\n"])
    assert reader.last_id == "7"


@given(st.text())
def test_any_text_is_carried_by_a_header_and_is_the_same_on_the_other_side(text: str) -> None:
    text = text.encode(errors="replace").decode()
    header = print_header(text)
    assert header.isascii()
    assert header == header.strip()
    assert not {"\r", "\n", "\0"} & set(header)
    plain = b64decode(header[9:-2]).decode() if header.startswith("=?base64?") and header.endswith("?=") else header
    assert plain == text


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_arguments_are_mirrored_by_their_paths_and_nulls_are_not() -> None:
    inner = schema(deep={"type": "integer", "x-mcp-header": "Deep"})
    wanted = find_mirrored(
        schema(a={"type": "string", "x-mcp-header": "A"}, b={"type": "boolean", "x-mcp-header": "B"}, c=inner)
    )
    assert mirror({"a": "ü", "b": False, "c": {"deep": 42}}, wanted) == {
        "mcp-param-A": "=?base64?w7w=?=",
        "mcp-param-B": "false",
        "mcp-param-Deep": "42",
    }
    assert mirror({"a": None, "c": 5}, wanted) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        schema(a={"type": "string", "x-mcp-header": "a b"}),
        schema(a={"type": "string", "x-mcp-header": ""}),
        schema(a={"type": "string", "x-mcp-header": 5}),
        schema(a={"type": "object", "x-mcp-header": "A"}),
        schema(a={"type": "number", "x-mcp-header": "A"}),
        schema(a={"type": "string", "x-mcp-header": "A"}, b={"type": "string", "x-mcp-header": "a"}),
        schema(a={"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}),
        {**schema(), "anyOf": [schema(a={"type": "string", "x-mcp-header": "A"})]},
        {**schema(), "x-mcp-header": "A"},
    ],
    ids=range(9),
)
def test_a_tool_whose_headers_nobody_can_keep_is_left_out(wrong: dict[str, Any]) -> None:
    page = read_page({"tools": [{"name": "bad", "inputSchema": wrong}, {"name": "good"}]})
    assert [tool.name for tool in page.tools] == ["good"]


@given(objects, st.binary(max_size=40))
@settings(max_examples=50)
def test_whatever_a_server_sends_is_read_or_is_unusable(value: dict[str, Any], content: bytes) -> None:
    reads: list[Callable[[], object]] = [
        lambda: read_result(value),
        lambda: read_page(value),
        lambda: read_messages(content),
    ]
    for attempt in reads:
        try:
            attempt()
        except Unusable as failure:
            assert str(failure)  # noqa: PT017 - it may not be raised


def test_a_result_of_no_known_kind_is_not_lost() -> None:
    result = read_result({"content": [{"type": "hologram", "x": 1}], "structuredContent": [1], "isError": True})
    assert result.content == [{"type": "text", "text": '{"type":"hologram","x":1}'}]
    assert (result.structured, result.failed) == (None, True)
    assert read_result({"structuredContent": {"a": 1}}).content == [{"type": "text", "text": '{"a":1}'}]


@pytest.mark.parametrize(
    "text", ["Unknown tool: greet", "Tool 'greet' not found", "tool greet does not exist.", "No such tool `greet`"]
)
def test_a_tool_that_is_not_there_is_told_by_its_name(text: str) -> None:
    assert says_unknown(text, "greet")
    assert not says_unknown(text, "other")
    assert not says_unknown(f"The greet tool called: {text}!", "nope")


def test_a_challenge_is_read_as_it_is_written() -> None:
    challenge = r'Bearer realm="a, \"b\"", error=invalid_token, scope="x y", error="second"'
    assert read_challenge(challenge) == {"realm": 'a, "b"', "error": "invalid_token", "scope": "x y"}


@given(st.text() | st.text().map("https://{}".format) | st.text().map("https://a.test/{}".format))
def test_any_text_is_an_endpoint_that_is_checked_or_refused(text: str) -> None:
    for trusted in (True, False):
        try:
            check_endpoint(ToolGroup("g", "g", text, trusted=trusted), "public", None, None)
        except InvalidRequest:
            continue
        assert text.lower().startswith(("http://", "https://"))


def test_an_endpoint_goes_out_as_it_was_encoded() -> None:
    assert str(parse("https://a.test/%41%2F?q=%7e")) == "https://a.test/%41%2F?q=%7e"


def test_headers_for_https_do_not_go_over_http() -> None:
    brought = {"http://a.test/mcp": {"x": "1"}}
    assert headers_for("https://a.test/mcp", brought) == {}  # another port
    on_a_port = {"http://a.test:8443/mcp": {"x": "1"}, "https://b.test:8443/mcp": {"x": "2"}}
    assert headers_for("https://a.test:8443/mcp/", on_a_port) == {"x": "1"}
    assert headers_for("http://b.test:8443/mcp", on_a_port) == {}


@pytest.mark.parametrize("wrong", [["https://a.test"], {f"https://a.test/{place}": {} for place in range(65)}])
def test_headers_are_of_few_endpoints_by_their_urls(wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match="at most 64 endpoints"):
        read_data({"mcp_headers": wrong})


def test_what_the_protocol_says_of_a_result_is_not_the_tools_own() -> None:
    meta = {"io.modelcontextprotocol/serverInfo": {"name": "s"}, "own": 1}
    assert read_result({"content": [], "_meta": meta}).metadata == {"_meta": {"own": 1}}
