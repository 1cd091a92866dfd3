"""Embeddings through InvokeModel: the bodies of each family, in order, in parallel and in bounds."""

import asyncio
from base64 import b64decode
import json
import struct
from typing import Any

from aiohttp import web
import pytest

from core.apis.inference import EmbeddingsRequest
from core.errors import InvalidRequest, UpstreamFailed, UpstreamThrottled
from core.providers.bedrock.inference import AT_ONCE
from tests.parts.bedrock import (
    COHERE,
    TITAN,
    FakeBedrock,
    embedded,
    model,
    profile,
    refusal,
    serving,
)
from tests.parts.upstream import raw

TEXTS = [f"text {number}" for number in range(20)]


def embeddings(name: str, texts: Any, **more: Any) -> EmbeddingsRequest:
    return EmbeddingsRequest.model_validate({"model": name, "input": texts, **more})


def invoked(fake: FakeBedrock) -> list[Any]:
    return [seen.body for seen in fake.seen if seen.path.endswith("/invoke")]


async def numbered(request: web.Request) -> web.StreamResponse:
    """Titan's answer of the number in the text; the later it was asked for, the sooner it is there."""
    number = int(json.loads(await request.read())["inputText"].split()[1])
    await asyncio.sleep((20 - number) / 1000)
    return await embedded({"embedding": [number], "inputTextTokenCount": 1}, 2)(request)


async def test_titan_is_asked_a_text_at_a_time_and_the_order_is_kept() -> None:
    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = numbered
        answer = await bedrock.embeddings(embeddings(TITAN, TEXTS))
    assert sorted(body["inputText"] for body in invoked(fake)) == sorted(TEXTS)
    assert [(each["index"], each["embedding"]) for each in answer["data"]] == [(at, [at]) for at in range(20)]
    assert answer["usage"] == {"prompt_tokens": 40, "total_tokens": 40}
    assert (answer["object"], answer["model"]) == ("list", TITAN)


async def test_no_more_are_invoked_at_once_than_is_polite() -> None:
    now = most = 0

    async def counted(request: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return await embedded({"embedding": [1]}, 1)(request)

    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = counted
        await bedrock.embeddings(embeddings(TITAN, TEXTS))
    assert most == AT_ONCE


@pytest.mark.parametrize(
    ("name", "more", "body"),
    [
        (TITAN, {}, {"inputText": "a"}),
        (TITAN, {"dimensions": 256}, {"inputText": "a", "dimensions": 256}),
        (TITAN, {"dimensions": None, "user": "u"}, {"inputText": "a"}),
        (COHERE, {}, {"texts": ["a"], "input_type": "search_document"}),
        (COHERE, {"input_type": "search_query"}, {"texts": ["a"], "input_type": "search_query"}),
        (
            COHERE,
            {"dimensions": 512},
            {"texts": ["a"], "input_type": "search_document", "output_dimension": 512},
        ),
    ],
)
async def test_each_family_has_its_own_body(name: str, more: dict[str, Any], body: dict[str, Any]) -> None:
    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = embedded({"embedding": [1], "embeddings": [[1]]}, 1)
        await bedrock.embeddings(embeddings(name, "a", **more))
    assert invoked(fake) == [body]
    assert fake.seen[-1].headers["content-type"] == "application/json"


async def test_cohere_is_asked_ninety_six_texts_at_a_time() -> None:
    async def counted(request: web.Request) -> web.StreamResponse:
        texts = json.loads(await request.read())["texts"]
        return await embedded({"embeddings": [[int(text)] for text in texts]}, len(texts))(request)

    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = counted
        answer = await bedrock.embeddings(embeddings(COHERE, [str(number) for number in range(200)]))
    assert sorted(len(body["texts"]) for body in invoked(fake)) == [8, 96, 96]
    assert [each["embedding"] for each in answer["data"]] == [[at] for at in range(200)]
    assert answer["usage"]["total_tokens"] == 200


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "1", "texts": ["a"], "embeddings": [[0.5, 1]], "response_type": "embeddings_floats"},
        {"id": "1", "texts": ["a"], "embeddings": {"float": [[0.5, 1]]}, "response_type": "embeddings_by_type"},
    ],
)
async def test_coheres_answers_are_read_whichever_type_they_are(answer: dict[str, Any]) -> None:
    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = embedded(answer, 3)
        made = await bedrock.embeddings(embeddings(COHERE, "a"))
    assert made["data"] == [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}]


async def test_base64_is_of_little_endian_floats() -> None:
    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = embedded({"embedding": [0.5, -2, 1e-3]}, 3)
        answer = await bedrock.embeddings(embeddings(TITAN, "a", encoding_format="base64"))
    found = struct.unpack("<3f", b64decode(answer["data"][0]["embedding"]))
    assert found == pytest.approx((0.5, -2, 1e-3))


@pytest.mark.parametrize(
    ("texts", "more", "param"),
    [
        ("", {}, "input"),
        ([], {}, "input"),
        (["a", ""], {}, "input"),
        ([1, 2], {}, "input"),
        ([[1, 2]], {}, "input"),
        ("a", {"encoding_format": "hex"}, "encoding_format"),
        ("a", {"dimensions": 0}, "dimensions"),
        ("a", {"dimensions": True}, "dimensions"),
        ("a", {"dimensions": "512"}, "dimensions"),
    ],
)
async def test_what_cannot_be_embedded_is_refused_before_it_is_asked(
    texts: Any, more: dict[str, Any], param: str
) -> None:
    async with serving() as (fake, bedrock):
        with pytest.raises(InvalidRequest) as refused:
            await bedrock.embeddings(embeddings(TITAN, texts, **more))
    assert refused.value.param == param
    assert invoked(fake) == []


async def test_a_call_that_fails_fails_all_and_cancels_the_rest() -> None:
    async def third_fails(request: web.Request) -> web.StreamResponse:
        if json.loads(await request.read())["inputText"] == TEXTS[2]:
            return await refusal(429, "ThrottlingException", headers={"retry-after": "3"})(request)
        await asyncio.sleep(3600)
        raise AssertionError

    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = third_fails
        with pytest.raises(UpstreamThrottled) as failure:
            await bedrock.embeddings(embeddings(TITAN, TEXTS))
        await asyncio.wait_for(fake.cancelled.wait(), 10)
    assert failure.value.headers == {"retry-after": "3"}
    assert len(invoked(fake)) <= AT_ONCE + 1, "its slot may have been taken meanwhile"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nope",
        b"{}",
        b'{"embedding": []}',
        b'{"embedding": ["a"]}',
        b'{"embedding": [true]}',
        b'{"embedding": {"a": 1}}',
        b'{"embeddings": {"int8": [[1]]}}',
    ],
)
@pytest.mark.parametrize("name", [TITAN, COHERE])
async def test_an_answer_without_vectors_is_the_upstreams_failure(name: str, body: bytes) -> None:
    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = raw(body)
        with pytest.raises(UpstreamFailed):
            await bedrock.embeddings(embeddings(name, "a"))


@pytest.mark.parametrize("count", [1, 3])
async def test_an_answer_with_other_than_a_vector_for_each_text_is_the_upstreams_failure(count: int) -> None:
    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = embedded({"embeddings": [[1]] * count}, 1)
        with pytest.raises(UpstreamFailed):
            await bedrock.embeddings(embeddings(COHERE, ["a", "b"]))


async def test_without_a_count_there_are_no_tokens() -> None:
    async with serving() as (fake, bedrock):
        fake.replies["invoke"] = raw(b'{"embedding": [1]}')
        answer = await bedrock.embeddings(embeddings(TITAN, "a"))
    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


async def test_models_of_another_body_are_refused_and_multimodal_cohere_embeds_text() -> None:
    pictures = {"inputModalities": ["TEXT", "IMAGE"]}
    models = [
        model("amazon.pictures", "Amazon", "EMBEDDING", **pictures),
        model("marengo.films", "TwelveLabs", "EMBEDDING"),
        model("cohere.v4", "Cohere", "EMBEDDING", **pictures),
    ]
    async with serving(FakeBedrock(models=models, profiles=[profile("us.v4", "SYSTEM_DEFINED", "cohere.v4")])) as (
        fake,
        bedrock,
    ):
        fake.replies["invoke"] = embedded({"embeddings": {"float": [[1]]}}, 1)
        for name in ("amazon.pictures", "marengo.films"):
            with pytest.raises(InvalidRequest, match="a request format") as refused:
                await bedrock.embeddings(embeddings(name, "a"))
            assert refused.value.param == "model"
        for name in ("cohere.v4", "us.v4"):
            assert (await bedrock.embeddings(embeddings(name, "a")))["data"][0]["embedding"] == [1]
    assert fake.raw_paths[-1] == "/model/us.v4/invoke"
