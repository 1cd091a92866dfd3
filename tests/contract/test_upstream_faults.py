"""A wrong upstream over real sockets: the operator is told what is wrong, callers that their request is not, and nobody an address."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
import re
import socket
import ssl
from typing import Any

import pytest
import trustme

from core.errors import UpstreamFailed
from core.providers.http.remote import Remote
from core.providers.http.upstream import UpstreamClient
from tests.parts.live_stack import client_of, run_config
from tests.parts.upstream import FakeUpstream, Reply, hang, raw, running, status

type Place = Callable[[], AbstractAsyncContextManager[str]]

NGINX = b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"
PAGE = b"<!doctype html><title>Log in</title>"


def page(code: int, body: bytes = PAGE) -> Reply:
    async def reply(request: Any) -> Any:
        answer = await raw(body, "text/html")(request)
        answer.set_status(code)
        return answer

    return reply


def answering(reply: Reply) -> Place:
    """A web server that answers everything so."""

    @asynccontextmanager
    async def place() -> AsyncGenerator[str]:
        async with running(FakeUpstream()) as upstream:
            upstream.replies = dict.fromkeys(("/v1/models", "/v1/chat/completions"), reply)
            yield upstream.url

    return place


def listening(first: bytes = b"", *, tls: bool = False, scheme: str = "http", lasting: float = 0) -> Place:
    """A server that writes `first`, waits and closes."""

    @asynccontextmanager
    async def place() -> AsyncGenerator[str]:
        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(first)
            await asyncio.sleep(lasting)
            writer.close()

        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
            yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    return place


@asynccontextmanager
async def nobody() -> AsyncGenerator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def nameless() -> AsyncGenerator[str]:
    yield "http://no-such-host.invalid:8000"


PLACES: dict[str, tuple[Place, str]] = {
    "refused": (nobody, "Nothing listens at its address (connection refused)"),
    "no name": (nameless, "The name of its host does not resolve"),
    "TLS to a plain port": (listening(b"HTTP/1.1 400 Bad Request\r\n\r\n", scheme="https"), "It does not speak TLS"),
    "plain to a TLS port": (listening(tls=True), "If it speaks TLS, its url should begin with https://"),
    "plain to nginx's TLS port": (answering(page(400, NGINX)), "It wants TLS: its url should begin with https://"),
    "plain to Go's TLS port": (
        answering(status(400, "Client sent an HTTP request to an HTTPS server.")),
        "It wants TLS: its url should begin with https://",
    ),
    "a certificate of nobody's": (listening(tls=True, scheme="https"), "Its certificate was refused: its authority is"),
    "another protocol": (listening(b"SSH-2.0-OpenSSH_9.9\r\n", lasting=0.1), "It does not speak HTTP"),
    "silence": (answering(hang), "It sent nothing for too long"),
    "a web page": (answering(page(200)), "It answers with a web page (HTTP 200)"),
    "a web page that is not there": (answering(page(404)), "It answers with a web page (HTTP 404)"),
    "no such path": (answering(status(404, {"detail": "Not Found"})), "(HTTP 404): check the path of its url"),
    "no such method": (answering(status(405, {"detail": "Method Not Allowed"})), "(HTTP 405): check the path"),
    "a redirect": (answering(status(301, {}, {"location": "https://h.test/v1"})), "It redirects (HTTP 301)"),
    "a wrong key": (answering(status(401, {"error": "Unauthorized"})), "It refused the stack's key (HTTP 401)"),
    "a wrong key at Google's": (
        answering(status(400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}})),
        "It refused the stack's key (HTTP 400)",
    ),
    "a wrong key after a 200": (
        answering(status(200, {"error": {"code": 401, "message": "No auth credentials found"}})),
        "It refused the stack's key (HTTP 401)",
    ),
    "a key without rights": (answering(status(403, {"error": "no"})), "It refused the stack's key (HTTP 403)"),
}


@pytest.fixture(params=PLACES.values(), ids=list(PLACES))
async def wrong(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, str]]:
    """The URL of a place, and what is wrong with it."""
    place, fault = request.param
    async with place() as url:
        yield url, fault


async def test_the_operator_is_told_what_is_wrong_and_callers_are_not(
    wrong: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, fault = wrong
    document = run_config(url, {"type": "sqlite", "db_path": str(tmp_path / "registry.db")})
    document["providers"]["inference"][0]["config"]["timeout"] = 0.3
    document["models"] = [{"model_id": "m", "provider_id": "local", "provider_model_id": "m", "model_type": "llm"}]
    del document["configurations"]
    async with client_of(document) as client:
        answers = [
            await client.post(
                "/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}
            )
            for more in ({}, {"stream": True})
        ]
        logged = caplog.text
        for _ in range(5):  # a name is looked up in a thread, for which a busy machine takes its time
            health = (await client.get("/v1/providers/local")).json()["health"]
            if "timed out" not in health["message"]:
                break
    assert fault in logged
    assert health["status"] == "Error"
    assert fault in health["message"]
    for answer in answers:
        assert answer.status_code in {502, 504}
        assert fault not in answer.text
    told = health["message"] + "".join(line for line in logged.splitlines() if fault in line)
    assert not re.search(r"127\.0\.0\.1|no-such-host|h\.test|operators-own|:[0-9]{4,5}", told)


async def test_who_named_the_place_is_not_told_what_is_there(caplog: pytest.LogCaptureFixture) -> None:
    async with nobody() as url:
        client = UpstreamClient(Remote("p", url, reach="private"))
        with pytest.raises(UpstreamFailed) as failure:
            await client.get("/models")
        await client.close()
    assert not failure.value.fault
    assert "connection refused" in caplog.text


@pytest.mark.parametrize("code", [400, 413, 422, 500, 503])
async def test_what_is_wrong_with_a_request_or_a_server_is_no_fault_of_the_config(code: int) -> None:
    async with running() as upstream:
        upstream.replies["/v1/models"] = page(code) if code > 499 else status(code, {"error": {"message": "no"}})
        client = UpstreamClient(Remote("p", f"{upstream.url}/v1"))
        with pytest.raises(Exception, match=r".") as failure:
            await client.get("/models")
        await client.close()
    assert not getattr(failure.value, "fault", None)


ODD_URLS = [
    "http://h\x00st/v1",
    f"http://{'a' * 300}/v1",
    "http://xn--z\ud800/",
    "http://[::1/v1",
    "http://h:99999/v1",
    "ftp://h/",
]
ODD_URLS += [
    "//h",
    "",
    "http://u:p\ud800@h/",
    "http://a..b/v1",
    "http://h:0/v1",
    "http://%zz/",
    "http://256.256.256.256/v1",
]


@pytest.mark.parametrize("url", ODD_URLS)
async def test_no_url_is_more_than_its_providers_failure(url: str) -> None:
    client = UpstreamClient(Remote("p", url, connect_timeout=1))
    with pytest.raises(UpstreamFailed, match="Provider `p` "):
        await client.get("/models")
    await client.close()


@pytest.mark.parametrize(
    "content", [None, b"", b"no PEM", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"]
)
async def test_a_ca_file_that_breaks_is_told_to_the_operator_alone(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    for verify in (str(path), str(tmp_path), "nul\0l"):
        client = UpstreamClient(Remote("p", "https://127.0.0.1:1/v1", tls_verify=verify))
        with pytest.raises(UpstreamFailed) as raised:
            await client.get("/models")
        assert verify not in raised.value.message
        assert f"The CA file `{verify}` of its tls_verify cannot be used: " in raised.value.fault
