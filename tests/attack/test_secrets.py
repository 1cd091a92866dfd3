"""Secrets by reference: the operator's are read where they are kept, replaced without a start, and read for nobody else."""

import asyncio
from collections.abc import AsyncIterator, Callable
import json
import logging
from pathlib import Path
from typing import Any
import uuid

from aiohttp import web
import pytest

from core.config.load import interpret
from core.config.problems import ConfigInvalid
from core.platform import secrets as by_reference
from core.resolution.check import check
from core.resolution.resolve import resolve
from tests.contract.external import ADAPTER, FACTORY, entry, loaded, put
from tests.parts.issuer import AUDIENCE, Issuer
from tests.parts.live_stack import CHAT, client_of, message, run_config
from tests.parts.moto import aws_client
from tests.parts.secrets import plant
from tests.parts.upstream import CHUNKS, FakeUpstream, Reply, running, status, stream

FIRST, SECOND = plant("first-token-of-the-upstream"), plant("second-token-of-the-upstream")
CHAT_PATH = "/v1/chat/completions"


class Vault:
    """What AWS has, at moto; every secret has a name that no other test has."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def create(self, text: str) -> str:
        with aws_client("secretsmanager", self.endpoint) as client:
            arn: str = client.create_secret(Name=f"t/{uuid.uuid4().hex}", SecretString=text)["ARN"]
        return arn

    def replace(self, arn: str, text: str) -> None:
        with aws_client("secretsmanager", self.endpoint) as client:
            client.put_secret_value(SecretId=arn, SecretString=text)

    def parameter(self, text: str) -> str:
        name = f"/t/{uuid.uuid4().hex}"
        with aws_client("ssm", self.endpoint) as client:
            client.put_parameter(Name=name, Value=text, Type="SecureString")
        return name


@pytest.fixture
def vault(request: pytest.FixtureRequest, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Vault:
    request.getfixturevalue("aws_credentials")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_endpoint)
    return Vault(moto_endpoint)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        yield upstream


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused value is fetched again even if it was fetched just now."""
    monkeypatch.setattr(by_reference, "RENEWAL_SECONDS", 0.0)


def taking(token: Callable[[], str], reply: Reply) -> Reply:
    """401 for every other token."""

    async def answer(request: web.Request) -> web.StreamResponse:
        known = request.headers["authorization"] == f"Bearer {token()}"
        return await (reply if known else status(401))(request)

    return answer


def config_of(upstream: FakeUpstream, folder: Path, token: str, **more: Any) -> dict[str, Any]:
    document = run_config(upstream.url, {"type": "sqlite", "db_path": str(folder / "registry.db")}, **more)
    document["providers"]["inference"][0]["config"]["api_token"] = token
    return document


def bearers(upstream: FakeUpstream) -> list[str]:
    return [seen.headers.get("authorization", "") for seen in upstream.seen if seen.path == CHAT_PATH]


async def test_a_token_by_reference_reaches_the_upstream_and_is_fetched_once(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path
) -> None:
    arn = vault.create(json.dumps({"token": FIRST}))
    async with client_of(config_of(upstream, tmp_path, f"aws-secretsmanager:{arn}#token")) as client:
        answers = await asyncio.gather(*(client.post(CHAT_PATH, json=CHAT) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}
        vault.replace(arn, json.dumps({"token": SECOND}))
        assert (await client.post(CHAT_PATH, json=CHAT)).status_code == 200
        shown = (await client.get("/v1/inspect/configurations")).text
    assert set(bearers(upstream)) == {f"Bearer {FIRST}"}
    assert arn not in shown


async def test_a_parameter_of_systems_manager_does_as_well(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path
) -> None:
    document = config_of(upstream, tmp_path, "${env.TOKEN}")
    async with client_of(document, TOKEN=f"aws-ssm:{vault.parameter(FIRST)}") as client:
        assert (await client.post(CHAT_PATH, json=CHAT)).status_code == 200
    assert bearers(upstream) == [f"Bearer {FIRST}"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_token_that_was_replaced_is_fetched_again_after_a_refusal_and_the_call_is_made_once_more(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path, *, streamed: bool
) -> None:
    arn, valid = vault.create(FIRST), FIRST
    replies = {True: stream(CHUNKS), False: status(200, {"choices": []})}
    upstream.replies[CHAT_PATH] = taking(lambda: valid, replies[streamed])
    async with client_of(config_of(upstream, tmp_path, f"aws-secretsmanager:{arn}")) as client:
        assert (await client.post(CHAT_PATH, json=CHAT | {"stream": streamed})).status_code == 200
        vault.replace(arn, SECOND)
        valid = SECOND
        answers = await asyncio.gather(*(client.post(CHAT_PATH, json=CHAT | {"stream": streamed}) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}
        assert not any("error" in answer.json() for answer in answers if not streamed)
    assert bearers(upstream).count(f"Bearer {FIRST}") <= 1 + 5
    assert bearers(upstream).count(f"Bearer {SECOND}") == 5


@pytest.mark.usefixtures("impatient")
async def test_a_token_that_nobody_replaced_is_not_tried_again(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path
) -> None:
    upstream.replies[CHAT_PATH] = status(401)
    async with client_of(config_of(upstream, tmp_path, f"aws-secretsmanager:{vault.create(FIRST)}")) as client:
        answer = await client.post(CHAT_PATH, json=CHAT)
    assert (answer.status_code, len(bearers(upstream))) == (502, 1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("code", [400, 403, 429, 500])
async def test_a_call_that_was_refused_for_another_reason_is_not_made_again(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path, code: int
) -> None:
    arn = vault.create(FIRST)
    upstream.replies[CHAT_PATH] = status(code)
    async with client_of(config_of(upstream, tmp_path, f"aws-secretsmanager:{arn}")) as client:
        await client.get("/v1/models")
        vault.replace(arn, SECOND)
        await client.post(CHAT_PATH, json=CHAT)
    assert bearers(upstream) == [f"Bearer {FIRST}"]


@pytest.mark.usefixtures("impatient")
async def test_a_stream_that_has_begun_is_never_begun_again(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path
) -> None:
    arn = vault.create(FIRST)
    refusal = {"error": {"code": 401, "message": "expired"}}
    upstream.replies[CHAT_PATH] = stream([CHUNKS[0], refusal])
    async with client_of(config_of(upstream, tmp_path, f"aws-secretsmanager:{arn}")) as client:
        await client.get("/v1/models")
        vault.replace(arn, SECOND)
        answer = await client.post(CHAT_PATH, json=CHAT | {"stream": True})
    assert (answer.text.count('"error"'), len(bearers(upstream))) == (1, 1)


@pytest.mark.parametrize("text", ["white space in it", "line\r\nx-evil: 1", "ключ"])
async def test_a_secret_that_no_header_can_carry_is_a_503_that_names_it_and_no_more(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path, text: str
) -> None:
    arn = vault.create(text)
    async with client_of(config_of(upstream, tmp_path, f"aws-secretsmanager:{arn}")) as client:
        answer = await client.post(CHAT_PATH, json=CHAT)
    assert answer.status_code == 503
    assert arn in message(answer)
    assert text not in message(answer)
    assert upstream.seen == [] or not bearers(upstream)


async def test_a_secret_that_is_not_there_is_a_503_that_names_it_and_the_rest_of_the_stack_answers(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path
) -> None:
    del vault  # to which the SDK is directed
    async with client_of(config_of(upstream, tmp_path, "aws-secretsmanager:not/there")) as client:
        answer = await client.post(CHAT_PATH, json=CHAT)
        assert (answer.status_code, "`not/there`" in message(answer)) == (503, True)
        [provider] = (await client.get("/v1/providers")).json()["data"]
        assert provider["health"]["status"] == "Error"
        assert (await client.get("/v1/health")).status_code == 200


async def test_while_aws_is_away_it_is_a_503_and_no_wait_without_end(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del vault
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    async with client_of(config_of(upstream, tmp_path, f"aws-ssm:/{uuid.uuid4().hex}")) as client:
        answer = await client.post(CHAT_PATH, json=CHAT)
    assert (answer.status_code, "cannot be reached" in message(answer)) == (503, True)


DISGUISES = ["{}", " {}", "{}\n", "Bearer {}", "{}#x"]


@pytest.mark.parametrize("disguise", DISGUISES)
async def test_a_registered_configuration_cannot_name_a_secret(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path, disguise: str
) -> None:
    reference = disguise.format(f"aws-secretsmanager:{vault.create(FIRST)}")
    async with client_of(config_of(upstream, tmp_path, SECOND)) as client:
        for changes in ({"api_token": reference}, {"url": upstream.url, "auth_credential": reference}):
            body = {"config": {"inference": [{"provider_id": "local", "config": changes}]}, "force": True}
            answer = await client.post("/v1/configurations", json=body)
            assert answer.status_code == 400, answer.text
            assert "only the run config may" in message(answer)
        provider = {"api": "inference", "provider_id": "mine", "provider_type": "remote::vllm"}
        config = {"url": upstream.url, "api_token": reference.upper()}
        answer = await client.post("/v1/providers", json={**provider, "config": config, "force": True})
        assert answer.status_code == 400, answer.text
        await client.post(CHAT_PATH, json=CHAT)
    assert not any(FIRST in seen.headers.get("authorization", "") for seen in upstream.seen)


async def test_a_callers_own_key_is_never_read_as_a_reference(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path
) -> None:
    reference = f"aws-secretsmanager:{vault.create(FIRST)}"
    headers = {"x-llamastack-provider-data": json.dumps({"vllm_api_token": reference})}
    async with client_of(config_of(upstream, tmp_path, SECOND)) as client:
        await client.post(CHAT_PATH, json=CHAT, headers=headers)
    assert bearers(upstream) == [f"Bearer {reference}"]


async def test_the_secret_of_the_introspection_is_read_by_reference_and_renewed(
    vault: Vault, issuer: Issuer, upstream: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_reference, "RENEWAL_SECONDS", 0.0)
    arn = vault.create(SECOND)
    active = json.dumps({"active": True, "sub": "ada", "aud": AUDIENCE}).encode()
    del issuer

    async def introspect(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        known = form["client_secret"] == FIRST
        return web.Response(
            status=200 if known else 401, body=active if known else b"{}", content_type="application/json"
        )

    upstream.replies["/introspect"] = introspect
    introspection = {
        "url": f"{upstream.url}/introspect",
        "client_id": "stack",
        "client_secret": f"aws-secretsmanager:{arn}",
        "send_secret_in_body": True,
    }
    auth = {"auth": {"providers": [{"type": "oauth2_token", "introspection": introspection}]}}
    async with client_of(config_of(upstream, tmp_path, SECOND, server=auth)) as client:
        headers = {"authorization": f"Bearer {plant('an-opaque-token-of-adas')}"}
        assert (await client.get("/v1/providers", headers=headers)).status_code == 503
        vault.replace(arn, FIRST)
        assert (await client.get("/v1/providers", headers=headers)).status_code == 200


async def test_an_external_provider_is_made_with_the_secret_and_not_made_without_it(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    put(tmp_path, ADAPTER + FACTORY)
    reference = f"aws-secretsmanager:{vault.create(FIRST)}"
    stack = await resolve(loaded(tmp_path, inference=[entry(api_key=reference)]), ["inference"], version="1")
    [instance] = stack.instances
    assert instance.provider.config.api_key.get_secret_value() == FIRST
    assert FIRST not in repr(instance.config)
    await stack.close()
    with pytest.raises(ConfigInvalid, match="The secret `not/there`"):
        await resolve(loaded(tmp_path, inference=[entry(api_key="aws-ssm:not/there")]), ["inference"], version="1")
    problems = check(loaded(tmp_path, inference=[entry(api_key="aws-ssm:a b")]))
    assert [str(problem).partition(":")[0] for problem in problems] == ["providers.inference[0].config.api_key"]


@pytest.mark.parametrize(
    ("provider_type", "config", "words"),
    [
        ("remote::vllm", {"url": "http://u", "api_token": "aws-secretsmanager:a b"}, "#KEY for one key of JSON"),
        ("remote::openai", {"api_key": "aws-ssm:"}, "#KEY for one key of JSON"),
        (
            "remote::bedrock",
            {"aws_access_key_id": "aws-ssm:x", "aws_secret_access_key": "aws-ssm:y"},
            "AWS keys are not read by reference",
        ),
    ],
)
def test_a_reference_that_would_not_be_read_is_a_mistake_of_the_run_config(
    provider_type: str, config: dict[str, Any], words: str
) -> None:
    providers = {"inference": [{"provider_id": "p", "provider_type": provider_type, "config": config}]}
    document = {"version": 2, "image_name": "t", "apis": ["inference"], "providers": providers}
    store = {"metadata_store": {"type": "sqlite", "db_path": "x.db"}}
    [problem] = check(interpret(document | store, {}))
    assert words in str(problem)


async def test_nothing_of_a_secret_is_logged(
    vault: Vault, upstream: FakeUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arn = vault.create(FIRST)
    with caplog.at_level(logging.DEBUG, "core"):
        async with client_of(config_of(upstream, tmp_path, f"aws-secretsmanager:{arn}")) as client:
            await client.post(CHAT_PATH, json=CHAT)
    assert FIRST not in caplog.text
