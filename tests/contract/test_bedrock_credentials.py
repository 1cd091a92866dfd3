"""Whose credentials sign a call: keys, a session token, a profile, a role that is assumed; and what is said without."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import ProviderUnavailable, UpstreamFailed, UpstreamThrottled
from tests.parts.bedrock import (
    KEYS,
    REGION,
    ROLE_KEYS,
    ROLE_TOKEN,
    FakeBedrock,
    chat,
    collected,
    serving,
)
from tests.parts.secrets import plant
from tests.parts.upstream import Reply, in_turn, raw

ROLE = "arn:aws:iam::123456789012:role/llambda/models"
NOTHING = {"aws_access_key_id": None, "aws_secret_access_key": None}
SESSION_TOKEN = plant("session-token-of-the-operator")
PROFILE_SECRET = plant("profile-secret-key-of-the-tests")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own AWS configuration."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "REGION", "DEFAULT_REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def signers(fake: FakeBedrock) -> list[str]:
    """The access key ids that signed what Bedrock saw."""
    return [
        seen.headers["authorization"].partition("Credential=")[2].partition("/")[0]
        for seen in fake.seen
        if seen.path != "/"
    ]


def keys_until(moment: datetime) -> Reply:
    return raw(ROLE_KEYS.replace("2999-01-01T00:00:00Z", moment.isoformat()).encode(), "text/xml")


def refused(code: int, name: str) -> Reply:
    body = f"<ErrorResponse><Error><Code>{name}</Code><Message>not {ROLE}, for its secret reasons</Message></Error>"

    async def reply(request: Any) -> Any:
        answer = await raw(f"{body}</ErrorResponse>".encode(), "text/xml")(request)
        answer.set_status(code)
        return answer

    return reply


async def test_a_session_token_goes_with_its_keys() -> None:
    async with serving(aws_session_token=SESSION_TOKEN) as (fake, bedrock):
        await bedrock.chat_completion(chat())
    assert fake.seen[0].headers["x-amz-security-token"] == SESSION_TOKEN
    assert signers(fake) == ["AKIDEXAMPLE"]


async def test_the_environments_keys_and_region_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["aws_secret_access_key"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    async with serving(**NOTHING, region_name=None) as (fake, bedrock):
        await bedrock.chat_completion(chat())
    assert signers(fake) == ["AKIDENVIRONMENT"]
    assert "/eu-west-1/bedrock/" in fake.seen[0].headers["authorization"]


async def test_a_profiles_keys_and_region_are_read_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        f"[profile models]\nregion = ap-south-1\naws_access_key_id = AKIDPROFILE\n"
        f"aws_secret_access_key = {PROFILE_SECRET}\n"
    )
    async with serving(**NOTHING, region_name=None, profile_name="models") as (fake, bedrock):
        await bedrock.chat_completion(chat())
    assert signers(fake) == ["AKIDPROFILE"]
    assert "/ap-south-1/bedrock/" in fake.seen[0].headers["authorization"]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({**NOTHING, "region_name": REGION}, "no AWS credentials were found; configure keys, a profile or a role"),
        ({"region_name": None}, "no AWS region is set"),
        ({**NOTHING, "profile_name": "nobodys"}, "no AWS profile of its `profile_name`"),
        ({"endpoint_url": "http://["}, "endpoint_url is not a URL"),
        ({"region_name": "not a region", "endpoint_url": None}, "region is not the name of a region"),
    ],
)
async def test_what_is_missing_is_said_and_the_next_call_may_find_it(config: dict[str, Any], reason: str) -> None:
    async with serving(**config) as (fake, bedrock):
        for _ in range(2):
            with pytest.raises(ProviderUnavailable, match=reason):
                await bedrock.chat_completion(chat())
            with pytest.raises(ProviderUnavailable, match=reason):
                await bedrock.stream_chat_completion(chat(stream=True))
        health = await bedrock.health()
    assert health["status"] == "Error"
    assert reason in health.get("message", "")
    assert fake.seen == []


async def test_a_role_is_assumed_once_and_signs_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(role_arn=ROLE, session_ttl=1800) as (fake, bedrock):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        await bedrock.chat_completion(chat())
        await collected(bedrock)
        await bedrock.list_models()
        asked = fake.seen[0]
        assert fake.operations().count("assume-role") == 1
        assert set(signers(fake)) == {"ASIAROLE"}
        assert {seen.headers.get("x-amz-security-token") for seen in fake.seen[1:]} == {ROLE_TOKEN}
    assert "Credential=AKIDEXAMPLE/" in asked.headers["authorization"]
    assert "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fllambda%2Fmodels" in asked.body
    assert "DurationSeconds=1800" in asked.body
    assert "RoleSessionName=llambda" in asked.body


async def test_a_role_is_assumed_again_before_its_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeBedrock()
    soon = datetime.now(UTC) + timedelta(minutes=5)
    fake.replies["assume-role"] = in_turn(keys_until(soon), raw(ROLE_KEYS.encode(), "text/xml"))
    async with serving(fake, role_arn=ROLE) as (_, bedrock):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        for _ in range(3):
            await bedrock.chat_completion(chat())
    assert fake.operations() == ["assume-role", "converse", "assume-role", "converse", "converse"]


@pytest.mark.parametrize(
    ("code", "name", "kind"),
    [
        (403, "AccessDenied", UpstreamFailed),
        (400, "ValidationError", UpstreamFailed),
        (403, "InvalidClientTokenId", UpstreamFailed),
        (400, "Throttling", UpstreamThrottled),
    ],
)
async def test_a_role_that_is_refused_is_no_fault_of_the_callers(
    monkeypatch: pytest.MonkeyPatch, code: int, name: str, kind: type[Exception]
) -> None:
    async with serving(role_arn=ROLE) as (fake, bedrock):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        fake.replies["assume-role"] = refused(code, name)
        for call in (bedrock.chat_completion, bedrock.stream_chat_completion):
            with pytest.raises(kind) as failure:
                await call(chat())
            assert "secret" not in str(failure.value)
    assert set(fake.operations()) == {"assume-role"}
