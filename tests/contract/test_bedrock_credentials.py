"""Whose credentials sign a call: keys, a session token, a profile, a role that is assumed; and what is said without."""

from datetime import UTC, datetime, timedelta
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError
import pytest

from core.errors import ProviderUnavailable, UpstreamFailed, UpstreamThrottled
from core.providers.bedrock.inference import Config
from tests.parts.bedrock import (
    KEYS,
    REGION,
    ROLE_KEYS,
    ROLE_TOKEN,
    FakeBedrock,
    chat,
    collected,
    refusal,
    serving,
)
from tests.parts.secrets import plant
from tests.parts.upstream import CHAT, Reply, in_turn, raw, status

ROLE = "arn:aws:iam::123456789012:role/llambda/models"
NOTHING = {"aws_access_key_id": None, "aws_secret_access_key": None}
WEB = "AssumeRoleWithWebIdentity"
BEARER = plant("bearer-token-of-bedrock")
WEB_TOKEN = plant("web.identity.token")
SESSION_TOKEN = plant("session-token-of-the-operator")
PROFILE_SECRET = plant("profile-secret-key-of-the-tests")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own AWS configuration."""
    names = "ACCESS_KEY_ID SECRET_ACCESS_KEY SESSION_TOKEN PROFILE REGION DEFAULT_REGION BEARER_TOKEN_BEDROCK"
    for name in names.split():
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


def keys_until(moment: datetime, action: str = "AssumeRole") -> Reply:
    keys = ROLE_KEYS.replace("2999-01-01T00:00:00Z", moment.isoformat()).replace("AssumeRole", action)
    return raw(keys.encode(), "text/xml")


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


async def test_external_id_and_session_name_go_to_sts(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(aws_role_arn=ROLE, aws_role_session_name="shop", role_external_id="a:b") as (fake, bedrock):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        await bedrock.chat_completion(chat())
    form = parse_qs(fake.seen[0].body)
    assert form["RoleArn"] == [ROLE]
    assert form["RoleSessionName"] == ["shop"]
    assert form["ExternalId"] == ["a:b"]
    assert signers(fake) == ["ASIAROLE"]


async def test_a_role_is_assumed_with_a_web_identity_and_no_keys_at_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{WEB_TOKEN}\n")
    (tmp_path / "config").write_text(f"[default]\ncredential_process = touch {tmp_path / 'looked-for'}\n")
    web: dict[str, Any] = {**NOTHING, "aws_role_arn": ROLE, "aws_web_identity_token_file": str(tmp_path / "token")}
    async with serving(**web) as (fake, bedrock):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        await bedrock.chat_completion(chat())
        await bedrock.list_models()
    form = parse_qs(fake.seen[0].body)
    assert "authorization" not in fake.seen[0].headers
    assert form["Action"] == ["AssumeRoleWithWebIdentity"]
    assert form["Version"] == ["2011-06-15"]
    assert form["WebIdentityToken"] == [WEB_TOKEN]
    assert form["RoleArn"] == [ROLE]
    assert set(signers(fake)) == {"ASIAROLE"}
    assert fake.operations().count("assume-role-with-web-identity") == 1
    assert not (tmp_path / "looked-for").exists()


async def test_the_token_of_a_web_identity_is_read_anew_for_each_session(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(WEB_TOKEN)
    fake = FakeBedrock()
    fake.replies["assume-role-with-web-identity"] = keys_until(datetime.now(UTC) + timedelta(minutes=5), WEB)
    async with serving(fake, **NOTHING, aws_role_arn=ROLE, aws_web_identity_token_file=str(file)) as (_, bedrock):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        await bedrock.chat_completion(chat())
        file.write_text("a.second.token")
        await bedrock.chat_completion(chat())
    tokens = [parse_qs(seen.body)["WebIdentityToken"] for seen in fake.seen if seen.path == "/"]
    assert tokens == [[WEB_TOKEN], ["a.second.token"]]


async def test_a_web_identity_that_is_not_there_or_refused_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    async with serving(**NOTHING, aws_role_arn=ROLE, aws_web_identity_token_file=str(file)) as (fake, bedrock):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        with pytest.raises(ProviderUnavailable, match="its `aws_web_identity_token_file` cannot be read"):
            await bedrock.chat_completion(chat())
        file.write_text(WEB_TOKEN)
        for code, name in ((400, "InvalidIdentityToken"), (400, "ExpiredTokenException"), (403, "IDPRejectedClaim")):
            fake.replies["assume-role-with-web-identity"] = refused(code, name)
            with pytest.raises(UpstreamFailed, match="refused the stack's credentials") as failure:
                await bedrock.chat_completion(chat())
            assert "secret" not in str(failure.value)


@pytest.mark.parametrize("name", ["aws_bedrock_bearer_token", "api_key", "auth_credential"])
@pytest.mark.parametrize("endpoint", ["converse", "openai"])
async def test_a_bearer_token_is_borne_in_the_place_of_a_signature(name: str, endpoint: str) -> None:
    fake = FakeBedrock()
    fake.replies["openai-chat"] = status(200, CHAT)
    async with serving(fake, **NOTHING, endpoint=endpoint, **{name: BEARER}) as (_, bedrock):
        await bedrock.chat_completion(chat())
        await bedrock.list_models()
        assert (await bedrock.describe())["credentials"] is True
    assert {seen.headers["authorization"] for seen in fake.seen} == {f"Bearer {BEARER}"}
    assert not any("x-amz-security-token" in seen.headers for seen in fake.seen)


async def test_the_environments_bearer_token_is_borne_unless_the_config_says_whose_the_calls_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", BEARER)
    async with serving(**NOTHING) as (fake, bedrock):
        await bedrock.chat_completion(chat())
        await collected(bedrock)
    assert {seen.headers["authorization"] for seen in fake.seen} == {f"Bearer {BEARER}"}
    async with serving() as (fake, bedrock):
        await bedrock.chat_completion(chat())
    assert signers(fake) == ["AKIDEXAMPLE"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["aws_secret_access_key"])
    async with serving(**NOTHING, role_arn=ROLE) as (fake, bedrock):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
        await bedrock.chat_completion(chat())
    assert signers(fake) == ["ASIAROLE"]
    (tmp_path / "config").write_text(
        f"[profile models]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = {PROFILE_SECRET}\n"
    )
    async with serving(**NOTHING, profile_name="models") as (fake, bedrock):
        await bedrock.chat_completion(chat())
    assert signers(fake) == ["AKIDPROFILE"]


async def test_a_bearer_token_that_is_refused_is_the_operators() -> None:
    async with serving(**NOTHING, api_key=BEARER) as (fake, bedrock):
        fake.replies["converse"] = refusal(403, "AccessDeniedException", f"no {BEARER}")
        with pytest.raises(UpstreamFailed) as failure:
            await bedrock.chat_completion(chat())
    assert BEARER not in str(failure.value)


async def test_a_bearer_token_comes_before_keys_and_a_role() -> None:
    async with serving(role_arn=ROLE, api_key=BEARER) as (fake, bedrock):
        await bedrock.chat_completion(chat())
    assert fake.operations() == ["converse"]
    assert fake.seen[0].headers["authorization"] == f"Bearer {BEARER}"


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"api_key": "a b"}, "cannot carry"),
        ({"api_key": "a", "aws_bedrock_bearer_token": "b"}, "mean the same"),
        ({"role_arn": ROLE, "aws_role_arn": f"{ROLE}2"}, "mean the same"),
        ({"aws_web_identity_token_file": "/t"}, "needs the role"),
        ({"aws_role_arn": "arn:aws:s3:::x"}, "aws_role_arn"),
        ({"role_external_id": "a b"}, "role_external_id"),
        ({"api_key": "aws-ssm:"}, "aws-ssm:NAME_OR_ARN"),
    ],
)
def test_what_does_not_say_one_identity_is_refused_and_not_repeated(config: dict[str, str], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Config.model_validate(config)


def test_what_variables_leave_empty_is_not_set() -> None:
    names = ("api_key", "aws_bedrock_bearer_token", "aws_role_arn", "aws_web_identity_token_file")
    for empty in ("", None):
        config = Config.model_validate(dict.fromkeys(names, empty))
        assert (config.bearer, config.role, config.aws_web_identity_token_file) == (None, "", None)
    assert BEARER not in repr(Config.model_validate({"api_key": BEARER}))


async def test_on_lambda_nothing_waits_for_the_metadata_of_ec2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "chat")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    async with serving(**NOTHING) as (_, bedrock):
        with pytest.raises(ProviderUnavailable, match="no AWS credentials were found"):
            await bedrock.chat_completion(chat())
    assert os.environ["AWS_EC2_METADATA_DISABLED"] == "true"
