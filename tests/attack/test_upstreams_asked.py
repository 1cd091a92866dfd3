"""What goes out to an upstream goes out once, to the URL that the operator wrote."""

import asyncio
from contextlib import suppress
import gzip
import json
import time
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
import pytest

from core.apis.inference import EmbeddingsRequest
from core.auth.endpoint import Endpoint
from core.auth.http import MOST_BYTES, Http
from core.auth.jwks import keys_from_discovery, keys_from_url
from core.client.api import Client
from core.client.failures import ApiFailed
from core.client.http import MOST_BYTES as MOST_CLIENT_BYTES
from core.errors import ApiError, AuthUnavailable, UpstreamFailed, UpstreamTimeout
from core.frame.resources import Resource
from core.platform.urls import join_path, userinfo_of, wire_url
from core.providers.bedrock.inference import Bedrock
from core.providers.http.remote import Remote
from core.providers.http.upstream import UpstreamClient
from core.providers.nvidia.safety import Config as NvidiaConfig
from core.providers.nvidia.safety import NemoGuardrails
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import config_of
from core.providers.openai.rows import ROWS
from tests.contract.test_vllm import chat, connect
from tests.parts import bedrock
from tests.parts.bedrock import HELLO, TITAN, refusal, serving
from tests.parts.raw_upstream import OK, Answer, endless, json_answer, running_raw, written
from tests.parts.upstream import CHAT, FakeUpstream, hang, in_thread, in_turn, running, status


async def close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


LOST: dict[str, Answer] = {
    "closed unanswered": close,
    "cut in the status line": written(b"HTTP/1.1 2"),
    "cut in the headers": written(OK),
    "cut in the body": written(OK + b"content-length: 100\r\n\r\n{"),
    "no HTTP": written(b"SSH-2.0-OpenSSH\r\n\r\n"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", LOST)
async def test_a_post_is_not_repeated_after_a_lost_connection(name: str, *, stream: bool) -> None:
    async with running_raw(LOST[name]) as upstream:
        provider = connect(upstream.url)
        with pytest.raises(UpstreamFailed):
            await (provider.stream_chat_completion if stream else provider.chat_completion)(chat())
        await provider.close()
    assert len(upstream.asked) == 1


async def test_a_post_that_is_lost_on_a_kept_connection_is_not_repeated() -> None:
    async with running_raw(json_answer(json.dumps(CHAT).encode()), close, kept=True) as upstream:
        provider = connect(upstream.url)
        await provider.chat_completion(chat())
        with pytest.raises(UpstreamFailed):
            await provider.chat_completion(chat())
        await provider.close()
    assert (len(upstream.asked), upstream.connections) == (2, 1)


async def test_a_guard_is_asked_once() -> None:
    shield = Resource("shield", "s", "p", "m", {}, 0)
    async with running_raw(close) as upstream:
        guard = NemoGuardrails("g", NvidiaConfig(guardrails_service_url=upstream.url))
        with pytest.raises(UpstreamFailed):
            await guard.run_shield(shield, [{"role": "user", "content": "x"}], {})
        await guard.close()
    assert len(upstream.asked) == 1


async def test_nothing_goes_out_on_a_connection_that_was_closed_while_the_process_slept() -> None:
    """As a Lambda function is thawed: its event loop has not seen yet that the other side closed the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        asyncio.get_running_loop().call_later(0.05, request.transport.close)
        return web.json_response(CHAT)

    with in_thread(FakeUpstream(replies={"/v1/chat/completions": answer})) as upstream:
        provider = connect(upstream.url)
        for _ in range(4):
            assert await provider.chat_completion(chat()) == CHAT
            time.sleep(0.15)  # noqa: ASYNC251 - the process sleeps, its event loop too
        await provider.close()
    assert len(upstream.seen) == 4


async def ask(provider: Bedrock, operation: str) -> object:
    match operation:
        case "invoke":
            return await provider.embeddings(EmbeddingsRequest(model=TITAN, input="x"))
        case "converse":
            return await provider.chat_completion(bedrock.chat())
        case "converse-stream":
            return await provider.stream_chat_completion(bedrock.chat(stream=True))
        case _:
            return await provider.list_models()


@pytest.mark.parametrize("mode", ["standard", "legacy", "adaptive"])
@pytest.mark.parametrize("operation", ["converse", "converse-stream", "invoke"])
async def test_bedrock_is_not_asked_again_for_what_was_lost(mode: str, operation: str) -> None:
    async def lose(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(total_max_attempts=3, retry_mode=mode, read_timeout=30) as (fake, provider):
        fake.replies[operation] = lose
        with pytest.raises(ApiError):
            await ask(provider, operation)
        assert fake.operations().count(operation) == 1


async def test_bedrock_is_asked_once_where_it_is_slow_and_again_where_it_throttles() -> None:
    async with serving(total_max_attempts=3, read_timeout=0.5) as (fake, provider):
        fake.replies["converse"] = hang
        with pytest.raises(UpstreamTimeout):
            await provider.chat_completion(bedrock.chat())
        assert fake.operations() == ["converse"]
    async with serving(total_max_attempts=3) as (fake, provider):
        fake.replies["converse"] = in_turn(refusal(429, "ThrottlingException"), status(200, HELLO))
        await provider.chat_completion(bedrock.chat())
        assert fake.operations() == ["converse"] * 2


@pytest.mark.parametrize("operation", ["converse", "converse-stream", "invoke", "list-foundation-models"])
@pytest.mark.parametrize("code", [200, 400])
async def test_what_bedrock_sends_is_bounded(operation: str, code: int) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=code, headers={"content-type": "application/json"})
        await response.prepare(request)
        for _ in range(400):
            await response.write(b'{"a":"' + b"x" * 65536)
        return response

    limits = {"max_bytes": 1024 * 1024, "max_event_bytes": 65536}
    async with serving(limits=limits) as (fake, provider):
        if operation == "invoke":
            await provider.list_models()
        fake.replies[operation] = flood
        with pytest.raises(ApiError) as failed:
            await ask(provider, operation)
        assert failed.value.status == 502
        assert "too large" in failed.value.message or operation == "converse-stream"


async def test_frames_of_bedrock_without_an_end_are_refused() -> None:
    long = bedrock.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x" * 100_000}})
    many = [bedrock.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x"}})] * 10_000
    for frames in ([*bedrock.events(bedrock.EVENTS[:1]), long], many):
        async with serving(limits={"max_event_bytes": 65536, "max_stream_bytes": 1024 * 1024}) as (fake, provider):
            fake.replies["converse-stream"] = bedrock.frames(frames)
            with pytest.raises(UpstreamFailed, match="too large"):
                await bedrock.collected(provider)


WRONG: list[Any] = [
    {"output": 5},
    {"output": {"message": {"content": 5}}},
    {"output": {"message": {"content": [5]}}},
    {"output": {"message": {"content": [{"text": 5}]}}},
    {"usage": {"inputTokens": 10**400}, "output": {"message": {"content": [{"text": "x"}]}}},
    [],
    5,
    None,
]


@pytest.mark.parametrize(
    "body", [*(json.dumps(value).encode() for value in WRONG), b"[" * 100_000, b'{"a":' + b"1" * 9999 + b"}"]
)
async def test_a_wrong_answer_of_bedrock_is_its_failure(body: bytes) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    async with serving() as (fake, provider):
        fake.replies |= dict.fromkeys(("converse", "list-foundation-models"), answer)
        for operation in ("converse", "list-foundation-models"):
            with suppress(UpstreamFailed):
                await ask(provider, operation)


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.provider_type)
async def test_every_request_carries_the_query_of_the_operators_url(row: Any) -> None:
    sent: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        sent.append(request.raw_path)
        return web.json_response(CHAT)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        url = f"{server.make_url('/')!s}a%2Fb%41/?api-version=2024-06%2B01&x={{y}}#fragment"
        more = {row.only: "m"} if row.only else {}
        config = config_of(row.provider_type).model_validate({row.urls[0]: url, row.keys[0]: "key-of-ours", **more})
        provider = OpenAICompatible("p", config)
        await provider.chat_completion(chat())
        with suppress(ApiError):
            await provider.describe()
        with suppress(ApiError):
            await provider._version()
        await provider.close()
    query = "api-version=2024-06%2B01&x=%7By%7D"
    assert sent[0] == f"/a%2Fb%41{row.root}/chat/completions?{query}"
    assert len(sent) == 2 + bool(row.version)
    assert all(path.startswith("/a%2Fb%41/") and path.endswith(query) and path.count("?") == 1 for path in sent)


async def test_other_urls_of_an_operator_carry_their_query_too() -> None:
    async with running() as upstream:
        url = f"{upstream.url}/tenant%2F1?policy=b2c#x"
        guard = NemoGuardrails("g", NvidiaConfig(guardrails_service_url=url))
        await guard.health()
        await guard.close()
        http = Http()
        endpoint = Endpoint(http)
        for source in (keys_from_url(endpoint, url), keys_from_discovery(endpoint, url)):
            with pytest.raises(AuthUnavailable):
                await source()
        await http.close()
    paths = ["/tenant/1/v1/guardrail/configs", "/tenant/1", "/tenant/1/.well-known/openid-configuration"]
    assert [seen.path for seen in upstream.seen] == paths


@pytest.mark.parametrize(("key", "header"), [({}, "Basic YWRhOnAvdw=="), ({"api_token": "key"}, "Bearer key")])
async def test_a_name_and_password_are_sent_where_no_key_is(key: dict[str, str], header: str) -> None:
    async with running() as upstream:
        url = upstream.url.replace("://", "://ada:p%2Fw@")
        provider = OpenAICompatible("v", config_of("remote::vllm").model_validate({"url": url, **key}))
        await provider.chat_completion(chat())
        await provider.close()
    assert upstream.seen[0].headers["authorization"] == header


@pytest.mark.parametrize(
    "url", ["http://[", "http://host:99999", "http://a b", "http://\x00", "http://[::1", "http://-.."]
)
async def test_a_url_that_is_none_is_no_fault_of_ours(url: str) -> None:
    client = UpstreamClient(Remote("p", url))
    with pytest.raises(ApiError) as failed:
        await client.get("/models")
    assert failed.value.status in {502, 504}
    await client.close()


@pytest.mark.parametrize(
    ("url", "wire"),
    [
        ("https://ada:secret@host:8/a%2fb?x=%zz#f", "https://host:8/a%2fb?x=%zz"),
        ("HTTPS://Host/ä b\r\nx: y", "https://Host/%C3%A4%20bx:%20y"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
    ],
)
def test_a_url_goes_out_as_it_was_written_as_far_as_it_can(url: str, wire: str) -> None:
    assert wire_url(url) == wire


def test_paths_do_not_climb_above_a_host() -> None:
    assert join_path("http://host", "/../../version") == "http://host/version"
    assert userinfo_of("http://host") == ""


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_issuers_answer_is_bounded(*, compressed: bool) -> None:
    body = b'{"keys":[]}' + b" " * MOST_BYTES
    answer = (
        json_answer(gzip.compress(body), b"content-encoding: gzip")
        if compressed
        else endless(OK + b"\r\n", body, chunked=False)
    )
    async with running_raw(answer) as issuer:
        http = Http()
        with pytest.raises(AuthUnavailable):
            await keys_from_url(Endpoint(http), issuer.url)()
        await http.close()


async def test_a_client_reads_no_more_than_it_takes() -> None:
    flood = endless(OK + b"\r\n", b" " * 1_000_000, chunked=False)
    async with running_raw(flood) as server:
        with pytest.raises(ApiFailed, match=str(MOST_CLIENT_BYTES)):
            await asyncio.to_thread(Client(server.url).providers.list)
