"""`endpoint: openai`: chat at Bedrock's own OpenAI-compatible endpoint, signed; all else as without it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
import pytest

from core.apis.inference import ChatRequest, CompletionRequest, InferenceProvider
from core.errors import InvalidRequest, ProviderUnavailable, UpstreamFailed, UpstreamThrottled
from core.providers.bedrock.inference import Config, connect
from tests.parts.bedrock import KEYS, REGION, FakeBedrock, refusal
from tests.parts.secrets import plant
from tests.parts.upstream import CHAT, CHUNKS, Seen, hang, running, status, stream

GPT = "openai.gpt-test-1:0"
REQUEST = ChatRequest(model=GPT, messages=[{"role": "user", "content": "Hi"}])
SIGNED = ("content-type", "host", "x-amz-date", "x-amz-security-token")


@pytest.fixture
async def fake() -> AsyncGenerator[FakeBedrock]:
    async with running(FakeBedrock(replies={"openai-chat": status(200, CHAT)})) as fake:
        assert isinstance(fake, FakeBedrock)
        yield fake


@pytest.fixture
async def provider(fake: FakeBedrock) -> AsyncGenerator[InferenceProvider]:
    plant(KEYS["aws_secret_access_key"])
    given = {"region_name": REGION, "endpoint_url": fake.url, "endpoint": "openai", **KEYS}
    provider = connect("b", Config.model_validate(given), {})
    yield provider
    await provider.close()


def signature(url: str, seen: Seen, secret: str, body: bytes) -> str:
    """What the SDK's own signer makes of the request that arrived; only what was signed is in it."""
    names = seen.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"content-type", "host", "x-amz-date"} <= set(names) <= set(SIGNED)
    headers = {name: seen.headers[name] for name in names if name not in ("host", "x-amz-date")}
    request = AWSRequest(method=seen.method, url=url + seen.path, data=body, headers=headers)
    request.context["timestamp"] = seen.headers["x-amz-date"]
    request.headers["X-Amz-Date"] = seen.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(KEYS["aws_access_key_id"], secret), "bedrock", REGION)
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


async def test_chat_passes_through_signed_as_aws_wants_it(fake: FakeBedrock, provider: InferenceProvider) -> None:
    bodies: list[bytes] = []

    async def reply(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.read())
        return await status(200, CHAT)(request)

    fake.replies["openai-chat"] = reply
    request = ChatRequest.model_validate({**REQUEST.model_dump(exclude_unset=True), "logprobs": True, "n": 2})
    answer = await provider.chat_completion(request)
    assert answer["choices"] == CHAT["choices"]
    (seen,) = fake.seen
    assert seen.path == "/openai/v1/chat/completions"
    assert seen.body == {"model": GPT, "messages": REQUEST.messages, "logprobs": True, "n": 2}
    sent = seen.headers["authorization"]
    assert f"Credential={KEYS['aws_access_key_id']}/" in sent
    assert f"/{REGION}/bedrock/aws4_request" in sent
    right = signature(fake.url, seen, KEYS["aws_secret_access_key"], bodies[0])
    assert sent.endswith(f"Signature={right}")
    assert signature(fake.url, seen, "another-key", bodies[0]) != right
    assert signature(fake.url, seen, KEYS["aws_secret_access_key"], b"{}") != right


async def test_a_stream_passes_through(fake: FakeBedrock, provider: InferenceProvider) -> None:
    fake.replies["openai-chat"] = stream(CHUNKS)
    chunks = [chunk async for chunk in await provider.stream_chat_completion(REQUEST)]
    assert chunks == CHUNKS


async def test_a_caller_who_leaves_cancels_the_call(fake: FakeBedrock, provider: InferenceProvider) -> None:
    fake.replies["openai-chat"] = stream(CHUNKS[:1], hang=True)
    async with aclosing(await provider.stream_chat_completion(REQUEST)) as chunks:
        assert await anext(chunks) == CHUNKS[0]
    await fake.cancelled.wait()


async def test_models_are_those_of_the_control_plane(fake: FakeBedrock, provider: InferenceProvider) -> None:
    assert await provider.list_models()
    assert fake.operations()[0] == "list-foundation-models"
    assert await provider.health() == {"status": "OK"}


async def test_completions_are_refused(provider: InferenceProvider) -> None:
    with pytest.raises(InvalidRequest, match="no completions"):
        await provider.completion(CompletionRequest(model=GPT, prompt="Once"))


@pytest.mark.parametrize(
    ("code", "error"), [(403, UpstreamFailed), (429, UpstreamThrottled), (400, InvalidRequest), (500, UpstreamFailed)]
)
async def test_refusals_are_translated(
    fake: FakeBedrock, provider: InferenceProvider, code: int, error: type[Exception]
) -> None:
    fake.replies["openai-chat"] = status(code, {"error": {"message": "no"}})
    with pytest.raises(error):
        await provider.chat_completion(REQUEST)


async def test_a_temporary_key_goes_with_its_token(fake: FakeBedrock) -> None:
    token = plant("session-token-of-the-tests")
    given = {"region_name": REGION, "endpoint_url": fake.url, "endpoint": "openai", "aws_session_token": token, **KEYS}
    provider = connect("b", Config.model_validate(given), {})
    await provider.chat_completion(REQUEST)
    await provider.close()
    assert fake.seen[0].headers["x-amz-security-token"] == token


async def test_an_assumed_role_signs_with_its_own_keys(fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fake.url)
    role = "arn:aws:iam::123456789012:role/bedrock"
    given = {"region_name": REGION, "endpoint_url": fake.url, "endpoint": "openai", "role_arn": role, **KEYS}
    provider = connect("b", Config.model_validate(given), {})
    await provider.chat_completion(REQUEST)
    await provider.chat_completion(REQUEST)
    await provider.close()
    assert fake.operations() == ["assume-role", "openai-chat", "openai-chat"]
    assert "Credential=ASIAROLE/" in fake.seen[1].headers["authorization"]


async def test_without_credentials_it_says_so(
    fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = tmp_path_factory.mktemp("aws") / "none"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(empty))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    given = {"region_name": REGION, "endpoint_url": fake.url, "endpoint": "openai"}
    provider = connect("b", Config.model_validate(given), {})
    with pytest.raises(ProviderUnavailable, match="no AWS credentials"):
        await provider.chat_completion(REQUEST)
    await provider.close()
    assert not fake.seen


async def test_a_hanging_endpoint_is_a_timeout(fake: FakeBedrock) -> None:
    from core.errors import UpstreamTimeout

    fake.replies["openai-chat"] = hang
    given = {"region_name": REGION, "endpoint_url": fake.url, "endpoint": "openai", "read_timeout": 0.2, **KEYS}
    provider = connect("b", Config.model_validate(given), {})
    with pytest.raises(UpstreamTimeout):
        await provider.chat_completion(REQUEST)
    await provider.close()


async def test_the_control_planes_refusal_is_no_refusal_of_chat(fake: FakeBedrock, provider: InferenceProvider) -> None:
    fake.replies["list-foundation-models"] = refusal(403, "AccessDeniedException")
    assert (await provider.health())["status"] == "Error"
    assert (await provider.chat_completion(REQUEST))["object"] == "chat.completion"
