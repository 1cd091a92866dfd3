"""A refusal costs no more than a request, and says little: 6 MB of hostile JSON are refused as fast as they are read."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from time import process_time
from typing import Any

import httpx
import pytest

from core.errors import MOST_MESSAGE, ApiError, InvalidRequest, shorten
from tests.parts.live_stack import client_of, run_config
from tests.parts.upstream import FakeUpstream, running

SIZE = 3_000_000
MOST_ANSWER = 4096
MARGIN = 30  # a hostile body takes at most so many times what a valid one takes: 60 to 400 times, before it stopped
HUGE = "a" * SIZE
MEASURED: list[float] = []


def repeated(item: str, start: str, end: str) -> bytes:
    return (start + ",".join([item] * ((SIZE - len(start) - len(end)) // (len(item) + 1))) + end).encode()


def numbered(value: str, start: str, end: str, count: int = 100_000) -> bytes:
    return (start + ",".join(f'"k{n}":{value}' for n in range(count)) + end).encode()


CHAT = "/v1/chat/completions", '{"model":"local/m","messages":'
NATIVE = "/v1/inference/chat-completion", '{"model_id":"local/m","messages":'
TURN = '[{"role":"user","content":"x"}]'
TOOL = f'{NATIVE[1]}{TURN},"tools":'
OVERLAY = "/v1/configurations"
HOSTILE: dict[str, tuple[str, bytes]] = {
    "numbers for messages": (CHAT[0], repeated("1", f"{CHAT[1]}[", "]}")),
    "lists for messages": (CHAT[0], repeated("[]", f"{CHAT[1]}[", "]}")),
    "an object for messages": (CHAT[0], numbered("0", f"{CHAT[1]}{{", "}}")),
    "no field at all": (CHAT[0], numbered("0", "{", "}")),
    "a field again and again": (CHAT[0], repeated('"a":1', "{", "}")),
    "a long name": (CHAT[0], f'{{"model":"{HUGE}","messages":[{{}}]}}'.encode()),
    "a long number": (CHAT[0], f'{{"model":{"1" * SIZE},"messages":[{{}}]}}'.encode()),
    "brackets": (CHAT[0], f"{CHAT[1]}{'[' * 100_000}{']' * 100_000}}}".encode()),
    "no JSON": (CHAT[0], b'{"a":' + b"x" * SIZE),
    "wrong roles": (NATIVE[0], repeated('{"role":1}', f"{NATIVE[1]}[", "]}")),
    "a long role": (NATIVE[0], f'{NATIVE[1]}[{{"role":"{HUGE}","content":1}}]}}'.encode()),
    "empty tools": (NATIVE[0], repeated("{}", f"{TOOL}[", "]}")),
    "wrong parameters": (NATIVE[0], numbered("{}", f'{TOOL}[{{"tool_name":"t","parameters":{{', "}}]}")),
    "a tool that is none of many": (
        NATIVE[0],
        repeated('{"tool_name":"t"}', f"{TOOL}[", '],"tool_choice":"u"}'),
    ),
    "numbers for stops": (NATIVE[0], repeated("1", f'{NATIVE[1]}{TURN},"sampling_params":{{"stop":[', "]}}")),
    "empty conversations": (
        "/v1/inference/batch-chat-completion",
        repeated("[]", '{"model_id":"local/m","messages_batch":[', "]}"),
    ),
    "wrong contents": ("/v1/inference/embeddings", repeated("{}", '{"model_id":"local/e","contents":[', "]}")),
    "an object for input": ("/v1/embeddings", numbered("0", '{"model":"local/m","input":{', "}}")),
    "numbers for a shield": ("/v1/safety/run-shield", repeated("1", '{"shield_id":"s","messages":[', "]}")),
    "an object to moderate": ("/v1/moderations", numbered("0", '{"input":{', "}}")),
    "unknown fields of a model": ("/v1/models", numbered("{}", '{"model_id":"m",', "}")),
    "a long field of a model": ("/v1/models", f'{{"model_id":"m","{HUGE}":1}}'.encode()),
    "a long field of a target": (
        "/v1/models",
        f'{{"model_id":"m","metadata":{{"targets":[{{"{HUGE}":1}}]}}}}'.encode(),
    ),
    "unknown fields of a shield": ("/v1/shields", numbered("0", '{"shield_id":"s",', "}")),
    "empty entries": (OVERLAY, repeated("{}", '{"config":{"inference":[', "]}}")),
    "unknown fields of entries": (OVERLAY, repeated('{"provider_ix":1}', '{"config":{"inference":[', "]}}")),
    "unknown providers": (
        OVERLAY,
        ('{"config":{"inference":[' + ",".join(f'{{"provider_id":"p{n}"}}' for n in range(100_000)) + "]}}").encode(),
    ),
    "unknown settings": (OVERLAY, numbered("0", '{"config":{"inference":[{"provider_id":"local","config":{', "}}]}}")),
    "unknown sections": (OVERLAY, numbered("0", '{"config":{"providers":{},', "}}")),
    "a long version": (OVERLAY, f'{{"revert_to":"{"1" * SIZE}"}}'.encode()),
    "unknown settings of a new provider": (
        "/v1/providers",
        numbered("0", '{"api":"inference","provider_id":"x","provider_type":"remote::vllm","config":{', "}}", 20_000),
    ),
    "dots": (
        "/v1/providers",
        (
            '{"api":"inference","provider_id":"x","provider_type":"remote::vllm","config":{"' + "." * 250_000 + '":1}}'
        ).encode(),
    ),
}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running() as upstream:
        document = run_config(upstream.url, {"type": "sqlite", "db_path": str(tmp_path / "r.db")})
        document["providers"]["safety"] = [{"provider_id": "guard", "provider_type": "inline::llama-guard"}]
        async with client_of(document | {"apis": ["inference", "safety"]}) as client:
            yield client


@pytest.fixture
async def usual(client: httpx.AsyncClient) -> float:
    """Seconds of a valid body of this size."""
    if not MEASURED:
        body = repeated('{"role":"user","content":"hi"}', f"{CHAT[1]}[", "]}")
        MEASURED.append(min([await seconds(client, CHAT[0], body) for _ in range(2)]))
    return MEASURED[0]


async def seconds(client: httpx.AsyncClient, path: str, body: bytes) -> float:
    since = process_time()
    await client.post(path, content=body, headers={"content-type": "application/json"})
    return process_time() - since


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_body_is_refused_shortly_and_soon(client: httpx.AsyncClient, usual: float, name: str) -> None:
    path, body = HOSTILE[name]
    since = process_time()
    answer = await client.post(path, content=body, headers={"content-type": "application/json"})
    assert process_time() - since < MARGIN * usual
    assert 400 <= answer.status_code < 500
    assert len(answer.content) < MOST_ANSWER
    error = answer.json()["error"]
    assert error["message"]
    assert error["message"].count("; ") <= 10
    assert len(error["param"] or "") <= 256


async def test_a_body_in_many_pieces_is_put_together_once(client: httpx.AsyncClient, usual: float) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield CHAT[1].encode() + b'"'
        for _ in range(SIZE // 30):
            yield b"a" * 30
        yield b'"}'

    since = process_time()
    answer = await client.post(CHAT[0], content=pieces(), headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert process_time() - since < MARGIN * usual


async def test_queries_and_headers_are_refused_as_shortly(client: httpx.AsyncClient) -> None:
    pairs: Any = [("limit", "x" * 1000)] * 60
    answer = await client.get("/v1/models", params=pairs)
    assert answer.status_code == 400
    assert len(answer.content) < MOST_ANSWER
    data = json.dumps({"vllm_api_token": ["x" * 4000]})
    answer = await client.post(
        CHAT[0], json={"model": "local/m", "messages": []}, headers={"x-ogx-provider-data": data}
    )
    assert answer.status_code == 400
    assert len(answer.content) < MOST_ANSWER


async def test_every_fault_that_people_make_is_told_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/models", json={"provider_id": 7, "metadata": [], "one": 1, "two": 2})
    message = answer.json()["error"]["message"]
    assert "model_id: Field required" in message
    assert "provider_id: " in message
    assert "metadata: " in message
    answer = await client.post("/v1/models", json={"model_id": "m", "one": 1, "two": 2})
    assert (
        answer.json()["error"]["message"] == "one: Extra inputs are not permitted; two: Extra inputs are not permitted"
    )


async def test_the_functions_time_is_kept_through_a_long_body(tmp_path: Path) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 700  # half a second of it is for the answer

    upstream = FakeUpstream()
    async with running(upstream):
        document = run_config(upstream.url, {"type": "sqlite", "db_path": str(tmp_path / "r.db")})
        async with client_of(document) as client:
            await client.get("/v1/models")  # else the listing, which all wait for, would outlive the stack
            transport: Any = client._transport  # its app, to be put in a function
            app = transport.app

            async def function(scope: Any, receive: Any, send: Any) -> None:
                await app({**scope, "aws.context": Context()}, receive, send)

            transport.app = function
            body = numbered('{"a":["b",{"c":"d"}]}', f"{CHAT[1]}{TURN},", "}", 200_000)
            answer = await client.post(CHAT[0], content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {200, 504}, answer.text
    assert len(answer.content) < MOST_ANSWER


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("plain ünïcödé", "plain ünïcödé"),
        ("two\nlines", "two\nlines"),
        ("\x1b[31mred\r\x00", "\\x1b[31mred\\r\\x00"),
        ("\ud800", "\\ud800"),
        ("right\u202eleft", "right\\u202eleft"),
        ("x" * 101, "x" * 97 + "…"),
        ("\N{GRINNING FACE}" * 100, "\N{GRINNING FACE}" * 24 + "…"),
    ],
    ids=repr,
)
def test_what_is_told_is_short_and_printable(text: str, short: str) -> None:
    assert shorten(text, 100) == short
    assert len(shorten(text, 100).encode()) <= 100


def test_no_failure_tells_more_than_its_bound() -> None:
    failure: ApiError = InvalidRequest("\x00" * 10**6, param="\N{GRINNING FACE}" * 10**6)
    assert len(failure.message.encode()) <= MOST_MESSAGE
    assert len(json.dumps(failure.body())) < MOST_ANSWER
