"""Every remote that speaks OpenAI's API, over real HTTP: the wire, its listing, and whose key a call bears."""

from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.apis.inference import ChatRequest, CompletionRequest, EmbeddingsRequest, TakesProviderData
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.callers import ANONYMOUS, Call
from core.frame.types import JsonObject
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import config_of
from core.providers.openai.rows import ROWS, Row
from tests.parts.live_stack import client_of
from tests.parts.secrets import plant
from tests.parts.upstream import CHAT, CHUNKS, FakeUpstream, in_turn, running, status, stream

OPERATORS = plant("operators-key-for-every-row")
CALLERS = plant("callers-key-for-one-call-only")
LISTED = {"remote::anthropic": "x-api-key"}
LISTS: dict[str, tuple[str, Any]] = {
    "remote::together": ("/v1/models", [{"id": "m", "type": "chat"}, {"id": "pixels", "type": "image"}]),
    "remote::together-openai-compat": ("/v1/models", [{"id": "m", "type": "language"}]),
    "remote::databricks": ("/api/2.0/serving-endpoints", {"endpoints": [{"name": "m", "id": "0123"}]}),
    "remote::gemini": ("/v1beta/openai/models", {"data": [{"id": "models/m"}]}),
}
rows = pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
bringing = pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.data], ids=[r for r in ROWS if ROWS[r].data]
)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        yield upstream


@pytest.fixture
async def provider(upstream: FakeUpstream, row: Row) -> AsyncIterator[OpenAICompatible]:
    provider = connect(row, upstream, **{row.keys[0]: OPERATORS})
    yield provider
    await provider.close()


def connect(row: Row, upstream: FakeUpstream, **more: Any) -> OpenAICompatible:
    path, listed = LISTS.get(row.provider_type, (f"{row.root}/models", {"data": [{"id": "m"}]}))
    upstream.replies[path] = status(200, listed)
    return OpenAICompatible("p", config_of(row.provider_type).model_validate({row.urls[0]: upstream.url, **more}))


def chat(**more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more})


def bearers(upstream: FakeUpstream) -> list[str]:
    return [seen.headers.get("authorization", "") for seen in upstream.seen]


@rows
async def test_every_call_reaches_the_vendors_path_with_the_operators_key(
    upstream: FakeUpstream, provider: OpenAICompatible, row: Row
) -> None:
    assert await provider.chat_completion(chat(tools=[], seed=0)) == CHAT
    assert upstream.seen[-1].body == chat(tools=[], seed=0).model_dump(exclude_unset=True)
    assert [event async for event in await provider.stream_chat_completion(chat(stream=True))] == CHUNKS
    await provider.completion(CompletionRequest(model="m", prompt="Hi"))
    completed = await provider.stream_completion(CompletionRequest(model="m", prompt="Hi", stream=True))
    assert [event async for event in completed] == CHUNKS
    await provider.embeddings(EmbeddingsRequest(model="m", input="Hi"))
    paths = ["/chat/completions", "/chat/completions", "/completions", "/completions", "/embeddings"]
    assert [seen.path for seen in upstream.seen] == [row.root + path for path in paths]
    assert bearers(upstream) == [f"Bearer {OPERATORS}"] * 5


@rows
async def test_models_are_listed_the_vendors_way_under_the_names_that_calls_use(
    upstream: FakeUpstream, provider: OpenAICompatible, row: Row
) -> None:
    assert await provider.list_models() == [{"id": "m", "model_type": "llm", "metadata": {}}]
    header = LISTED.get(row.provider_type, "authorization")
    assert upstream.seen[-1].headers[header].removeprefix("Bearer ") == OPERATORS
    assert ("authorization" in upstream.seen[-1].headers) == (header == "authorization")
    assert await provider.health() == {"status": "OK"}
    upstream.replies[upstream.seen[-1].path] = status(500)
    assert (await provider.health())["status"] == "Error"


@rows
@pytest.mark.parametrize("listed", [{}, [{}], {"data": [7], "endpoints": [7]}, {"data": {"id": "m"}}, "m", None])
async def test_a_listing_that_is_none_is_the_upstreams_failure(
    upstream: FakeUpstream, provider: OpenAICompatible, row: Row, listed: Any
) -> None:
    path, _ = LISTS.get(row.provider_type, (f"{row.root}/models", None))
    upstream.replies[path] = status(200, listed)
    with pytest.raises(UpstreamFailed, match="list"):
        await provider.list_models()


@rows
async def test_what_is_not_allowed_is_neither_listed_nor_called(upstream: FakeUpstream, row: Row) -> None:
    provider = connect(row, upstream, allowed_models=["other"], **{row.keys[0]: OPERATORS})
    assert await provider.list_models() == []
    seen = len(upstream.seen)
    for call in (provider.chat_completion(chat()), provider.stream_chat_completion(chat(stream=True))):
        with pytest.raises(InvalidRequest, match="not configured to serve"):
            await call
    assert len(upstream.seen) == seen
    await provider.close()


@bringing
async def test_a_callers_key_wins_and_serves_no_other_caller_and_no_listing(
    upstream: FakeUpstream, provider: OpenAICompatible, row: Row
) -> None:
    assert isinstance(provider, TakesProviderData)
    for name in row.data:
        view = provider.with_provider_data({name: CALLERS, "other_api_key": "x"})
        await view.chat_completion(chat())
        assert bearers(upstream)[-1] == f"Bearer {CALLERS}"
        await provider.chat_completion(chat())
        assert bearers(upstream)[-1] == f"Bearer {OPERATORS}"
        assert [event async for event in await view.stream_chat_completion(chat(stream=True))] == CHUNKS
        assert bearers(upstream)[-1] == f"Bearer {CALLERS}"
    await provider.list_models()
    assert CALLERS not in json.dumps(upstream.seen[-1].headers)
    assert provider.with_provider_data({"other_api_key": CALLERS}) is provider
    assert len(upstream.connections) == 1


@bringing
@pytest.mark.parametrize("key", ["", "a b", "line\r\nx: y", "ümlaut", 7, ["k"], {"k": 1}, True, "k" * 4097])
async def test_a_callers_key_that_is_none_is_refused_unquoted(
    upstream: FakeUpstream, provider: OpenAICompatible, row: Row, key: Any
) -> None:
    with pytest.raises(InvalidRequest, match=rf"`{row.data[0]}` in header X-LlamaStack-Provider-Data must be a string"):
        provider.with_provider_data({row.data[0]: key})
    assert not upstream.seen


@bringing
@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("event", [False, True])
async def test_a_callers_key_that_the_vendor_refuses_is_the_callers_mistake(
    upstream: FakeUpstream, provider: OpenAICompatible, row: Row, code: int, *, event: bool
) -> None:
    errors = [{"error": {"message": f"bad key {key}", "code": code}} for key in (CALLERS, OPERATORS)]
    refusals = [stream([error]) if event else status(code, error) for error in errors]
    upstream.replies[f"{row.root}/chat/completions"] = in_turn(*refusals)
    with pytest.raises(InvalidRequest, match=f"refused the key given as `{row.data[0]}`") as failure:
        await provider.with_provider_data({row.data[0]: CALLERS}).stream_chat_completion(chat(stream=True))
    assert CALLERS not in failure.value.message
    with pytest.raises(UpstreamFailed, match="refused the stack's credentials"):
        await provider.stream_chat_completion(chat(stream=True))


@bringing
async def test_a_key_that_an_upstream_repeats_is_masked(
    upstream: FakeUpstream, provider: OpenAICompatible, row: Row
) -> None:
    for asked_, key in ((provider.with_provider_data({row.data[0]: CALLERS}), CALLERS), (provider, OPERATORS)):
        answer = status(400, {"error": {"message": f"{'x' * 480} {key}"}})
        upstream.replies[f"{row.root}/chat/completions"] = answer
        with pytest.raises(InvalidRequest, match=r"x \*{8}$"):
            await asked_.chat_completion(chat())


@rows
async def test_without_any_key_a_vendor_that_needs_one_is_not_asked(upstream: FakeUpstream, row: Row) -> None:
    provider = connect(row, upstream)
    if row.key != "needed":
        assert await provider.chat_completion(chat()) == CHAT
        assert bearers(upstream) == ([f"Bearer {row.default_key}"] if row.default_key else [""])
    else:
        with pytest.raises(
            InvalidRequest, match=rf'has no key; send yours as X-LlamaStack-Provider-Data: {{"{row.data[0]}"'
        ):
            await provider.chat_completion(chat())
        assert await provider.list_models() == []
        assert (await provider.health())["status"] == "Not Implemented"
        assert not upstream.seen
        assert await provider.with_provider_data({row.data[0]: CALLERS}).chat_completion(chat()) == CHAT
    await provider.close()


async def test_nvidia_needs_a_key_only_at_its_own_address(upstream: FakeUpstream) -> None:
    hosted = OpenAICompatible("p", config_of("remote::nvidia")())
    with pytest.raises(InvalidRequest, match="nvidia_api_key"):
        await hosted.chat_completion(chat())
    assert not upstream.seen


@pytest.mark.parametrize(
    ("provider_type", "field"), [("remote::openai", "max_completion_tokens"), ("remote::groq", "max_tokens")]
)
async def test_a_bound_on_tokens_has_the_vendors_name(upstream: FakeUpstream, provider_type: str, field: str) -> None:
    row = ROWS[provider_type]
    provider = connect(row, upstream, max_tokens=9, api_key=OPERATORS)
    await provider.chat_completion(chat())
    assert upstream.seen[-1].body == {**chat().model_dump(exclude_unset=True), field: 9}
    await provider.completion(CompletionRequest(model="m", prompt="Hi"))
    assert upstream.seen[-1].body["max_tokens"] == 9
    await provider.close()


async def test_together_tells_the_types_of_its_models(upstream: FakeUpstream) -> None:
    provider = connect(ROWS["remote::together"], upstream, api_key=OPERATORS)
    kinds = ("chat", "embedding", "rerank", "image", "moderation", 7, None)
    upstream.replies["/v1/models"] = status(200, [{"id": str(kind), "type": kind, "created": 3} for kind in kinds])
    assert [(m["id"], m["model_type"], m.get("created")) for m in await provider.list_models()] == [
        ("chat", "llm", 3),
        ("embedding", "embedding", 3),
        ("rerank", "rerank", 3),
    ]
    await provider.close()


async def test_a_repository_of_hugging_face_is_the_one_model_served(upstream: FakeUpstream) -> None:
    row = ROWS["remote::hf::serverless"]
    provider = connect(row, upstream, huggingface_repo="m", api_token=OPERATORS)
    upstream.replies["/v1/models"] = status(200, {"data": [{"id": "m"}, {"id": "n"}]})
    assert [model["id"] for model in await provider.list_models()] == ["m"]
    with pytest.raises(InvalidRequest, match="not configured to serve"):
        await provider.chat_completion(ChatRequest.model_validate({"model": "n", "messages": [{}]}))
    await provider.close()


def test_what_a_caller_brings_is_in_no_repr_of_its_call() -> None:
    assert CALLERS not in repr(Call(ANONYMOUS, provider_data={"groq_api_key": CALLERS}))


@pytest.fixture
async def client(upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A whole stack: `own` has no key, `kept` has the operator's, `else` is another vendor's."""
    entries: list[JsonObject] = [
        {"provider_id": "own", "provider_type": "remote::groq", "config": {"url": upstream.url}},
        {"provider_id": "kept", "provider_type": "remote::groq", "config": {"url": upstream.url, "api_key": OPERATORS}},
        {
            "provider_id": "else",
            "provider_type": "remote::openai",
            "config": {"url": upstream.url, "api_key": OPERATORS},
        },
    ]
    document = {
        "image_name": "t",
        "providers": {"inference": entries},
        "models": [
            {"model_id": f"{e['provider_id']}-m", "provider_id": e["provider_id"], "provider_model_id": "m"}
            for e in entries
        ],
        "metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")},
    }
    upstream.replies["/openai/v1/models"] = status(200, {"data": [{"id": "m"}]})
    async with client_of(document) as client:
        yield client


def asked(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize("header", ["X-LlamaStack-Provider-Data", "x-ogx-provider-data"])
async def test_a_key_in_a_header_serves_its_call_at_its_vendor_alone(
    upstream: FakeUpstream, client: httpx.AsyncClient, header: str
) -> None:
    brought = {header: json.dumps({"groq_api_key": CALLERS})}
    for model, headers, expected in (
        ("own-m", brought, CALLERS),
        ("kept-m", brought, CALLERS),
        ("else-m", brought, OPERATORS),
        ("kept-m", {}, OPERATORS),
    ):
        for stream_ in (False, True):
            body = asked(model) | {"stream": stream_}
            answer = await client.post("/v1/chat/completions", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            assert bearers(upstream)[-1] == f"Bearer {expected}"
    answer = await client.post("/v1/chat/completions", json=asked("own-m"))
    assert answer.status_code == 400
    assert 'X-LlamaStack-Provider-Data: {"groq_api_key"' in answer.json()["error"]["message"]


async def test_models_are_listed_with_the_operators_key_whatever_the_caller_brings(
    upstream: FakeUpstream, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/v1/models", headers={"x-ogx-provider-data": json.dumps({"groq_api_key": CALLERS})})
    assert {model["id"] for model in answer.json()["data"]} >= {"kept/m", "own-m"}
    assert all(CALLERS not in bearer for bearer in bearers(upstream))


@pytest.mark.parametrize("header", ["X-LlamaStack-Provider-Data", "X-OGX-Provider-Data"])
@pytest.mark.parametrize(
    "sent",
    ["{", "[]", '""', '"k"', "7", "\xff", "[" * 4000, '{"groq_api_key": tru', '{"k": "' + "x" * 8192 + '"}'],
)
async def test_provider_data_that_are_no_object_are_refused_by_the_headers_name(
    upstream: FakeUpstream, client: httpx.AsyncClient, header: str, sent: str
) -> None:
    headers = httpx.Headers([(header.encode(), sent.encode("latin-1"))])
    answer = await client.post("/v1/chat/completions", json=asked("kept-m"), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert header in answer.json()["error"]["message"]
    assert not upstream.seen


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"X-LlamaStack-Provider-Data": '{"groq_api_key": ""}'}, OPERATORS),
        ({"x-ogx-provider-data": '{"groq_api_key": " \\t", "openai_api_key": ""}'}, OPERATORS),
        ({"X-LlamaStack-Provider-Data": '{"groq_api_key": null, "openai_api_key": "x", "groq": {"api_key": ""}}'}, OPERATORS),
        ({"X-LlamaStack-Provider-Data": "{}"}, OPERATORS),
        ({"X-LlamaStack-Provider-Data": ""}, OPERATORS),
        ({"X-OGX-Provider-Data": " null "}, OPERATORS),
        ({"X-LlamaStack-Provider-Data": json.dumps({"groq_api_key": CALLERS, "openai_api_key": ""})}, CALLERS),
        (
            {
                "X-LlamaStack-Provider-Data": '{"groq_api_key": ""}',
                "X-OGX-Provider-Data": json.dumps({"groq_api_key": CALLERS}),
            },
            CALLERS,
        ),
    ],
)  # fmt: skip
async def test_an_empty_key_is_not_given(
    upstream: FakeUpstream, client: httpx.AsyncClient, headers: dict[str, str], key: str
) -> None:
    answer = await client.post("/v1/chat/completions", json=asked("kept-m"), headers=headers)
    assert (answer.status_code, bearers(upstream)[-1]) == (200, f"Bearer {key}"), answer.text


async def test_an_oauth_token_of_google_names_the_project_whose_quota_it_uses(upstream: FakeUpstream) -> None:
    row = ROWS["remote::gemini"]
    upstream.replies["/v1beta/openai/chat/completions"] = status(200, CHAT)
    provider = connect(row, upstream, access_token=OPERATORS, project="my-project")
    await provider.chat_completion(chat())
    await provider.list_models()
    await provider.with_provider_data({"gemini_api_key": CALLERS}).chat_completion(chat())
    await provider.close()
    assert [seen.headers["authorization"].removeprefix("Bearer ") for seen in upstream.seen] == [
        OPERATORS,
        OPERATORS,
        CALLERS,
    ]
    assert [seen.headers.get("x-goog-user-project") for seen in upstream.seen] == ["my-project", "my-project", None]


@pytest.mark.parametrize(
    "values",
    [
        {"access_token": OPERATORS},
        {"project": "p"},
        {"access_token": OPERATORS, "api_key": CALLERS, "project": "p"},
        {"access_token": OPERATORS, "project": "p\r\nx: y"},
        {"access_token": OPERATORS, "project": "{key}"},
    ],
)
def test_an_oauth_token_and_its_project_go_together(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"access_token|project|api_key"):
        config_of("remote::gemini").model_validate(values)
