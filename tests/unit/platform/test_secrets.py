"""Secrets by reference: how they are written, fetched once, kept, and fetched again when one is refused."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
import sys

import pytest

from core.errors import ProviderUnavailable, SecretUnavailable
from core.platform.secrets import (
    RENEWAL_SECONDS,
    SECONDS,
    Place,
    Secrets,
    is_reference,
    mentions_reference,
    parse,
    reveal,
    warm,
)
from tests.fakes import Clock

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:vllm/token-AbCdEf"
REFERENCE = parse("aws-secretsmanager:vllm-token")


@dataclass
class Vault:
    """`down` and `gone` say why it answers with a failure."""

    text: str = "first"
    down: bool = False
    gone: bool = False
    fetched: list[Place] = field(default_factory=list[Place])

    async def fetch(self, place: Place) -> str:
        self.fetched.append(place)
        for _ in range(9):
            await asyncio.sleep(0)
        if self.down:
            raise place.unavailable("cannot be reached", final=False)
        if self.gone:
            raise place.unavailable("does not exist", final=True)
        return self.text


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def secrets(vault: Vault, clock: Clock) -> Secrets:
    return Secrets(vault.fetch, clock=clock)


@pytest.mark.parametrize(
    ("text", "service", "name", "key"),
    [
        (f"aws-secretsmanager:{ARN}", "secretsmanager", ARN, ""),
        (f"aws-secretsmanager:{ARN}#token", "secretsmanager", ARN, "token"),
        ("aws-secretsmanager:prod/vllm#a.b", "secretsmanager", "prod/vllm", "a.b"),
        ("aws-ssm:/llambda/token", "ssm", "/llambda/token", ""),
        (
            "aws-ssm:arn:aws-cn:ssm:cn-north-1:123456789012:parameter/llambda/token",
            "ssm",
            "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/llambda/token",
            "",
        ),
    ],
)
def test_a_reference_names_the_service_the_secret_and_a_key(text: str, service: str, name: str, key: str) -> None:
    assert is_reference(text)
    reference = parse(text)
    assert (reference.place, reference.key) == (Place(service, name), key)


@pytest.mark.parametrize(
    "text",
    [
        "aws-secretsmanager:",
        "aws-secretsmanager:a b",
        "aws-secretsmanager:a#",
        "aws-secretsmanager:a#b#c",
        "aws-secretsmanager:a\n",
        "aws-secretsmanager:a,b",
        f"aws-ssm:{ARN}",
        "aws-secretsmanager:arn:aws:s3:::bucket/key",
        "aws-secretsmanager:arn:aws:ssm:eu-west-1:123456789012:parameter/x",
        "aws-secretsmanager:" + "a" * 513,
    ],
)
def test_what_begins_as_a_reference_and_is_none_is_told_how_and_not_repeated(text: str) -> None:
    assert is_reference(text)
    with pytest.raises(ValueError, match="aws-ssm:NAME_OR_ARN") as refused:
        parse(text)
    assert "a b" not in str(refused.value)


async def test_any_other_text_is_itself() -> None:
    for text in ("", "fake", "aws-secrets:x", "AWS-SSM:x", " aws-ssm:x", "sk-aws-ssm:x"):
        assert not is_reference(text)
        assert await reveal(text) == text


@pytest.mark.parametrize(
    "value",
    [
        {"api_token": "aws-secretsmanager:x"},
        {"a": [{"b": " AWS-SSM:/x"}]},
        ("x", "Bearer aws-ssm:/x"),
        {"url": "https://u/?k=aws-secretsmanager:x"},
    ],
)
def test_a_mention_is_found_wherever_it_is_and_however_it_is_disguised(value: object) -> None:
    assert mentions_reference(value)
    assert not mentions_reference({"api_token": "plain", "n": 1, "l": [None, True]})


async def test_many_who_want_it_at_once_fetch_it_once_and_keep_it(secrets: Secrets, vault: Vault, clock: Clock) -> None:
    assert set(await asyncio.gather(*(secrets.get(REFERENCE) for _ in range(50)))) == {"first"}
    vault.text = "second"
    clock.now += SECONDS - 1
    assert await secrets.get(REFERENCE) == "first"
    clock.now += 1
    assert await secrets.get(REFERENCE) == "second"
    assert len(vault.fetched) == 2


async def test_keys_of_one_secret_share_its_fetch(secrets: Secrets, vault: Vault) -> None:
    vault.text = '{"a": "1", "b": {"c": "2\\n"}, "d.e": "3"}'
    wanted = {"a": "1", "b.c": "2", "d.e": "3"}
    assert {key: await secrets.get(parse(f"aws-ssm:x#{key}")) for key in wanted} == wanted
    assert len(vault.fetched) == 1


@pytest.mark.parametrize(
    ("text", "key"), [("{}", "a"), ("[1]", "a"), ("no JSON", "a"), ('{"a": 1}', "a"), ('{"a": ""}', "a"), ("\n", "")]
)
async def test_a_secret_without_such_a_value_is_named_and_not_shown(
    secrets: Secrets, vault: Vault, text: str, key: str
) -> None:
    vault.text = text
    with pytest.raises(ProviderUnavailable, match=r"The secret `x` (has no text|is empty)") as refused:
        await secrets.get(parse(f"aws-ssm:x{'#' if key else ''}{key}"))
    assert "no JSON" not in refused.value.message


async def test_what_was_fetched_stands_while_aws_is_down_and_falls_when_it_is_gone(
    secrets: Secrets, vault: Vault, clock: Clock
) -> None:
    vault.down = True
    with pytest.raises(ProviderUnavailable, match="vllm-token"):
        await secrets.get(REFERENCE)
    vault.down = False
    await secrets.get(REFERENCE)
    vault.down = True
    clock.now += SECONDS
    assert await secrets.get(REFERENCE) == "first"
    vault.down, vault.gone = False, True
    clock.now += SECONDS
    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match="does not exist"):
            await secrets.get(REFERENCE)


async def test_a_refused_value_is_fetched_again_once_for_all_and_not_at_once_again(
    secrets: Secrets, vault: Vault, clock: Clock
) -> None:
    await secrets.get(REFERENCE)
    vault.text = "second"
    assert await secrets.renew(REFERENCE, "first") is None  # which was fetched a moment ago
    clock.now += RENEWAL_SECONDS
    assert set(await asyncio.gather(*(secrets.renew(REFERENCE, "first") for _ in range(20)))) == {"second"}
    assert len(vault.fetched) == 2
    assert await secrets.renew(REFERENCE, "first") == "second"  # as others have found out
    for _ in range(5):
        assert await secrets.renew(REFERENCE, "second") is None
    assert len(vault.fetched) == 2


async def test_who_is_refused_while_it_is_fetched_again_waits_for_that(
    secrets: Secrets, vault: Vault, clock: Clock
) -> None:
    await secrets.get(REFERENCE)
    vault.text = "second"
    clock.now += RENEWAL_SECONDS
    first = asyncio.create_task(secrets.renew(REFERENCE, "first"))
    for _ in range(3):  # in which it has begun to fetch
        await asyncio.sleep(0)
    assert len(vault.fetched) == 2
    assert await secrets.renew(REFERENCE, "first") == "second"
    assert (await first, len(vault.fetched)) == ("second", 2)


async def test_one_that_is_refused_and_cannot_be_fetched_again_is_refused(
    secrets: Secrets, vault: Vault, clock: Clock
) -> None:
    await secrets.get(REFERENCE)
    clock.now += RENEWAL_SECONDS
    vault.down = True
    assert await secrets.renew(REFERENCE, "first") is None


def test_values_of_a_secret_are_in_no_representation(secrets: Secrets) -> None:
    show: Callable[[object], str] = repr
    assert "first" not in show(secrets)


async def test_a_package_without_the_sdk_says_so_at_the_first_call_and_not_at_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("core.platform.aws_secrets", raising=False)
    monkeypatch.setitem(sys.modules, "core.platform.aws_secrets", None)
    warm("aws-ssm:/not/packaged")
    with pytest.raises(SecretUnavailable, match="`/not/packaged` cannot be fetched: this package was built without"):
        await reveal("aws-ssm:/not/packaged")
