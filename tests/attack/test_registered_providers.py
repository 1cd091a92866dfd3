"""A provider that a caller registers has what users may set, and nobody else's keys follow it."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.apis.configurations import Configuration
from core.config.load import CallersPart, interpret
from core.config.urls import PLACE, origins_of
from core.config.user_fields import user_fields
from core.frame.callers import ANONYMOUS, ActingFor, Call, Principal
from core.providers.http.remote import RemoteConfig
from core.resolution.callers_parts import keep_keys_from, problems_of
from core.resolution.check import config_class
from core.resolution.provider_types import ProviderSpec, built_in
from core.routing.policy import owner_of
from core.stores.configurations import sqlite as configurations_sqlite
from core.stores.configurations.port import Head
from tests.attack.registering import (
    CLOSED,
    OPEN,
    PROVIDERS,
    REGISTER,
    ROLE,
    body,
    serving,
    vllm,
    vouching,
)
from tests.contract import external
from tests.contract.test_configurations_policy import by
from tests.parts.audit import CHANGE
from tests.parts.live_stack import CHAT, client_of, entry, message, run_config
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, running, status


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
    assert await configurations.append(Configuration(1, {"inference": {"more": old}}), change=CHANGE, after=Head())
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
            assert (answer.status_code, "region_name: must be a region" in message(answer)) == (400, True), region


async def test_a_timeout_is_a_number_that_ends(store: dict[str, Any], theirs: FakeUpstream) -> None:
    async with serving(store, OPEN) as (client, _):
        for value in ("inf", "-1", "nan", "1e999"):
            answer = await client.post(PROVIDERS, json=vllm(theirs.url, timeout=value))
            assert answer.status_code == 400, answer.text


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


async def test_a_provider_of_the_run_config_gets_callers_keys_whoever_tunes_it(tmp_path: Path) -> None:
    data = {"x-llamastack-provider-data": json.dumps({"vllm_api_token": plant("key-that-ada-brings")})}
    async with running() as own:
        document = run_config(own.url, {"type": "sqlite", "db_path": str(tmp_path / "registry.db")})
        async with client_of(document) as client:
            assert (await client.post(REGISTER, json=entry({"timeout": 9}))).status_code == 200
            assert (await client.post("/v1/chat/completions", json=CHAT, headers=data)).status_code == 200
            assert own.seen[-1].headers["authorization"] == f"Bearer {plant('key-that-ada-brings')}"


class Keyed:
    """A provider that says what data it was given."""

    def __init__(self, data: object = None) -> None:
        self.data = data

    def with_provider_data(self, data: object) -> "Keyed":
        return Keyed(data)


@pytest.mark.parametrize(
    ("caller", "given"),
    [
        (Principal("ada", {"roles": ("dev",)}, "issuer"), True),
        (Principal("ada", {"roles": ("admin",)}, "issuer"), True),
        (Principal("bob", {"roles": ("dev",)}, "issuer"), False),
        (Principal("ada", {"roles": ("dev",)}, "another"), False),
        (Principal("ada", {"roles": ("dev",)}), False),
        (ANONYMOUS, False),
        (None, False),
    ],
)
def test_an_owner_is_known_by_id_and_issuer(caller: Principal | None, given: bool) -> None:  # noqa: FBT001 - a parameter
    owner = owner_of(Principal("ada", {"roles": ("dev",)}, "issuer"))
    part = CallersPart({"url": "https://e.test"}, None, owner)
    provider: Any = keep_keys_from(Keyed(), part, external=False)
    with ActingFor(None if caller is None else Call(caller)):
        assert (provider.with_provider_data({"k": 1}).data is not None) == given


def test_of_an_external_provider_any_value_of_a_callers_may_be_its_place() -> None:
    provider = Keyed()
    for values, external_one, kept in ({"word": "x"}, True, True), ({"word": "x"}, False, False), ({}, True, False):
        part = CallersPart(values, None)
        assert (keep_keys_from(provider, part, external=external_one) is not provider) == kept
    assert keep_keys_from(provider, None, external=True) is provider
