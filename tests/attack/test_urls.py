"""Callers name a provider's place, not what it is trusted with: their URLs lead nowhere private, and nobody else's keys follow them."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.config.distributions import find
from core.config.load import CallersPart, interpret, load
from core.resolution.callers_parts import reach_of
from core.resolution.check import check
from tests.attack.registering import (
    CLOSED,
    OPEN,
    PROVIDERS,
    REGISTER,
    body,
    lookups,
    serving,
)
from tests.parts.live_stack import CHAT, client_of, client_over, entry, message, run_config
from tests.parts.upstream import FakeUpstream, running

HOSTILE = [
    "http://169.254.169.254",
    "http://169.254.169.254/latest/",
    "http://2852039166",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376",
    "http://169.254.43518",
    "http://0xA9.0376.43518",
    "http://169.254.169.254.",
    "http://169.254.170.2",
    "http://169.254.170.23",
    "http://169.254.79.129:2000",
    "http://[::ffff:169.254.169.254]",
    "http://[::ffff:a9fe:a9fe]",
    "http://[64:ff9b::a9fe:a9fe]",
    "http://[64:ff9b:1::a9fe:a9fe]",
    "http://[2002:a9fe:a9fe::1]",
    "http://[::a9fe:a9fe]",
    "http://[fd00:ec2::254]",
    "http://[fd20:ce::254]",
    "http://[fe80::1]",
    "http://100.100.100.200",
    "http://168.63.129.16",
    "http://192.0.0.192",
    "http://metadata.google.internal",
    "http://METADATA.google.internal.",
    "http://169.254.169.254.nip.io",
    "http://a9fea9fe.nip.io",
]
ODD = [
    "http://user:word@models.example.com",
    "http://models.example.com?x=1",
    "http://models.example.com#x",
    "http://models.example.com\\@169.254.169.254",
    "http://models.example.com:99999",
    "http://models.example.com:x",
    "http://modеls.example.com",  # noqa: RUF001 - it has a Cyrillic letter
    "http://①⑥⑨.254.169.254",
    "http://%31%36%39.254.169.254",
    "http://models.example.com/\n@x",
    "file:///etc/passwd",
    "unix:///var/run/docker.sock",
    "HTTP://169.254.169.254",
]
PRIVATE = [
    "http://127.0.0.1:8000",
    "http://127.1",
    "http://2130706433",
    "http://localhost:8000",
    "http://a.localhost",
    "http://vllm:8000",
    "http://vllm.models.svc.cluster.local",
    "http://api.internal",
    "http://x.10.0.0.1.nip.io",
    "http://[::1]:8000",
    "http://[::ffff:127.0.0.1]",
    "http://10.0.0.1",
    "http://010.0.0.1",
    "http://172.16.0.1",
    "http://192.168.1.1",
    "http://100.64.0.1",
    "http://[fd12::1]",
]


async def test_no_caller_names_metadata_or_what_is_read_in_two_ways(store: dict[str, Any]) -> None:
    async with serving(store, OPEN) as (client, own):
        for url in [*HOSTILE, *ODD]:
            for path, sent in (
                (PROVIDERS, body("remote::vllm", {"url": url}, force=True)),
                (PROVIDERS, body("remote::vllm", {"base_url": url}, force=True)),
                (REGISTER, entry({"url": url}, force=True)),
            ):
                answer = await client.post(path, json=sent)
                assert answer.status_code == 400, (url, answer.text)
                assert "url: " in message(answer)
        assert own.seen == []


async def test_a_private_place_needs_the_operators_word(store: dict[str, Any]) -> None:
    async with serving(store, CLOSED) as (client, _):
        for url in PRIVATE:
            for path, sent in (
                (PROVIDERS, body("remote::vllm", {"url": url}, force=True)),
                (REGISTER, entry({"url": url}, force=True)),
            ):
                answer = await client.post(path, json=sent)
                assert answer.status_code == 400, (url, answer.text)
                assert "configurations.allow_private_urls" in message(answer)
    async with serving(store, OPEN) as (client, _):
        for number, url in enumerate(PRIVATE):
            sent = body("remote::vllm", {"url": url}, force=True, provider_id=f"p{number}")
            answer = await client.post(PROVIDERS, json=sent)
            assert answer.status_code == 200, (url, answer.text)


async def test_the_seeds_own_example_works_on_a_laptop(tmp_path: Path, theirs: FakeUpstream) -> None:
    port = urlsplit(theirs.url).port
    seeds = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": f"http://localhost:{port}"}}
    async with running() as own:
        loaded = load(find("starter"), {"SQLITE_STORE_DIR": str(tmp_path), "VLLM_URL": own.url})
        async with client_over(loaded) as client:
            answer = await client.post(f"{REGISTER}/register", json={"config": json.dumps({"inference": [seeds]})})
            assert answer.status_code == 200, answer.text
            assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
    assert theirs.seen[-1].path == "/v1/chat/completions"


@pytest.mark.parametrize("url", HOSTILE)
def test_nor_does_a_run_config(store: dict[str, Any], url: str) -> None:
    [problem] = check(interpret(run_config(url, store), {}))
    assert "no provider may have" in problem.message


def test_who_registers_gives_a_type_no_reach_of_the_operators(store: dict[str, Any]) -> None:
    for section, reach in (CLOSED, "public"), (OPEN, "private"), (None, "public"):
        loaded = interpret(run_config("http://gpu", store, configurations=section), {})
        assert reach_of(loaded, CallersPart({}, None)) == reach
        assert reach_of(loaded, CallersPart({"url": "https://e.test"}, {"url": "https://own.test"})) == reach
        assert reach_of(loaded, CallersPart({"timeout": 7}, {"url": "http://gpu"})) == "operator"


async def test_the_default_place_of_a_type_is_no_way_to_this_machine(store: dict[str, Any]) -> None:
    async with serving(store, CLOSED) as (client, _):
        answer = await client.post(PROVIDERS, json=body("remote::ollama", {}, force=True))
        assert answer.status_code == 200, answer.text
        [shown] = [row for row in (await client.get(PROVIDERS)).json()["data"] if row["provider_id"] == "more"]
        assert "could not be reached" in shown["health"]["message"]


async def test_what_the_run_config_names_stays_where_it_is(store: dict[str, Any]) -> None:
    async with serving(store, CLOSED) as (client, own):
        for config in {"timeout": 7, "url": own.url}, {"url": f"{own.url}/v1"}:
            same = await client.post(REGISTER, json=entry(config))
            assert (same.status_code, same.json()["withheld"]) == (200, []), same.text
            assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
            assert own.seen[-1].headers["authorization"] == "Bearer operators-own"


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "::ffff:127.0.0.1"])
async def test_a_name_is_resolved_when_it_is_registered(
    store: dict[str, Any], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    lookups(monkeypatch, inside=[address])
    async with serving(store, CLOSED) as (client, _):
        answer = await client.post(PROVIDERS, json=body("remote::vllm", {"url": "http://inside.test"}, force=True))
        assert (answer.status_code, "more.config.url" in message(answer)) == (400, True)


async def test_a_name_that_changes_its_mind_gains_nothing(
    store: dict[str, Any], theirs: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = urlsplit(theirs.url).port
    lookups(monkeypatch, fickle=["8.8.8.8", "127.0.0.1"])
    async with serving(store, CLOSED) as (client, _):
        answer = await client.post(
            PROVIDERS, json=body("remote::vllm", {"url": f"http://fickle.test:{port}"}, force=True)
        )
        assert answer.status_code == 200, answer.text
        await client.post("/v1/models", json={"model_id": "x", "provider_id": "more", "provider_model_id": "m"})
        for model in ("x", "more/m"):
            assert (await client.post("/v1/chat/completions", json=CHAT | {"model": model})).is_error
        lookups(monkeypatch, moved=["8.8.8.8", "127.0.0.1"])
        answer = await client.post(REGISTER, json=entry({"url": f"http://moved.test:{port}"}, force=True))
        assert answer.status_code == 200, answer.text
        assert (await client.post("/v1/chat/completions", json=CHAT)).is_error
        for path in (PROVIDERS, "/v1/inspect/environment", "/v1/models"):
            await client.get(path)
    assert theirs.seen == []


async def test_a_name_of_the_run_config_leads_to_no_metadata_either(
    store: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lookups(monkeypatch, gpu=["169.254.169.254"])
    async with client_of(run_config("http://gpu.test", store)) as client:
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code in {502, 503}
    assert "169.254.169.254 is not an address to fetch from" in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]", "127.9.9.9", "localhost"])
@pytest.mark.parametrize("variable", ["AWS_LAMBDA_RUNTIME_API", "AWS_CONTAINER_CREDENTIALS_FULL_URI"])
async def test_nobody_connects_to_the_runtime_of_the_function(
    store: dict[str, Any], theirs: FakeUpstream, monkeypatch: pytest.MonkeyPatch, host: str, variable: str
) -> None:
    port = urlsplit(theirs.url).port
    prefix = "http://" if variable.endswith("URI") else ""
    url = f"http://{host}:{port}"
    async with serving(store, OPEN) as (client, _):
        monkeypatch.setenv(variable, f"{prefix}127.0.0.1:{port}/2018-06-01")
        answer = await client.post(PROVIDERS, json=body("remote::vllm", {"url": url}, force=True))
        assert answer.status_code == 400, answer.text
    document = run_config(f"http://runtime.test:{port}", store | {"db_path": f"{store['db_path']}2"})
    lookups(monkeypatch, runtime=["127.0.0.1"])
    async with client_of(document) as client:
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code in {502, 503}
    assert theirs.seen == []
