"""`llambda serve` as a process: TLS, federation, clients that leave, and a clean end."""

import asyncio
from collections.abc import AsyncIterator
import json
import os
from pathlib import Path
import signal
import socket
import ssl
import subprocess
import sys
from typing import Any

import httpx
import pytest
import trustme

from infra.local.ports import free_port
from tests.parts.stack import ROOT, serving
from tests.parts.upstream import USAGE, FakeUpstream, Reply, chunk, hang, running, stream

CHAT = "/v1/chat/completions"


def write(folder: Path, upstreams: dict[str, str], **server: Any) -> Path:
    entries = [{"provider_id": n, "provider_type": "remote::vllm", "config": {"url": u}} for n, u in upstreams.items()]
    document = {
        "version": 2,
        "image_name": "t",
        "apis": ["inference"],
        "providers": {"inference": entries},
        "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
        "server": server,
    }
    (folder / "run.json").write_text(json.dumps(document))
    return folder / "run.json"


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        yield upstream


def body(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_cancels_the_call_upstream(
    tmp_path: Path, upstream: FakeUpstream, *, streamed: bool
) -> None:
    upstream.replies[CHAT] = stream([chunk("Hel")], hang=True)
    with serving(write(tmp_path, {"a": upstream.url}), tmp_path / "log") as url:
        async with httpx.AsyncClient(base_url=url) as client:
            await client.get("/v1/models")
            if streamed:
                async with client.stream("POST", CHAT, json=body("a/m", stream=True)) as answer:
                    assert await anext(answer.aiter_lines())
            else:
                with pytest.raises(httpx.ReadTimeout):
                    await client.post(CHAT, json=body("a/m"), timeout=0.5)
            await asyncio.wait_for(upstream.cancelled.wait(), 10)


async def test_mutual_tls_lets_in_only_who_has_a_certificate(tmp_path: Path, upstream: FakeUpstream) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    files = {
        f"tls_{name}file": str(tmp_path / f"{pem}.pem")
        for name, pem in (("cert", "cert"), ("key", "key"), ("ca", "ca"))
    }
    with serving(write(tmp_path, {"a": upstream.url}, **files), tmp_path / "log") as url:
        assert url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        async with httpx.AsyncClient(base_url=url, verify=trusting) as stranger:
            with pytest.raises(httpx.TransportError):
                await stranger.get("/v1/health")
        trusting.load_cert_chain(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
        async with httpx.AsyncClient(base_url=url, verify=trusting) as known:
            assert (await known.get("/v1/health")).json() == {"status": "OK"}


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "core.cli.main", *arguments]
    environment = os.environ | env
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_run_is_serve_with_the_habits_of_the_reference(tmp_path: Path) -> None:
    config = write(tmp_path, {"a": "http://127.0.0.1:9"})
    command = [sys.executable, "-m", "core.cli.main", "stack", "run", str(config), "--image-type", "conda"]
    environment = os.environ | {"LLAMA_STACK_PORT": str(free_port())}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert f":{environment['LLAMA_STACK_PORT']}/v1" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, notes = process.communicate(timeout=20)
    assert (process.returncode, notes) == (0, "note: --image-type has no effect here\n")


@pytest.mark.parametrize(
    ("variables", "lines", "warned"),
    [
        ({}, 0, False),
        ({"LLAMBDA_LOGGING": "all=info"}, 1, False),
        ({"LLAMA_STACK_LOGGING": "core.requests=info"}, 1, False),
        ({"LLAMBDA_LOGGING": "core.requests=error", "LLAMA_STACK_LOGGING": "all=info"}, 0, False),
        ({"LLAMBDA_LOGGING": "core.requests=info;loud"}, 1, True),
    ],
)
async def test_what_the_environment_says_of_logging_is_above_the_run_config(
    tmp_path: Path, upstream: FakeUpstream, variables: dict[str, str], lines: int, *, warned: bool
) -> None:
    config = write(tmp_path, {"a": upstream.url})
    document = json.loads(config.read_text()) | {"logging": {"category_levels": {"core.requests": "warning"}}}
    config.write_text(json.dumps(document))
    unset = {"LLAMBDA_LOGGING": "", "LLAMA_STACK_LOGGING": ""}
    with serving(config, tmp_path / "log", env=unset | variables) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            await client.get("/v1/models")
    log = (tmp_path / "log").read_text("utf-8")
    assert log.count("INFO core.requests: ") == lines
    assert ("warning: LLAMBDA_LOGGING: `loud` sets no level: write CATEGORY=LEVEL" in log) == warned


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    config = write(tmp_path, {"a": "http://127.0.0.1:9"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", str(config), "--port", str(port))
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "words"), [(None, "x.pem` is missing"), ("nonsense", "x.pem` has no certificate in PEM")]
)
def test_a_bad_tls_file_is_said_without_a_traceback(tmp_path: Path, content: str | None, words: str) -> None:
    pem = tmp_path / "x.pem"
    if content is not None:
        pem.write_text(content)
    config = write(tmp_path, {"a": "http://127.0.0.1:9"}, tls_certfile=str(pem), tls_keyfile=str(pem))
    done = run("serve", str(config), "--port", "0")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "has no get_adapter_impl"),
        ("async def get_adapter_impl(config, deps): return object()", "chat_completion: missing"),
    ],
)
def test_a_provider_that_breaks_its_protocol_is_said_without_a_traceback(tmp_path: Path, code: str, words: str) -> None:
    folder = tmp_path / "providers.d" / "remote" / "inference"
    folder.mkdir(parents=True)
    (tmp_path / "broken.py").write_text(f"from pydantic import BaseModel\nclass Config(BaseModel): pass\n{code}\n")
    spec = {"adapter": {"adapter_type": "bad", "module": "broken", "config_class": "broken.Config"}}
    (folder / "bad.yaml").write_text(json.dumps(spec))
    config = write(tmp_path, {})
    document = json.loads(config.read_text())
    document["external_providers_dir"] = str(tmp_path / "providers.d")
    document["providers"]["inference"] = [{"provider_id": "x", "provider_type": "remote::bad"}]
    config.write_text(json.dumps(document))
    done = run("serve", str(config), "--port", "0", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    config = write(tmp_path, {"a": "http://127.0.0.1:9"})
    command = [sys.executable, "-m", "core.cli.main", "serve", str(config), "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "listening" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    process.stdout.close()


async def test_an_open_stack_that_others_can_reach_is_warned_about(tmp_path: Path, upstream: FakeUpstream) -> None:
    config = write(tmp_path, {"a": upstream.url})
    config.write_text(json.dumps(json.loads(config.read_text("utf-8")) | {"configurations": {}}), "utf-8")
    for name, arguments, warned in (("here", [], False), ("everywhere", ["--host", "0.0.0.0"], True)):  # noqa: S104 - it is what is warned about
        with serving(config, tmp_path / name, *arguments) as url:
            async with httpx.AsyncClient(base_url=url) as client:
                answer = await client.post("/v1/configurations", json={"config": {}})
        assert ("without server.auth anybody may call it" in (tmp_path / name).read_text("utf-8")) == warned
        assert answer.status_code == (403 if warned else 200)


async def test_no_header_chooses_the_address_that_a_quota_counts_by(tmp_path: Path, upstream: FakeUpstream) -> None:
    quota = {"kvstore": {"type": "sqlite", "db_path": str(tmp_path / "quota.db")}, "anonymous_max_requests": 2}
    config = write(tmp_path, {"a": upstream.url}, quota=quota)
    with serving(config, tmp_path / "log") as url:
        async with httpx.AsyncClient(base_url=url) as client:
            codes = [
                (
                    await client.post(CHAT, json=body("a/m"), headers={"x-forwarded-for": f"203.0.113.{number}"})
                ).status_code
                for number in range(3)
            ]
    assert codes == [200, 200, 429]
    assert "anonymous_max_requests applies to all" in (tmp_path / "log").read_text("utf-8")


@pytest.mark.parametrize(
    ("reply", "more", "tokens"),
    [
        (hang, {}, 60),
        (stream([chunk("Hi")], hang=True), {"stream": True}, 60),
        (stream([{**chunk("Hi"), "usage": USAGE["usage"]}], hang=True), {"stream": True}, 3),
    ],
)
async def test_leaving_early_does_not_give_tokens_back(
    tmp_path: Path, upstream: FakeUpstream, reply: Reply, more: dict[str, Any], tokens: int
) -> None:
    quota = {"kvstore": {"type": "sqlite", "db_path": str(tmp_path / "quota.db")}, "max_tokens": 100}
    upstream.replies[CHAT] = reply
    with serving(write(tmp_path, {"a": upstream.url}, quota=quota), tmp_path / "log") as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            asking = asyncio.create_task(client.post(CHAT, json=body("a/m", max_tokens=60, **more)))
            assert not (await asyncio.wait([asking], timeout=1))[0]
            asking.cancel()
            await asyncio.wait_for(upstream.cancelled.wait(), 10)
            used = -1
            for _ in range(100):
                used = (await client.get("/v1/quota")).json()["tokens"]["used"]
                if used == tokens:
                    break
                await asyncio.sleep(0.05)
            assert used == tokens
