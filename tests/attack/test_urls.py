"""Callers name a provider's place, not what it is trusted with: their URLs lead nowhere private, and nobody else's keys follow them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import json
from pathlib import Path
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from core.apis.configurations import Configuration
from core.config.distributions import find
from core.config.load import CallersPart, interpret, load
from core.config.urls import PLACE, origins_of
from core.config.user_fields import user_fields
from core.providers.http.remote import RemoteConfig
from core.resolution.callers_parts import problems_of
from core.resolution.check import check, config_class
from core.resolution.provider_types import ProviderSpec, built_in
from core.stores.configurations import sqlite as configurations_sqlite
from core.stores.configurations.port import Head
from tests.contract import external
from tests.contract.test_configurations_policy import by, stack
from tests.parts.live_stack import CHAT, client_of, client_over, entry, message, run_config
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, running, status

PROVIDERS, REGISTER = "/v1/providers", "/v1/configurations"
CLOSED = {"refresh_seconds": 0}
OPEN = CLOSED | {"allow_private_urls": True}
ALL = [
    {"permit": {"actions": ["create", "read", "delete"], "resource": f"{kind}::*"}}
    for kind in ("configuration", "provider", "model")
]
ROLE = "arn:aws:iam::123456789012:role/admin"


@pytest.fixture
def store(tmp_path: Path) -> dict[str, Any]:
    return {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}


@pytest.fixture
async def theirs() -> AsyncGenerator[FakeUpstream]:
    """Where an attacker listens."""
    async with running() as upstream:
        yield upstream


@asynccontextmanager
async def serving(
    store: dict[str, Any], configurations: dict[str, Any], **more: Any
) -> AsyncGenerator[tuple[httpx.AsyncClient, FakeUpstream]]:
    """A stack whose one provider, `local`, is the operator's."""
    async with running() as own:
        document = run_config(own.url, store, configurations=configurations, **more)
        async with client_of(document) as client:
            yield client, own


def vllm(url: str, **config: Any) -> dict[str, Any]:
    return body("remote::vllm", {"url": url, **config})


def body(provider_type: str, config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"api": "inference", "provider_id": "more", "provider_type": provider_type, "config": config, **more}


def lookups(monkeypatch: pytest.MonkeyPatch, **names: list[str]) -> None:
    """What the system says of `NAME.test`: an address each time, the last one for ever."""
    ask = socket.getaddrinfo

    def answer(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        known = names.get(str(host).removesuffix(".test"))
        if known is None:
            return ask(host, port, *args, **kwargs)
        return ask(known.pop(0) if len(known) > 1 else known[0], port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


# --- fields


@pytest.mark.parametrize(
    ("provider_type", "config", "field"),
    [
        ("remote::vllm", {"tls_verify": False}, "tls_verify"),
        ("remote::vllm", {"tls_verify": "/etc/passwd"}, "tls_verify"),
        ("remote::vllm", {"allow_private_urls": True}, "allow_private_urls"),
        ("remote::bedrock", {"endpoint_url": "URL"}, "endpoint_url"),
        ("remote::bedrock", {"endpoint_url": "URL", "endpoint": "openai"}, "endpoint_url"),
        ("remote::bedrock", {"role_arn": ROLE}, "role_arn"),
        ("remote::bedrock", {"role_arn": "no arn"}, "role_arn"),
        ("remote::bedrock", {"profile_name": "admin"}, "profile_name"),
        ("remote::bedrock", {"session_ttl": 43200}, "session_ttl"),
        ("remote::bedrock", {"fetch": {"allow_private_addresses": True}}, "fetch"),
        ("remote::bedrock", {"fetch": {"allowed_ports": [9001]}}, "fetch"),
        ("remote::bedrock", {"aws_access_key_id": "AKIA", "aws_secret_access_key": "x"}, "aws_secret_access_key"),
    ],
)
async def test_a_registered_provider_has_only_what_users_may_set(
    store: dict[str, Any],
    theirs: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
    provider_type: str,
    config: dict[str, Any],
    field: str,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", plant("ambient-secret-of-the-operator"))
    url = {} if provider_type == "remote::bedrock" else {"url": theirs.url}
    sent = {name: theirs.url if value == "URL" else value for name, value in (url | config).items()}
    async with serving(store, OPEN) as (client, _):
        for force in (False, True):
            answer = await client.post(PROVIDERS, json=body(provider_type, sent, force=force))
            assert answer.status_code == 400, answer.text
            assert f"more.config.{field}: " in message(answer)
            assert "may be set in the run config alone" in message(answer) or config.get("role_arn") == "no arn"
        assert (await client.get(REGISTER)).json()["data"] == []
    assert theirs.seen == []


@pytest.mark.parametrize("spec", built_in().values(), ids=lambda spec: f"{spec.api} {spec.provider_type}")
def test_no_field_without_the_mark_can_be_registered_of_any_built_in_type(spec: ProviderSpec) -> None:
    model = config_class(spec)
    unmarked = set(model.model_fields) - user_fields(model)
    loaded = interpret(run_config("http://gpu", {"type": "sqlite", "db_path": "x"}), {})
    part = CallersPart(dict.fromkeys(model.model_fields, "something else"), None)
    refused = {
        problem.path.removeprefix("p.config.")
        for problem in problems_of(loaded, part, model, "p.config")
        if "run config alone" in problem.message
    }
    assert refused == unmarked


async def test_of_a_package_whose_author_marks_no_field_none_can_be_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    external.put(tmp_path, external.ADAPTER + external.FACTORY)
    document = json.loads(
        external.run_config(tmp_path, {"configurations": OPEN}, inference=[external.entry(word="own")]).read_text()
    )
    async with client_of(document) as client:
        for config, code in ({"word": "theirs"}, 400), ({"api_key": "theirs"}, 400), ({}, 200):
            answer = await client.post(PROVIDERS, json=body("remote::parrot", config))
            assert answer.status_code == code, answer.text
            assert code == 200 or "may be set in the run config alone" in message(answer)


MARKED = """
from typing import Any
from pydantic import BaseModel, SecretStr, Field

def user(default): return Field(default=default, json_schema_extra={"user_field": True})

class Config(BaseModel):
    url: str = user("http://own.test")
    host: str = user("own.test")
    word: str = user("hi")
    api_key: SecretStr | None = None
"""


async def test_what_a_packages_author_marks_is_held_to_the_same_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    code = MARKED + external.ADAPTER.removeprefix(external.CONFIG) + external.FACTORY
    external.put(tmp_path, code)
    own = external.entry(api_key=plant("key-of-an-external-provider"), url="https://own.test", host="own.test")
    document = json.loads(external.run_config(tmp_path, {"configurations": CLOSED}, inference=[own]).read_text())
    async with client_of(document) as client:
        for config in (
            {"url": "http://169.254.169.254"},
            {"url": "http://127.0.0.1:9001"},
            {"url": "file:///etc/passwd"},
            {"url": "unix:///run/x.sock"},
            {"host": "169.254.169.254"},
            {"host": "127.0.0.1:9001"},
            {"word": "http://0xa9fea9fe/"},
        ):
            for path, sent in (
                (PROVIDERS, body("remote::parrot", config, force=True)),
                (REGISTER, entry(config, "x", force=True)),
            ):
                answer = await client.post(path, json=sent)
                assert answer.status_code == 400, (config, answer.text)
        for config, keys in ({"word": "ho"}, []), ({"host": "evil.test"}, ["api_key"]), ({"word": "hu"}, []):
            answer = await client.post(REGISTER, json=entry(config, "x", force=True))
            withheld = [f"providers.inference[0].config.{key}" for key in keys]
            assert (answer.status_code, answer.json()["withheld"]) == (200, withheld), answer.text


@pytest.mark.parametrize("spec", built_in().values(), ids=lambda spec: f"{spec.api} {spec.provider_type}")
def test_every_built_in_type_whose_place_users_may_set_guards_its_sockets(spec: ProviderSpec) -> None:
    model = config_class(spec)
    named = [
        name for name in user_fields(model) - {"endpoint"} if PLACE.fullmatch(name)
    ]  # Bedrock's is one of two words
    assert not named or issubclass(model, RemoteConfig)


async def test_a_stored_version_of_before_is_held_to_the_same(store: dict[str, Any], theirs: FakeUpstream) -> None:
    old = {"provider_type": "remote::vllm", "config": {"url": theirs.url, "tls_verify": False}, "registered": True}
    configurations = configurations_sqlite.connect(store["db_path"])
    assert await configurations.append(Configuration(1, {"inference": {"more": old}}), after=Head())
    await configurations.close()
    async with serving(store, OPEN) as (client, _):
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        assert (await client.post("/v1/chat/completions", json=CHAT | {"model": "more/m"})).status_code == 404
        reverted = await client.post(REGISTER, json={"revert_to": "1"})
        assert (reverted.status_code, "tls_verify" in message(reverted)) == (400, True)
    assert theirs.seen == []


async def test_a_region_stays_one_part_of_a_hosts_name(store: dict[str, Any]) -> None:
    async with serving(store, OPEN) as (client, _):
        for region in ("x.evil.com/#", "evil.com?", "a@evil.com", "a:80", "a\\b", "us-east-1\n", "a%2e", "[a]"):
            answer = await client.post(PROVIDERS, json=body("remote::bedrock", {"region_name": region}, force=True))
            assert (answer.status_code, "region_name: must match" in message(answer)) == (400, True), region


async def test_a_timeout_is_a_number_that_ends(store: dict[str, Any], theirs: FakeUpstream) -> None:
    async with serving(store, OPEN) as (client, _):
        for value in ("inf", "-1", "nan", "1e999"):
            answer = await client.post(PROVIDERS, json=vllm(theirs.url, timeout=value))
            assert answer.status_code == 400, answer.text


# --- places

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


async def test_the_default_place_of_a_type_is_no_way_to_this_machine(store: dict[str, Any]) -> None:
    async with serving(store, CLOSED) as (client, _):
        answer = await client.post(PROVIDERS, json=body("remote::ollama", {}, force=True))
        assert answer.status_code == 200, answer.text
        [shown] = [row for row in (await client.get(PROVIDERS)).json()["data"] if row["provider_id"] == "more"]
        assert "could not be reached" in shown["health"]["message"]


async def test_what_the_run_config_names_stays_where_it_is(store: dict[str, Any]) -> None:
    async with serving(store, CLOSED) as (client, own):
        same = await client.post(REGISTER, json=entry({"timeout": 7, "url": own.url}))
        assert same.status_code == 200, same.text
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


# --- keys


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_no_redirect_of_an_upstream_is_followed(store: dict[str, Any], theirs: FakeUpstream, code: int) -> None:
    async with serving(store, OPEN) as (client, own):
        own.replies["/v1/chat/completions"] = status(code, {}, {"location": f"{theirs.url}/v1/chat/completions"})
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 502
    assert theirs.seen == []


@pytest.mark.parametrize("field", ["url", "base_url"])
async def test_the_operators_key_goes_to_no_other_port_and_no_other_field(
    store: dict[str, Any], theirs: FakeUpstream, field: str
) -> None:
    async with serving(store, OPEN) as (client, _):
        changed = await client.post(REGISTER, json=entry({field: theirs.url, "url": None} | {field: theirs.url}))
        if changed.status_code == 200:
            await client.post("/v1/chat/completions", json=CHAT)
    assert all("operators-own" not in str(seen.headers) for seen in theirs.seen)


def test_another_scheme_of_the_same_host_is_another_place() -> None:
    secure, plain, other = (
        origins_of({"url": url}) for url in ("https://api.test/v1", "http://api.test/v1", "https://API.test:443/v2")
    )
    assert secure == other != plain


async def test_the_key_that_one_caller_brings_goes_to_no_host_that_another_named(
    tmp_path: Path, theirs: FakeUpstream
) -> None:
    data = {"x-llamastack-provider-data": json.dumps({"vllm_api_token": plant("key-that-ada-brings")})}
    async with vouching(tmp_path) as client:
        made = await client.post(PROVIDERS, json=vllm(theirs.url, api_token="mallorys"), headers=by("mallory"))
        assert made.status_code == 200, made.text
        for name, key in (("ada", "mallorys"), ("mallory", "key-that-ada-brings")):
            chat = await client.post("/v1/chat/completions", json=CHAT | {"model": "more/m"}, headers=by(name) | data)
            assert chat.status_code == 200, chat.text
            assert theirs.seen[-1].headers["authorization"] == f"Bearer {plant(key) if 'ada' in key else key}"


async def test_nor_to_a_place_that_another_gave_to_a_provider_of_the_run_config(
    tmp_path: Path, theirs: FakeUpstream
) -> None:
    data = {"x-llamastack-provider-data": json.dumps({"vllm_api_token": plant("key-that-ada-brings")})}
    async with vouching(tmp_path) as client:
        await client.post("/v1/chat/completions", json=CHAT, headers=by("ada") | data)
        for config in (
            {"url": theirs.url},
            {"timeout": 9},
        ):  # ada's own change of something else makes it no place of hers
            name = "mallory" if "url" in config else "ada"
            changed = await client.post(REGISTER, json=entry(config), headers=by(name))
            assert changed.status_code == 200, changed.text
            answer = await client.post("/v1/chat/completions", json=CHAT, headers=by("ada") | data)
            assert answer.status_code == 200
    assert len(theirs.seen) > 1
    assert all(plant("key-that-ada-brings") not in str(seen.headers) for seen in theirs.seen)


@asynccontextmanager
async def vouching(folder: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """A stack whose callers are who they say, and may all register."""
    async with stack(folder, ALL) as client:
        yield client
