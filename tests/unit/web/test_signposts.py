"""A 404 says which route is meant, or whose it is."""

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.apis.index import names, route_rows
from core.cli.apis import compare
from core.web.signposts import LONGEST, explain


async def answer(_: Request) -> Response:
    raise AssertionError


def routes(*apis: str) -> list[Route]:
    return [Route(row.path, answer, methods=[row.method]) for row in route_rows(apis)]


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1//chat//completions", "/v1/chat/completions"),
        ("/V1/chat/completions", "/v1/chat/completions"),
        ("/api/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/v1/embeddings", "/v1/embeddings"),
        ("/v1/openai/chat/completions", "/v1/chat/completions"),
        ("/models/a/b", "/v1/models/a/b"),
        ("/models", "/v1/models"),
        ("/v1/v1/models", "/v1/models"),
        ("/v1/models/", "/v1/models"),
        ("/v1/openapi.json", "/openapi.json"),
        ("/v1/openai/v1/health", "/v1/health"),
        ("/admin/providers", "/v1/providers"),
        ("/shields", "/v1/shields"),
    ],
)
@pytest.mark.parametrize("apis", [("inference", "admin"), ("admin",)], ids=["serve", "admin"])
def test_a_path_that_is_nearly_a_route_is_answered_with_the_route(path: str, meant: str, apis: tuple[str, ...]) -> None:
    assert f"no route {path}. Did you mean {meant}? A client's base URL ends with /v1" in explain(path, routes(*apis))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "/v1/shields",
            "API safety: where that is not served, add it to `apis` of the run config, and a provider to `providers.safety`",
        ),
        ("/v1/images/generations", "OpenAI has images"),
        ("/v1/responses", "API responses"),
        ("/v1/openai/v1/vector_stores", "API vector_io"),
        ("/v1/uploads", "API files: where that is not served, add it"),
        ("/v1alpha/eval/benchmarks", "API eval"),
    ],
)
def test_a_route_that_is_not_served_has_an_owner(path: str, words: str) -> None:
    text = explain(path, routes("inference", "admin"))
    assert words in text
    assert "/v1/inspect/routes" in text


def test_every_path_of_both_generations_is_of_an_api_or_a_route() -> None:
    for operation in compare().operations:
        for place in operation.places.values():
            text = explain(place.path.replace("{", "").replace("}", ""), routes(*names()))
            assert place.is_served or "of the API" in text or "Did you mean" in text, place.path


@pytest.mark.parametrize("path", ["/", "//", "/v1", "/v1/", "/nowhere", "/favicon.ico", "/" * 9999, "/a" * LONGEST])
def test_another_path_is_none(path: str) -> None:
    text = explain(path, routes(*names()))
    assert text.startswith("There is no route ")
    assert text.endswith(". GET /v1/inspect/routes lists what there is.")
