"""Every fault of a line has its code, its place and words that say what to do; any bytes are a request, or have faults."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.apis.batches import MOST_LINE, TURN
from core.errors import NotFound
from core.services.batches.job.endpoints import ENDPOINTS
from core.services.batches.job.faults import MOST_BYTES, MOST_FAULTS
from core.services.batches.job.lines import Line
from core.services.batches.job.preparing import InputReading
from core.services.batches.job.validation import check_line
from core.services.jobs.kind import JobFailed

CHAT = ENDPOINTS["/v1/chat/completions"]
BODY: dict[str, Any] = {"model": "m", "messages": []}
LINE: dict[str, Any] = {"custom_id": "a", "method": "POST", "url": CHAT.path, "body": BODY}
FORM = '{"custom_id": "..", "method": "POST", "url": "..", "body": {..}}'


class Models:
    """Those whose names begin with `m`."""

    async def get(self, identifier: str) -> object:
        if not identifier.startswith("m"):
            raise NotFound("no")
        return identifier


async def read(content: bytes, endpoint: str = CHAT.path, size: int = 50) -> InputReading:
    async def chunks() -> Any:
        for at in range(0, len(content), size):
            yield content[at : at + size]

    reading = InputReading(ENDPOINTS[endpoint], Models() if ENDPOINTS[endpoint].names_model else None, "ids")
    async for _ in reading.read(chunks()):
        pass
    return reading


async def faults_of(content: bytes, endpoint: str = CHAT.path, size: int = 50) -> list[tuple[Any, ...]]:
    with pytest.raises(JobFailed) as failed:
        await read(content, endpoint, size)
    return [(f["code"], f["line"], f["param"], f["message"]) for f in failed.value.result["errors"]]


def line(*without: str, **fields: Any) -> bytes:
    return json.dumps({name: value for name, value in (LINE | fields).items() if name not in without}).encode()


LARGE: dict[str, Any] = BODY | {"messages": ["x" * MOST_LINE]}
TOO_LARGE = (
    f"The line has {len(json.dumps(LINE | {'body': LARGE}))} bytes, and one may have {MOST_LINE}. "
    "Refer to what is large by a URL or a file's id."
)


def missing(name: str) -> str:
    return f"Missing required parameter: `{name}`. A line is {FORM}."


@pytest.mark.parametrize(
    ("content", "code", "param", "message"),
    [
        (b"{]", "invalid_json_line", None, "The line is not valid JSON: key must be a string at line 1 column 2."),
        (b"\xff\xfe", "invalid_json_line", None, "The line is not valid JSON: expected value at line 1 column 1."),
        (b"[" * 500, "invalid_json_line", None, "The line is not valid JSON: it is nested too deeply."),
        (b"[1]", "invalid_request", None, f"The line is no JSON object: it must be {FORM}."),
        (line("custom_id"), "missing_required_parameter", "custom_id", missing("custom_id")),
        (line("method"), "missing_required_parameter", "method", missing("method")),
        (line("url"), "missing_required_parameter", "url", missing("url")),
        (line("body"), "missing_required_parameter", "body", missing("body")),
        (line(custom_id=1), "invalid_request", "custom_id", "`custom_id` must be a string."),
        (line(custom_id=""), "invalid_request", "custom_id", "`custom_id` must be a string that is not empty."),
        (line(method=None), "invalid_request", "method", "`method` must be a string."),
        (line(url=[]), "invalid_request", "url", "`url` must be a string."),
        (line(body="{}"), "invalid_request", "body", "`body` must be a JSON object."),
        (line(method="GET"), "invalid_request", "method", "`method` is `GET`, and must be `POST`."),
        (
            line(url="/v1/embeddings"),
            "invalid_url",
            "url",
            "The url `/v1/embeddings` does not match the endpoint of the batch, `/v1/chat/completions`.",
        ),
        (
            line(body=BODY | {"stream": True}),
            "streaming_unsupported",
            "body.stream",
            "Streaming is not supported in a batch. Leave `stream` out.",
        ),
        (
            line(custom_id="c", body=BODY | {"model": "x" * 100}),
            "model_not_found",
            "body.model",
            f"The model `{'x' * 61}…` does not exist, or is not supported for you.",
        ),
        (
            line(body={"model": "m"}),
            "invalid_request",
            "body.messages",
            "`body.messages` is missing: /v1/chat/completions needs it.",
        ),
        (
            line(body={"messages": []}),
            "invalid_request",
            "body.model",
            "`body.model` is missing: /v1/chat/completions needs it.",
        ),
        (line(body=BODY | {"messages": "hi"}), "invalid_request", "body.messages", "`body.messages` must be an array."),
        (line(body=BODY | {"model": 1}), "invalid_request", "body.model", "`body.model` must be a string."),
        (line(body=LARGE), "line_too_large", None, TOO_LARGE),
        (
            line(),
            "duplicate_custom_id",
            "custom_id",
            "The custom_id `a` is that of an earlier line. Give each line its own.",
        ),
    ],
)
async def test_what_is_wrong_with_a_line(content: bytes, code: str, param: str | None, message: str) -> None:
    before, after = line(custom_id="a" if code.startswith("duplicate") else "z"), line(custom_id="b")
    assert await faults_of(b"\n \n".join([before, content, after]), size=10_000) == [(code, 3, param, message)]


@pytest.mark.parametrize(
    ("endpoint", "body", "param"),
    [
        ("/v1/completions", {"model": "m"}, "body.prompt"),
        ("/v1/embeddings", {"model": "m"}, "body.input"),
        ("/v1/moderations", {}, "body.input"),
        ("/v1/moderations", {"input": "a", "model": 3}, "body.model"),
        ("/v1/responses", {"input": "a"}, "body.model"),
        ("/v1/responses", {"model": "m", "background": True}, "body.background"),
        (TURN, {}, "body.messages"),
    ],
)
async def test_each_endpoint_says_what_its_bodies_lack(endpoint: str, body: dict[str, Any], param: str) -> None:
    [(code, _, named, _)] = await faults_of(line(url=endpoint.replace("{agent_id}", "a"), body=body), endpoint)
    assert (code, named) == ("invalid_request", param)


@pytest.mark.parametrize(
    "url", [TURN, "/v1/agents/a", "/v1/agents//turn", "/v1/agents/a/session/b/turn", "/v1/agents/a/turn?x"]
)
def test_a_turn_is_asked_of_an_agent(url: str) -> None:
    assert ENDPOINTS[TURN].matches(url) is (url == TURN)  # whose id is `{agent_id}`: there is none


async def test_all_faults_of_all_lines_are_told_with_their_lines() -> None:
    content = b"\n".join([b"", line("custom_id", url="/x"), b"no", line(), line(), line(body={})])
    assert [fault[:3] for fault in await faults_of(content)] == [
        ("missing_required_parameter", 2, "custom_id"),
        ("invalid_url", 2, "url"),
        ("invalid_json_line", 3, None),
        ("duplicate_custom_id", 5, "custom_id"),
        ("invalid_request", 6, "body.model"),
        ("invalid_request", 6, "body.messages"),
        ("duplicate_custom_id", 6, "custom_id"),
    ]


async def test_a_file_without_a_request_is_none() -> None:
    for content in (b"", b"\n \r\n"):
        message = "The input file has no request. Write one in each line."
        assert await faults_of(content) == [("empty_file", None, "input_file_id", message)]


async def test_faults_are_listed_up_to_a_number_and_a_size() -> None:
    assert len(await faults_of(b"no\n" * 5000, size=1000)) == MOST_FAULTS
    found = await faults_of(b"".join(line(url="\N{SNOWMAN}" * 90) + b"\n" for _ in range(2000)), size=10_000)
    assert len(json.dumps(found)) < MOST_BYTES + 1000


async def test_50_001_requests_are_too_many_for_one_batch() -> None:
    content = b"".join(line(custom_id=str(n)) + b"\n" for n in range(50_000))
    message = "The input file has more than 50000 requests, the most of one batch. Split it."
    assert await faults_of(content + line(), size=65_536) == [("too_many_requests", 50_001, None, message)]


async def test_shards_are_ranges_of_bytes_that_have_all_lines() -> None:
    lines = [line(custom_id=f"c{n}", body={"model": f"m{n // 300}", "messages": ["x" * (n % 7)]}) for n in range(500)]
    large = [line(custom_id=f"l{n}", body=BODY | {"messages": ["x" * 900_000]}) for n in range(6)]
    content = b"\n\n".join(lines + large)
    slices = (await read(content, size=65_536)).planner.slices
    assert [(part.rows, part.source["first"], part.source["model"]) for part in slices] == [
        (200, 0, "m0"),
        (200, 200, ""),
        (104, 400, ""),
        (2, 504, "m"),
    ]
    ranges = [content[part.source["start"] : part.source["stop"]] for part in slices]
    assert [text for part in ranges for text in part.split(b"\n\n")] == lines + large
    assert [part.source["ids"]["stop"] for part in slices[:-1]] == [part.source["ids"]["start"] for part in slices[1:]]


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(["POST", CHAT.path, "m"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*LINE, "model", "stream"]), inner),
    max_leaves=6,
)


@given(st.binary(max_size=40) | VALUES.map(lambda value: json.dumps(value).encode()), st.sampled_from(list(ENDPOINTS)))
def test_any_bytes_are_a_request_or_have_faults(content: bytes, endpoint: str) -> None:
    found = check_line(Line(7, 0, len(content), content), ENDPOINTS[endpoint])
    assert (found.custom_id and not found.faults) or {fault["line"] for fault in found.faults} == {7}


async def test_models_with_names_that_none_has_are_not_looked_up_and_not_remembered() -> None:
    lines = [{**LINE, "custom_id": str(at), "body": {**BODY, "model": "m" * 1025}} for at in range(3)]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    with pytest.raises(JobFailed) as failure:
        await read(content)
    assert [fault["code"] for fault in failure.value.result["errors"]] == ["model_not_found"] * 3
    turn: dict[str, Any] = {**LINE, "url": "/v1/agents/a/turn", "body": {"messages": [], "model": "m" * 1025}}
    reading = await read(json.dumps(turn).encode(), TURN)
    assert [part.source["model"] for part in reading.planner.slices] == [""]
