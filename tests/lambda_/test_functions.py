"""The built functions answer every event shape of AWS: buffered inside the real runtime, and in the streaming one."""

from base64 import b64decode
from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any

import pytest

from tests.lambda_.calls import health_of_provider
from tests.lambda_.emulator import Function
from tests.lambda_.events import SHAPES, Call, event, post
from tests.lambda_.streaming import Streamed, streaming
from tests.parts.upstream import FakeUpstream

CHAT = {"model": "vllm/m", "messages": [{"role": "user", "content": "Grüße, 世界 👋"}]}
SLASHES = "meta/llama-3/8b"

every_shape = pytest.mark.parametrize("shape", SHAPES)

type Either = Function | Streamed


def running(module: str, request: pytest.FixtureRequest) -> Iterator[Either]:
    """The function in the runtime that the fixture's parameter names."""
    if request.param == "buffered":
        yield request.getfixturevalue(module)
        return
    packages: dict[str, Path] = request.getfixturevalue("packages")
    config: Path = request.getfixturevalue("run_config")
    log = config.parent / f"{module}-streaming.log"
    with streaming(packages[module], f"functions.{module}.handler", {"LLAMBDA_CONFIG": str(config)}, log) as function:
        yield function


@pytest.fixture(scope="module", params=["buffered", "streaming"], name="inference")
def _inference(request: pytest.FixtureRequest) -> Iterator[Either]:
    yield from running("inference", request)


@pytest.fixture(scope="module", params=["buffered", "streaming"], name="admin")
def _admin(request: pytest.FixtureRequest) -> Iterator[Either]:
    yield from running("admin", request)


def text(answer: dict[str, Any]) -> str:
    return b64decode(answer["body"]).decode() if answer["isBase64Encoded"] else str(answer["body"])


def body(answer: dict[str, Any]) -> Any:
    assert answer["headers"]["content-type"] == "application/json"
    return json.loads(text(answer))


def error(answer: dict[str, Any]) -> dict[str, Any]:
    """What went wrong, which is in the one shape."""
    content = body(answer)
    assert list(content) == ["error"]
    assert set(content["error"]) == {"message", "type", "param", "code", "request_id"}
    failure: dict[str, Any] = content["error"]
    return failure


@pytest.fixture(scope="module")
def registered(inference: Either) -> str:
    """A model whose identifier has slashes."""
    answer = inference.invoke(event("rest", post("/v1/models", {"model_id": SLASHES, "provider_model_id": "m"})))
    assert answer["statusCode"] == 200, answer
    return SLASHES


@every_shape
def test_health_is_ok(admin: Either, shape: str) -> None:
    answer = admin.invoke(event(shape, Call(path="/v1/health")))
    assert (answer["statusCode"], body(answer)) == (200, {"status": "OK"})


@every_shape
def test_providers_are_listed_with_their_health(admin: Either, shape: str) -> None:
    def look() -> Any:
        return body(admin.invoke(event(shape, Call(path="/v1/providers"))))

    [provider] = look()["data"]
    assert provider["provider_id"] == "vllm"
    assert health_of_provider(look) == {"status": "OK"}


@every_shape
def test_chat_is_answered_and_its_unicode_reaches_the_provider(
    inference: Either, upstream: FakeUpstream, shape: str
) -> None:
    answer = inference.invoke(event(shape, post("/v1/chat/completions", CHAT)))
    assert answer["statusCode"] == 200
    assert body(answer)["choices"][0]["message"]["content"] == "Hello"
    assert body(answer)["model"] == "vllm/m"
    assert upstream.seen[-1].body["messages"] == CHAT["messages"]


@every_shape
def test_base64_body_is_decoded(inference: Either, upstream: FakeUpstream, shape: str) -> None:
    call = Call("POST", "/v1/openai/v1/chat/completions", json.dumps(CHAT, ensure_ascii=False).encode())
    answer = inference.invoke(event(shape, call))
    assert answer["statusCode"] == 200
    assert upstream.seen[-1].body["messages"] == CHAT["messages"]


@every_shape
def test_streamed_chat_arrives_whole_as_server_sent_events(inference: Either, shape: str) -> None:
    answer = inference.invoke(event(shape, post("/v1/chat/completions", CHAT | {"stream": True})))
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"].startswith("text/event-stream")
    assert answer["isBase64Encoded"] is False
    lines = [line.removeprefix("data: ") for line in text(answer).splitlines() if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "Hello"


@every_shape
def test_query_string_is_read(inference: Either, registered: str, shape: str) -> None:
    answer = inference.invoke(
        event(shape, Call(path="/v1/models", query=[("limit", "1"), ("limit", "2"), ("ä", "&=")]))
    )
    assert answer["statusCode"] == 200
    assert registered in [model["id"] for model in body(answer)["data"]]


@every_shape
@pytest.mark.parametrize("spelling", [SLASHES, SLASHES.replace("/", "%2F")])
def test_model_id_with_slashes_is_found_in_both_spellings(
    inference: Either, registered: str, shape: str, spelling: str
) -> None:
    answer = inference.invoke(event(shape, Call(path=f"/v1/models/{spelling}")))
    assert (answer["statusCode"], body(answer)["id"]) == (200, registered)


@every_shape
@pytest.mark.parametrize("sent", [None, "", "{", '"text"', b"\xff\xfe", "[" * 100_000])
def test_malformed_body_is_400_and_the_function_lives_on(
    inference: Either, shape: str, sent: str | bytes | None
) -> None:
    answer = inference.invoke(event(shape, Call("POST", "/v1/chat/completions", sent)))
    assert (answer["statusCode"], error(answer)["type"]) == (400, "invalid_request_error")
    assert inference.invoke(event(shape, Call()))["statusCode"] == 200
