"""URLs within a request are fetched by whoever serves it, from inside its network: they lead to no metadata, whatever they look like."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import json
from pathlib import Path
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from core.apis.inference import ChatRequest
from core.config.media_urls import find_refused_url
from core.config.urls import place_fault
from tests.contract import external
from tests.parts.live_stack import client_of, message, run_config
from tests.parts.upstream import FakeUpstream, running

URLS = [
    "http://169.254.169.254/latest/meta-data/",
    "HTTP://169.254.169.254",
    "http:169.254.169.254/",
    "http:/169.254.169.254/",
    "http:\\\\169.254.169.254\\",
    "//169.254.169.254/x",
    "https:////169.254.169.254/x",
    " \t\nhttp://169.254.169.254/",
    "ht\ntp://169.254.\t169.254/",
    "\ufeffhttp://169.254.169.254/",
    "http://user:word@169.254.169.254/",
    "http://models.test\\@169.254.169.254/",
    "http://169.254.169.254\\@models.test/",
    "http://models.test%40169.254.169.254/",
    "http://169.254.169.254%2f@models.test/",
    "http://169.254.169.254:80/",
    "http://169.254.169.254:443?x",
    "http://169.254.169.254#x",
    "http://169.254.169.254./",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://0251.0376.0251.0376/",
    "http://0xa9.254.0251.254/",
    "http://169.254.43518/",
    "http://①⑥⑨.254.169。254/",
    "http://169.254\u200b.169.254/",
    "http://%31%36%39.254.169.254/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]:80/",
    "http://[0:0:0:0:0:ffff:a9fe:a9fe]/",
    "http://[::a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1%25eth0]/",
    "http://169.254.170.2/v2/credentials/",
    "http://169.254.79.129:2000/",
    "http://100.100.100.200/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://Metadata.Google.Internal./",
    "http://169.254.169.254.nip.io/",
    "http://www.169-254-169-254.sslip.io/",
    "gopher://169.254.169.254:80/_GET",
    "rtmp://169.254.169.254/x",
    "file:///etc/passwd",
    "FILE:/etc/passwd",
    "file://localhost/proc/self/environ",
]
UNREADABLE = ["gopher://models.test/", "ftp://models.test/a", "unix:///run/x.sock", "jar:http://models.test!/"]
SHAPES: list[dict[str, Any]] = [
    {"type": "image_url", "image_url": {"url": "URL"}},
    {"type": "image_url", "image_url": {"url": "URL", "detail": "low"}},
    {"type": "image_url", "image_url": "URL"},
    {"type": "input_image", "image_url": "URL"},
    {"type": "video_url", "video_url": {"url": "URL"}},
    {"type": "audio_url", "audio_url": {"url": "URL"}},
    {"type": "file_url", "file_url": {"url": "URL"}},
    {"type": "input_file", "file_url": "URL"},
    {"type": "file", "file": {"file_data": "URL"}},
    {"type": "input_audio", "input_audio": {"data": "URL", "format": "wav"}},
    {"type": "image", "image": "URL"},
    {"type": "image", "image": {"url": {"uri": "URL"}}},
    {"type": "image", "source": {"type": "url", "url": "URL"}},
    {"type": "video", "video": ["https://models.test/1.png", "URL"]},
    {"type": "tool_result", "content": [{"type": "image_url", "image_url": {"url": "URL"}}]},
    {"type": "unheard_of", "whatever": {"deep": [{"er": "URL"}]}},
    {"image_url": {"url": "URL"}},
]
PRIVATE = [
    "http://127.0.0.1/a.png",
    "http://localhost:9000/",
    "http://redis:6379/",
    "http://a.b.internal./",
    "http://0x7f.1/",
    "http://10.0.0.1/",
    "http://[::1]/",
]
FINE = [
    "https://images.example.com/a.png?b=http://169.254.169.254/#c@d",
    "http://8.8.8.8/a.png",
    "https://user:word@images.example.com/a.png",
    "data:image/png;base64,aHR0cDovLzE2OS4yNTQuMTY5LjI1NC8=",
    "s3://metadata/a.png",
    "gs://bucket/a.png",
    "aGVsbG8=",
    "file-abc123",
    "/9j/4AAQSkZJRg==",
]


def with_url(shape: Any, url: str) -> Any:
    return json.loads(json.dumps(shape).replace('"URL"', json.dumps(url)))


def chat(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"model": "local/m", "messages": [{"role": role, "content": [{"type": "text", "text": "hi"}, *parts]}]}


def refused(body: dict[str, Any], reach: Any = "operator") -> bool:
    return find_refused_url(ChatRequest.model_validate(body), reach) is not None


@asynccontextmanager
async def serving(folder: Path, **more: Any) -> AsyncGenerator[tuple[httpx.AsyncClient, FakeUpstream]]:
    async with running() as upstream:
        store = {"type": "sqlite", "db_path": str(folder / "registry.db")}
        async with client_of(run_config(upstream.url, store, **more)) as client:
            yield client, upstream


async def test_no_url_to_metadata_reaches_an_upstream_whatever_the_run_config_allows(tmp_path: Path) -> None:
    async with serving(tmp_path) as (client, upstream):
        for stream in (False, True):
            for url in URLS:
                answer = await client.post(
                    "/v1/chat/completions", json=chat(with_url(SHAPES[0], url)) | {"stream": stream}
                )
                assert answer.status_code == 400, (url, answer.text)
                assert answer.json()["error"]["param"] == "messages[0].content[1].image_url.url"
                assert "169.254" not in message(answer)
        assert [seen.path for seen in upstream.seen if "chat" in seen.path] == []


async def test_wherever_it_stands(tmp_path: Path) -> None:
    async with serving(tmp_path) as (client, upstream):
        for shape in SHAPES:
            part = with_url(shape, URLS[0])
            for role in ("user", "tool"):
                answer = await client.post("/v1/chat/completions", json=chat(part, role=role))
                assert answer.status_code == 400, (shape, answer.text)
        for extra in ({"input": [part]}, {"input": "x", "messages": chat(part)["messages"]}):
            answer = await client.post("/v1/embeddings", json={"model": "local/m"} | extra)
            assert answer.status_code == 400
        assert not any("chat" in seen.path or "embeddings" in seen.path for seen in upstream.seen)


@pytest.mark.parametrize("url", [*URLS, *UNREADABLE])
def test_each_is_known_in_each_shape(url: str) -> None:
    shapes = SHAPES if url in URLS else SHAPES[:8]
    shapes = shapes[:8] if url.startswith("//") else shapes
    assert all(refused(chat(with_url(shape, url))) for shape in shapes)


@pytest.mark.parametrize("word", ["none", "off", "stack", "provider"])
async def test_private_ones_need_the_operators_word(tmp_path: Path, word: str) -> None:
    sections: dict[str, Any] = {"none": {}, "off": None, "stack": {"allow_private_urls": True}, "provider": None}
    async with running() as upstream:
        store = {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}
        document = run_config(upstream.url, store, configurations=sections[word])
        document["providers"]["inference"][0]["config"]["allow_private_urls"] = word == "provider"
        async with client_of(document) as client:
            for url in PRIVATE:
                answer = await client.post("/v1/chat/completions", json=chat(with_url(SHAPES[0], url)))
                assert answer.status_code == (200 if word in {"stack", "provider"} else 400), answer.text
                assert answer.is_success or "allow_private_urls" in message(answer)


async def test_an_external_provider_gets_no_url_to_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    external.put(tmp_path, external.ADAPTER + external.FACTORY)
    document = json.loads(external.run_config(tmp_path, inference=[external.entry()]).read_text())
    async with client_of(document) as client:
        body = chat(with_url(SHAPES[0], URLS[0])) | {"model": "x/p"}
        answer = await client.post("/v1/chat/completions", json=body)
        assert (answer.status_code, "may not be fetched" in message(answer)) == (400, True)


def test_what_is_public_or_no_url_passes() -> None:
    assert not any(refused(chat(with_url(shape, url)), "public") for shape in SHAPES for url in FINE)


def test_what_is_text_passes_whatever_it_says() -> None:
    url = URLS[0]
    call: dict[str, Any] = {
        "id": "1",
        "type": "function",
        "function": {"name": "get", "arguments": json.dumps({"url": url})},
    }
    bodies: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": url}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": url}, url]}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [call | {"url": url}]}]},
        {"messages": [{"role": "tool", "tool_call_id": "1", "content": url, "name": url}]},
        {"messages": chat()["messages"], "tools": [{"type": "mcp", "server_url": url}], "metadata": {"url": url}},
        {"messages": chat()["messages"], "input": [url], "documents": [{"title": url, "text": url}]},
    ]
    assert not any(refused({"model": "m"} | body, "public") for body in bodies)


def notations(ip: int) -> list[str]:
    """The ways in which an IPv4 address may stand in a URL."""
    a, b, c, d = ip.to_bytes(4)
    dotted = f"{a}.{b}.{c}.{d}"
    v6 = [f"[{prefix}{ip >> 16:x}:{ip & 0xFFFF:x}]" for prefix in ("::ffff:", "64:ff9b::", "::", "::ffff:0:")]
    return [
        dotted,
        f"{dotted}.",
        str(ip),
        hex(ip),
        f"0{ip:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"0x{a:x}.{b}.0{c:o}.{d}",
        f"{a}.{b}.{c << 8 | d}",
        f"{a}.{ip & 0xFFFFFF}",
        f"000{a:o}.{b}.{c}.{d}",
        dotted.translate(str.maketrans("0123456789.", "０１２３４５６７８９。")),  # noqa: RUF001 - full width
        "".join(f"%{ord(sign):02x}" for sign in dotted),
        f"[::ffff:{dotted}]",
        f"[2002:{ip >> 16:x}:{ip & 0xFFFF:x}::]",
        *v6,
    ]


LINK_LOCAL = st.integers(0xA9FE0000, 0xA9FEFFFF) | st.sampled_from([0x646464C8, 0xA83F8110, 0xC00000C0])
LOOPBACK = (
    st.integers(0x7F000000, 0x7FFFFFFF) | st.integers(0x0A000000, 0x0AFFFFFF) | st.integers(0xC0A80000, 0xC0A8FFFF)
)


@settings(max_examples=30)
@given(LINK_LOCAL, st.sampled_from(["", ":80", ":8080"]), st.sampled_from(["", "/", "/latest/x"]))
def test_no_notation_of_metadata_gets_through(ip: int, port: str, path: str) -> None:
    for host in notations(ip):
        assert refused(chat({"type": "image_url", "image_url": {"url": f"http://{host}{port}{path}"}})), host
        assert place_fault(f"http://{host}{port}{path}", "private"), host


@settings(max_examples=30)
@given(LOOPBACK)
def test_no_notation_of_a_private_address_is_public(ip: int) -> None:
    for host in notations(ip):
        assert refused(chat({"type": "image_url", "image_url": {"url": f"http://{host}/"}}), "public"), host
        assert place_fault(f"http://{host}", "public"), host


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https:", "//", "data:", "x:/"]))
def test_any_text_is_judged_without_an_error(text: str, start: str) -> None:
    body = chat({"type": "image_url", "image_url": {"url": start + text}})
    for reach in ("operator", "private", "public"):
        refused(body, reach)
    place_fault(start + text, "public")


@pytest.mark.parametrize("start", ["//uQxAAA", "/9j/4AAQ", "UklGRg//"])
def test_base64_is_no_url_whatever_it_begins_with(start: str) -> None:
    assert not any(refused(chat(with_url(shape, f"{start}{'QUJD' * 5000}")), "public") for shape in SHAPES[8:11])


def test_the_head_of_a_large_image_is_enough() -> None:
    assert not refused(chat(with_url(SHAPES[9], "QUJD" * 1_000_000)), "public")
    assert refused(chat(with_url(SHAPES[0], f"http://{'a' * 9000}.test/")))
    assert refused(chat(with_url(SHAPES[0], "\t" * 9000 + URLS[0])))
