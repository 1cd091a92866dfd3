"""Amazon Bedrock's wire on loopback, its answers chosen by a test: REST-JSON, and event-stream frames with their CRCs.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/welcome.html,
https://smithy.io/2.0/aws/amazon-eventstream.html, https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import json
import re
import struct
from typing import Any, Final, override
from zlib import crc32

from aiohttp import web

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject
from core.providers.bedrock.inference import Bedrock, BedrockOverOpenAI, Config
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, Reply, raw, running, status

REGION: Final = "us-east-1"
ACCOUNT: Final = "123456789012"
KEYS: Final = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": plant("bedrock-secret-key-of-the-tests")}
MODEL: Final = "anthropic.claude-test-v1:0"
TITAN: Final = "amazon.titan-embed-test-v2:0"
COHERE: Final = "cohere.embed-test-v3"
PROFILE: Final = f"us.{MODEL}"
OWN_PROFILE: Final = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:application-inference-profile/abc123def456"
GUARDRAIL: Final = "gr1234567890"

OPERATIONS: Final = (
    ("POST", r"/model/.+/converse", "converse"),
    ("POST", r"/model/.+/converse-stream", "converse-stream"),
    ("POST", r"/model/.+/invoke", "invoke"),
    ("POST", r"/rerank", "rerank"),
    ("POST", r"/guardrail/.+/version/.+/apply", "apply-guardrail"),
    ("GET", r"/guardrails", "list-guardrails"),
    ("GET", r"/guardrails/.+", "get-guardrail"),
    ("GET", r"/foundation-models", "list-foundation-models"),
    ("GET", r"/inference-profiles", "list-inference-profiles"),
    ("GET", r"/inference-profiles/.+", "get-inference-profile"),
    ("POST", r"/openai/v1/chat/completions", "openai-chat"),
    ("POST", r"/model-invocation-job", "create-job"),
    ("GET", r"/model-invocation-jobs", "list-jobs"),
    ("POST", r"/model-invocation-job/.+/stop", "stop-job"),
    ("GET", r"/model-invocation-job/.+", "get-job"),
    ("POST", r"/", "assume-role"),
)


def model(name: str, vendor: str, output: str = "TEXT", **more: Any) -> dict[str, Any]:
    return {
        "modelArn": f"arn:aws:bedrock:{REGION}::foundation-model/{name}",
        "modelId": name,
        "modelName": name.title(),
        "providerName": vendor,
        "inputModalities": ["TEXT"],
        "outputModalities": [output],
        "responseStreamingSupported": output == "TEXT",
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    } | more


def profile(name: str, kind: str, *models: str) -> dict[str, Any]:
    own = kind == "APPLICATION"
    return {
        "inferenceProfileName": name.rpartition("/")[2],
        "inferenceProfileId": name.rpartition("/")[2],
        "inferenceProfileArn": name if own else f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/{name}",
        "models": [{"modelArn": f"arn:aws:bedrock:{REGION}::foundation-model/{each}"} for each in models],
        "status": "ACTIVE",
        "type": kind,
    }


HELLO: Final[dict[str, Any]] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
    "metrics": {"latencyMs": 7},
}
EVENTS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hel"}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lo"}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": HELLO["usage"], "metrics": {"latencyMs": 7}}),
]
ROLE_SECRET: Final = plant("role-secret-key-of-the-tests")
ROLE_TOKEN: Final = plant("role-session-token-of-the-tests")
ROLE_KEYS: Final = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>{ROLE_SECRET}</SecretAccessKey>
<SessionToken>{ROLE_TOKEN}</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleResult></AssumeRoleResponse>"""


def _head(value: str) -> bytes:
    return struct.pack("!BH", 7, len(value)) + value.encode()  # type 7: a string, its length in 2 bytes


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message: lengths, CRC of them, headers, payload, CRC of all."""
    packed = b"".join(struct.pack("!B", len(name)) + name.encode() + _head(value) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    body = prelude + struct.pack("!I", crc32(prelude)) + packed + payload
    return body + struct.pack("!I", crc32(body))


def event(name: str, payload: Mapping[str, Any]) -> bytes:
    headers = {":message-type": "event", ":event-type": name, ":content-type": "application/json"}
    return frame(headers, json.dumps(payload).encode())


def exception(name: str, message: str = "it went wrong", **more: Any) -> bytes:
    """One that the service's model knows: its name begins with a small letter."""
    headers = {":message-type": "exception", ":exception-type": name, ":content-type": "application/json"}
    return frame(headers, json.dumps({"message": message, **more}).encode())


def unmodelled(code: str, message: str) -> bytes:
    return frame({":message-type": "error", ":error-code": code, ":error-message": message}, b"")


def events(given: Iterable[tuple[str, Mapping[str, Any]]]) -> list[bytes]:
    return [event(name, payload) for name, payload in given]


def frames(parts: Iterable[bytes], *, pause: float = 0.0, hang: bool = False, reset: bool = False) -> Reply:
    """An event stream in these pieces, `pause` seconds between them; at the end it may hang, or reset the connection."""

    async def reply(request: web.Request) -> web.StreamResponse:
        import asyncio

        response = web.StreamResponse(headers={"content-type": "application/vnd.amazon.eventstream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(pause)
        if hang:
            await asyncio.sleep(3600)
        if reset and request.transport is not None:
            request.transport.abort()
        return response

    return reply


def refusal(code: int, kind: str, message: str = "it went wrong", headers: dict[str, str] | None = None) -> Reply:
    """An error of REST-JSON: its type is a header."""
    return status(code, {"message": message}, {"x-amzn-errortype": kind, **(headers or {})})


def embedded(vectors: Any, tokens: int) -> Reply:
    """An answer to InvokeModel: `vectors` is the whole body."""
    return status(200, vectors, {"x-amzn-bedrock-input-token-count": str(tokens)})


@dataclass
class FakeBedrock(FakeUpstream):
    """`replies` by the name of the operation in OPERATIONS; without one, it says hello. `models` are summaries.

    `guardrails` are summaries too, one for each version; listings come in pages of one profile.
    """

    models: list[dict[str, Any]] = field(
        default_factory=lambda: [
            model(MODEL, "Anthropic"),
            model(TITAN, "Amazon", "EMBEDDING"),
            model(COHERE, "Cohere", "EMBEDDING"),
        ]
    )
    profiles: list[dict[str, Any]] = field(
        default_factory=lambda: [
            profile(PROFILE, "SYSTEM_DEFINED", MODEL),
            profile(f"eu.{MODEL}", "SYSTEM_DEFINED", MODEL),
            profile(OWN_PROFILE, "APPLICATION", MODEL),
        ]
    )

    raw_paths: list[str] = field(default_factory=list[str])  # as they were sent, percent-encoded

    def operations(self) -> list[str]:
        """What was asked for, in order."""
        return [_operation(seen.method, seen.path, str(seen.body)) for seen in self.seen]

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        self.raw_paths.append(request.raw_path)
        operation = _operation(request.method, request.path, await request.text())
        reply = self.replies.get(operation) or self._default(operation, request)
        return await reply(request)

    def _default(self, operation: str, request: web.Request) -> Reply:
        match operation:
            case "converse":
                return status(200, HELLO)
            case "converse-stream":
                return frames(events(EVENTS))
            case "list-foundation-models":
                return status(200, {"modelSummaries": self.models})
            case "list-inference-profiles":
                return status(200, self._profiles(request))
            case "assume-role" | "assume-role-with-web-identity":
                action = "AssumeRole" if operation == "assume-role" else "AssumeRoleWithWebIdentity"
                return raw(ROLE_KEYS.replace("AssumeRole", action).encode(), "text/xml")
            case _:
                return refusal(404, "ResourceNotFoundException", f"{operation} has no answer here")

    def _profiles(self, request: web.Request) -> dict[str, Any]:
        wanted = [each for each in self.profiles if each["type"] == request.query.get("type", "SYSTEM_DEFINED")]
        at = int(request.query.get("nextToken", 0))
        more = {"nextToken": str(at + 1)} if at + 1 < len(wanted) else {}
        return {"inferenceProfileSummaries": wanted[at : at + 1], **more}


def _operation(method: str, path: str, body: str) -> str:
    """STS has one path, and the name of its operation in the form that is posted."""
    if "Action=AssumeRoleWithWebIdentity&" in body:
        return "assume-role-with-web-identity"
    return next(
        (name for verb, pattern, name in OPERATIONS if verb == method and re.fullmatch(pattern, path)), "unknown"
    )


@asynccontextmanager
async def serving(fake: FakeBedrock | None = None, **config: Any) -> AsyncIterator[tuple[FakeBedrock, Bedrock]]:
    """The fake, running, and the provider over it, which asks once for each call unless `config` says otherwise."""
    fake = fake or FakeBedrock()
    async with running(fake):
        given = {"endpoint_url": fake.url, "region_name": REGION, "total_max_attempts": 1, **KEYS, **config}
        settings = Config.model_validate(given)
        provider = (BedrockOverOpenAI if settings.endpoint == "openai" else Bedrock)("b", settings)
        try:
            yield fake, provider
        finally:
            await provider.close()


def chat(**more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], **more})


async def collected(provider: Bedrock, **more: Any) -> list[JsonObject]:
    return [chunk async for chunk in await provider.stream_chat_completion(chat(stream=True, **more))]


def text_of(chunks: Iterable[JsonObject]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
