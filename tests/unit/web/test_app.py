"""The wire as callers see it: every failure in one shape, every body bounded, every field named."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
import gzip
import json
from typing import Any
import zlib

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.apis.index import route_rows
from core.apis.manifests.inference import MODEL
from core.config.browsers import CorsConfig
from core.config.document import RunConfig
from core.config.load import Loaded
from core.errors import ApiError, Conflict, UpstreamThrottled
from core.frame.api import SurfaceFactory
from core.frame.callers import Call
from core.resolution.stack import Stack
from core.routing.catalog import Catalog
from core.routing.guard import Enforcement, GuardedRegistry
from core.routing.policy import DEFAULT_POLICY, Policy
from core.routing.registry import Registry
from core.runtime.function import app_of_stack
from core.services.admin.router import AdminRouter, ProviderView, QuotaRouter
from core.services.inference.chats.collection import ChatCollection
from core.services.inference.chats.router import ChatsRouter
from core.services.inference.native.router import NativeRouter
from core.services.inference.reranking import RerankRouter
from core.services.inference.router import InferenceRouter
from core.stores.connect import Stores
from core.web.app import app_of, refusing, union
from core.web.origins import AllowedOrigins, OriginRules
from tests.fakes import FakeProvider, MemoryStore
from tests.parts.described import hold_to_document

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
LIMIT = 10_000


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


def _no_chats() -> ChatCollection:
    raise AssertionError("a chat is kept that nobody wished to be")


@pytest.fixture
def app(provider: FakeProvider) -> Starlette:
    config = RunConfig.model_validate(
        {
            "version": 2,
            "name": "t",
            "providers": {},
            "metadata_store": {"type": "sqlite", "db_path": "x"},
            "server": {"max_body_bytes": LIMIT},
        }
    )
    loaded = Loaded(config, {}, [])
    catalog = Catalog({"p": provider.list_models}, seconds=60)
    models = Registry(MODEL, MemoryStore(), catalog, provider_ids=["p"])
    enforcement = Enforcement(Policy(DEFAULT_POLICY))

    def guarded(call: Call | None) -> GuardedRegistry:
        return GuardedRegistry(models, enforcement, call.principal if call else None)

    def router(call: Call | None) -> InferenceRouter:
        return InferenceRouter(guarded(call), {"p": provider}, call)

    view = ProviderView("inference", "p", "remote::fake", {"api_token": "********"}, provider.health)
    surfaces: dict[str, SurfaceFactory] = {
        "chats": lambda call: ChatsRouter(router(call), _no_chats, keeps_all=False),
        "inference": router,
        "native_inference": lambda call: NativeRouter(router(call)),
        "rerank": lambda call: RerankRouter(router(call)),
    }
    inference = Stack(loaded, config, enforcement, Stores(config), surfaces, {"model": guarded})
    shown = AdminRouter("1.2.3", [view], lambda: list(route_rows(["admin"])))
    others: dict[str, SurfaceFactory] = {
        "configurations": lambda _: None,
        "discovery": lambda _: None,
        "jobs": lambda _: None,
    }
    admin = Stack(
        loaded,
        config,
        enforcement,
        Stores(config),
        {"admin": lambda _: shown, "quota": lambda _: QuotaRouter(None), **others},
    )
    return union([app_of_stack(inference, ["inference"]), app_of_stack(admin, ["admin"])])


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://t", headers=JSON, event_hooks={"response": [hold_to_document]}
    ) as client:
        yield client


def body(**more: Any) -> dict[str, Any]:
    return {"model": "p/m", "messages": [{"role": "user", "content": "Hi"}], **more}


def error(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()["error"]
    assert set(found) == {"message", "type", "param", "code", "request_id"}
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found["message"]
    return found


@pytest.mark.parametrize("prefix", ["/v1", "/v1/openai/v1"])
async def test_chat_is_served_under_both_prefixes(client: httpx.AsyncClient, prefix: str) -> None:
    answer = await client.post(f"{prefix}/chat/completions", json=body())
    assert (answer.status_code, answer.json()["model"]) == (200, "p/m")


@pytest.mark.parametrize(
    ("content", "param", "words"),
    [
        (b"", None, "no body"),
        (b"{", None, "valid JSON"),
        (b"\xff\xfe", None, "valid JSON"),
        (b'{"model": "\xff"}', None, "valid JSON"),
        (b"[]", None, "object"),
        (b"[" * 5000, None, "valid JSON"),
        (b'{"model": "m", "messages": ' + b'{"a":' * 900 + b"1" + b"}" * 901, None, "valid JSON"),
        (b'{"messages": [{}]}', "model", "required"),
        (b'{"model": "m"}', "messages", "required"),
        (b'{"model": 1, "messages": [{}]}', "model", "string"),
        (b'{"model": "m", "messages": []}', "messages", "at least 1"),
        (b'{"model": "m", "messages": ["x"]}', "messages[0]", "dictionary|object"),
        (b'{"model": "m", "messages": [{}], "stream": "yes"}', "stream", "boolean"),
    ],
)
async def test_a_bad_body_is_a_400_that_names_the_field(
    client: httpx.AsyncClient, content: bytes, param: str | None, words: str
) -> None:
    answer = await client.post(CHAT, content=content)
    assert answer.status_code == 400
    found = error(answer)
    assert found["param"] == param
    assert any(word in found["message"] for word in words.split("|"))


async def test_several_bad_fields_are_all_named(client: httpx.AsyncClient) -> None:
    message = error(await client.post(CHAT, content=b'{"stream": 3}'))["message"]
    assert all(field in message for field in ("model", "messages", "stream"))


async def test_a_body_over_the_limit_is_413_whether_announced_or_not(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1000

    for content in (b" " * (LIMIT + 1), chunks()):
        answer = await client.post(CHAT, content=content)
        assert (answer.status_code, error(answer)["code"]) == (413, "body_too_large")
        assert str(LIMIT) in error(answer)["message"]


async def test_a_length_that_no_machine_can_hold_is_413(client: httpx.AsyncClient) -> None:
    assert (await client.post(CHAT, content=b"{}", headers={"content-length": "9" * 5000})).status_code == 413


async def test_an_unknown_route_says_where_the_routes_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/nope")
    assert answer.status_code == 404
    assert "/v1/inspect/routes" in error(answer)["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/embeddings", {"POST"}),
        ("PUT", CHAT, {"GET", "HEAD", "POST"}),
        ("PUT", "/v1/models", {"GET", "HEAD", "POST"}),
        ("POST", "/v1/models/a/b", {"GET", "HEAD", "DELETE"}),
    ],
)
async def test_a_wrong_method_says_which_are_right(
    client: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert error(answer)["code"] == "method_not_allowed"


async def test_an_unknown_model_says_how_to_list(client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, json=body(model="nope"))
    assert (answer.status_code, error(answer)["param"]) == (404, "model")
    assert "GET /v1/models" in error(answer)["message"]


async def test_a_failure_keeps_its_headers_and_a_bug_shows_nothing(
    client: httpx.AsyncClient, provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    await client.get("/v1/models")
    provider.down = UpstreamThrottled("slow down", headers={"retry-after": "7"})
    answer = await client.post(CHAT, json=body())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    provider.down = ZeroDivisionError("secret")
    answer = await client.post(CHAT, json=body())
    assert (answer.status_code, error(answer)["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_stream_that_cannot_open_has_a_real_status(client: httpx.AsyncClient, provider: FakeProvider) -> None:
    await client.get("/v1/models")
    provider.down = UpstreamThrottled("slow down")
    answer = await client.post(CHAT, json=body(stream=True))
    assert (answer.status_code, error(answer)["type"]) == (429, "rate_limit_error")


@pytest.mark.parametrize(
    ("version", "done"), [(None, True), ("0.2.12", False), ("0.1", False), ("0.7.5", True), ("0.20.1", True)]
)
async def test_done_ends_a_stream_but_for_clients_that_fail_on_it(
    client: httpx.AsyncClient, provider: FakeProvider, version: str | None, *, done: bool
) -> None:
    provider.chunks = [{"choices": [{"index": n, "delta": {}}]} for n in range(2)]
    headers = {"x-llamastack-client-version": version} if version else {}
    answer = await client.post(CHAT, json=body(stream=True), headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.removesuffix("\n\n").split("\n\n")
    assert [json.loads(event.removeprefix("data: "))["choices"][0]["index"] for event in events[:2]] == [0, 1]
    assert (events[2:] == ["data: [DONE]"]) is done
    assert done or len(events) == 2


@pytest.mark.parametrize("failure", [UpstreamThrottled("slow down"), ValueError("secret")])
async def test_a_stream_that_breaks_ends_with_an_error_event(
    client: httpx.AsyncClient, provider: FakeProvider, failure: Exception
) -> None:
    provider.chunks = [{"choices": [{"index": 0, "delta": {}}]}, failure]
    answer = await client.post(CHAT, json=body(stream=True))
    events = answer.text.removesuffix("\n\n").split("\n\n")
    found = json.loads(events[1].removeprefix("data: "))["error"]
    assert found["code"] == ("upstream_rate_limit_exceeded" if isinstance(failure, ApiError) else "internal_error")
    assert "secret" not in answer.text
    assert events[2:] == ["data: [DONE]"]


async def call(app: Starlette, content: bytes, leave: asyncio.Event, on_send: Callable[[Any], Awaitable[None]]) -> None:
    """One POST to the app as a server would make it, whose client leaves when `leave` is set."""
    messages = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": headers, "query_string": b"", "root_path": ""}
    await app(scope, receive, on_send)


async def test_a_client_that_leaves_cancels_the_call(app: Starlette, provider: FakeProvider) -> None:
    leave, started, cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang(_: object) -> Any:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async def send(_: object) -> None:
        return None

    provider.chat_completion = hang  # type: ignore[method-assign,assignment]
    running = asyncio.ensure_future(call(app, json.dumps(body()).encode(), leave, send))
    await started.wait()
    leave.set()
    await asyncio.wait_for(running, 5)
    assert cancelled.is_set()


async def test_a_client_that_leaves_a_stream_closes_it(app: Starlette, provider: FakeProvider) -> None:
    leave = asyncio.Event()
    provider.chunks = [{"choices": [{}]}] * 1000

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            leave.set()
            await asyncio.sleep(0)

    await asyncio.wait_for(call(app, json.dumps(body(stream=True)).encode(), leave, send), 5)
    assert provider.closed


async def test_a_model_is_registered_shown_listed_and_removed(client: httpx.AsyncClient) -> None:
    registered = await client.post(
        "/v1/models", json={"model_id": "team/x", "provider_model_id": "m", "metadata": {"k": 1}}
    )
    assert registered.status_code == 200
    shown = registered.json()
    assert shown.pop("created") > 0
    facts = {"model_type": "llm", "provider_id": "p", "provider_resource_id": "m"}
    assert shown == {
        "identifier": "team/x",
        "type": "model",
        "metadata": {"k": 1},
        "id": "team/x",
        "object": "model",
        "owned_by": "p",
        "custom_metadata": {"k": 1, **facts},
        **facts,
    }
    for path in ("/v1/models/team/x", "/v1/models/team%2Fx", "/v1/openai/v1/models/team/x"):
        assert (await client.get(path)).json()["identifier"] == "team/x"
    assert (await client.get("/v1/models/p/m")).json()["metadata"] == {}
    listing = (await client.get("/v1/models")).json()
    assert (listing["object"], [row["id"] for row in listing["data"]]) == ("list", ["p/m", "team/x"])
    assert (await client.delete("/v1/models/team/x")).json() is None
    assert error(await client.delete("/v1/models/team/x"))["code"] == "not_found"


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({}, "model_id"),
        ({"model_id": ""}, "model_id"),
        ({"model_id": "m", "modle_type": "llm"}, "modle_type"),
        ({"model_id": "m", "model_type": "vision"}, "model_type"),
        ({"model_id": "m", "model_type": "embedding"}, None),
        ({"model_id": "m", "model_type": "embedding", "metadata": {"embedding_dimension": True}}, None),
        ({"model_id": "m", "provider_id": "z"}, "provider_id"),
        ({"model_id": "z"}, "provider_model_id"),
    ],
)
async def test_a_bad_registration_is_a_400(
    client: httpx.AsyncClient, wanted: dict[str, Any], param: str | None
) -> None:
    answer = await client.post("/v1/models", json=wanted)
    assert (answer.status_code, error(answer)["param"]) == (400, param)


async def test_an_embedding_model_keeps_its_dimension(client: httpx.AsyncClient) -> None:
    wanted = {"model_id": "m", "model_type": "embedding", "metadata": {"embedding_dimension": 576}}
    answer = (await client.post("/v1/models", json=wanted)).json()
    assert answer["custom_metadata"]["embedding_dimension"] == 576
    assert (await client.post("/v1/models", json=wanted)).status_code == 200
    answer2 = await client.post("/v1/models", json=wanted | {"metadata": {"embedding_dimension": 1}})
    assert (answer2.status_code, error(answer2)["code"]) == (409, Conflict.code)


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1001", "1.5"])
async def test_a_page_has_a_sane_size(client: httpx.AsyncClient, limit: str) -> None:
    answer = await client.get("/v1/models", params={"limit": limit})
    assert (answer.status_code, error(answer)["param"]) == (400, "limit")


async def test_pages_continue_where_they_ended(client: httpx.AsyncClient) -> None:
    await client.post("/v1/models", json={"model_id": "z", "provider_model_id": "m"})
    first = (await client.get("/v1/models", params={"limit": "1"})).json()
    assert (first["first_id"], first["last_id"], first["has_more"]) == ("p/m", "p/m", True)
    second = (await client.get("/v1/models", params={"limit": "1", "after_id": first["last_id"]})).json()
    assert ([row["id"] for row in second["data"]], second["has_more"]) == (["z"], False)


@pytest.mark.parametrize("prefix", ["/v1", "/v1alpha/admin"])
async def test_admin_answers_under_both_prefixes(client: httpx.AsyncClient, prefix: str) -> None:
    assert (await client.get(f"{prefix}/health")).json() == {"status": "OK"}
    assert (await client.get(f"{prefix}/version")).json() == {"version": "1.2.3"}
    one = (await client.get(f"{prefix}/providers/p")).json()
    assert one["health"] == {"status": "OK"}
    assert (await client.get(f"{prefix}/providers")).json() == {"data": [one]}
    routes: dict[str, list[str]] = {}
    for query in (
        "",
        "?api_filter=",
        "?api_filter=v1",
        "?api_filter=v1alpha",
        "?api_filter=v1beta",
        "?api_filter=deprecated",
    ):
        rows = (await client.get(f"{prefix}/inspect/routes{query}")).json()["data"]
        routes[query.partition("=")[2] or query] = [row["route"] for row in rows]
    assert routes[""] == routes["?api_filter="]
    assert all(route.startswith("/v1/") for route in routes["v1"])
    assert len(routes["v1alpha"]) == 5
    assert routes["v1beta"] == routes["deprecated"] == []
    assert sorted(routes[""]) == sorted((*routes["v1"], *routes["v1alpha"], "/openapi.json"))
    for wrong in ("v2", "v1/", "Deprecated"):
        refused = await client.get(f"{prefix}/inspect/routes?api_filter={wrong}")
        assert (refused.status_code, error(refused)["param"]) == (400, "api_filter")
        assert "'v1', 'v1alpha', 'v1beta' or 'deprecated'" in error(refused)["message"]
    missing = await client.get(f"{prefix}/providers/z")
    assert (missing.status_code, error(missing)["message"]) == (404, "Provider `z` is not configured. Known: p.")


async def test_the_first_route_of_a_path_answers_it_whether_it_has_parameters_or_not() -> None:
    def said(text: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return JSONResponse([text, request.path_params])

        return answer

    routes = [
        Route("/a/fixed", said("before"), methods=["GET"]),
        Route("/a/{id}", said("any"), methods=["GET", "DELETE"]),
        Route("/a/late", said("late"), methods=["GET"]),
        Route("/a/fixed", said("again"), methods=["GET", "POST"]),
    ]
    app = app_of(routes, [], OriginRules(), None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        answers = [
            (await client.request(method, path)).json()
            for method, path in [("GET", "/a/fixed"), ("GET", "/a/late"), ("GET", "/a/x"), ("POST", "/a/fixed")]
        ]
        refused = await client.put("/a/fixed")
        under = httpx.AsyncClient(transport=httpx.ASGITransport(app, root_path="/base"), base_url="http://t")
        based = (await under.get("/base/a/fixed")).json()
    assert answers == [["before", {}], ["any", {"id": "late"}], ["any", {"id": "x"}], ["again", {}]]
    assert (refused.status_code, based) == (405, ["before", {}])


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "identity"])
async def test_a_compressed_body_is_read(client: httpx.AsyncClient, coding: str) -> None:
    plain = json.dumps(body()).encode()
    content = {"deflate": zlib.compress(plain), "identity": plain}.get(coding) or gzip.compress(plain)
    answer = await client.post(CHAT, content=content, headers={"content-encoding": coding})
    assert (answer.status_code, answer.json()["model"]) == (200, "p/m")


@pytest.mark.parametrize(
    ("coding", "content", "status", "words"),
    [
        ("zstd", b"x", 415, "gzip, deflate"),
        ("gzip", b"{}", 400, "one whole stream of gzip"),
        ("gzip", gzip.compress(b" " * (LIMIT + 1), mtime=0), 413, str(LIMIT)),
        ("gzip", gzip.compress(b"{", mtime=0), 400, "not valid JSON"),
        ("gzip", b"", 400, "no body"),
    ],
)
async def test_a_body_that_is_not_what_its_coding_says_is_refused(
    client: httpx.AsyncClient, coding: str, content: bytes, status: int, words: str
) -> None:
    answer = await client.post(CHAT, content=content, headers={"content-encoding": coding})
    assert (answer.status_code, words in error(answer)["message"]) == (status, True)
    assert answer.headers.get("accept-encoding") == ("gzip, deflate" if status == 415 else None)


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/chat/completions/", "/v1/providers//"])
async def test_a_path_with_a_slash_at_its_end_is_no_resource_without_a_name(
    client: httpx.AsyncClient, path: str
) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = await client.request(method, path)
        assert answer.status_code == 404
        assert f"Did you mean {path.rstrip('/')}?" in error(answer)["message"]


async def test_what_is_refused_before_the_app_is_for_its_pages_to_read_and_its_sink_to_hear() -> None:
    heard: list[Any] = []
    allowed = AllowedOrigins(CorsConfig.model_validate({"allow_origins": "https://a.example"}))
    refused = refusing(app_of([], [], OriginRules(allowed), heard.append), Conflict("no"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(refused), base_url="http://t") as client:
        answer = await client.get("/", headers={"origin": "https://a.example"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (409, "https://a.example")
    assert [(record.status, record.cold) for record in heard] == [(409, False)]
