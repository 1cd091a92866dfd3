"""Batches at a provider's own side, the same of every engine: Bedrock's jobs over S3, and a vendor's `/v1/batches`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
import json
from typing import Any

import pytest

from core.apis.batch_engine import CHAT, BatchEngine, NativeBatch, NativeResult, NativeRow
from core.errors import ApiError, InvalidRequest, ProviderUnavailable
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import config_of
from tests.parts.bedrock import FakeBedrock, serving
from tests.parts.bedrock_jobs import ROLE, BedrockJobs
from tests.parts.moto import aws_client
from tests.parts.secrets import plant
from tests.parts.upstream import CHAT as ANSWER
from tests.parts.upstream import running
from tests.parts.vendor_batches import VendorBatches

type Words = Callable[[str], dict[str, Any]]
TOKEN = "batch-0123456789abcdef-0"
MODEL = "anthropic.claude-test-v1:0"


@dataclass
class World:
    """An engine and its double. `told` makes the double's answer of a text, `refused` that of a row which it refuses."""

    engine: BatchEngine
    double: BedrockJobs | VendorBatches
    told: Words
    failed: Callable[[int, str], dict[str, Any]]
    leftovers: Callable[[], Awaitable[int]]


@asynccontextmanager
async def bedrock(moto_endpoint: str, bucket: str) -> AsyncIterator[World]:
    jobs, fake = BedrockJobs(moto_endpoint), FakeBedrock()
    jobs.serve(fake)
    config = {"batch_s3_uri": f"s3://{bucket}/batches", "batch_role_arn": ROLE, "batch_s3_endpoint_url": moto_endpoint}
    async with serving(fake, batch_least_rows=3, **config) as (_, provider):
        engine = provider.batches()
        assert engine is not None

        async def leftovers() -> int:
            with aws_client("s3", moto_endpoint) as s3:
                return int(s3.list_objects_v2(Bucket=bucket)["KeyCount"])

        yield World(
            engine, jobs, _converse, lambda code, text: {"error": {"errorCode": code, "errorMessage": text}}, leftovers
        )


@asynccontextmanager
async def vendor() -> AsyncIterator[World]:
    async with running(VendorBatches()) as fake:
        assert isinstance(fake, VendorBatches)
        settings = config_of("remote::openai-compatible").model_validate(
            {"url": fake.url, "api_key": plant("vendors-key")}
        )
        provider = OpenAICompatible("v", settings)
        engine = provider.batches()
        assert engine is not None

        async def leftovers() -> int:
            return len(fake.files)

        try:
            yield World(engine, fake, _completion, _refused, leftovers)
        finally:
            await provider.close()


def _converse(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": [{"text": text}]}
    usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    return {"modelOutput": {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}}


def _completion(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    body = {**ANSWER, "choices": [choice], "usage": usage}
    return {"response": {"status_code": 200, "request_id": "r", "body": body}}


def _refused(code: int, text: str) -> dict[str, Any]:
    return {"response": {"status_code": code, "request_id": "r", "body": {"error": {"message": text}}}}


@pytest.fixture(params=["bedrock", "vendor"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "vendor":
        async with vendor() as made:
            yield made
        return
    bucket = request.getfixturevalue("bucket")
    async with bedrock(request.getfixturevalue("moto_endpoint"), bucket) as made:
        yield made


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "mine", "messages": [{"role": "user", "content": text}], **more}


async def rows(bodies: Iterable[dict[str, Any]]) -> AsyncIterator[NativeRow]:
    for number, each in enumerate(bodies):
        yield NativeRow(number, each)


async def submit(engine: BatchEngine, *bodies: dict[str, Any]) -> dict[str, Any]:
    return await engine.submit(NativeBatch(TOKEN, CHAT, MODEL), rows(bodies))


async def ended(engine: BatchEngine, handle: dict[str, Any]) -> dict[int, NativeResult]:
    """What the batch came to, once it has ended; a batch that does not is the suite's own timeout's."""
    while not (await engine.poll(handle)).ended:
        pass
    return {result.row: result async for result in engine.results(handle)}


def text_of(line: dict[str, Any]) -> str:
    message = (line.get("modelInput") or line["body"])["messages"][0]
    content = message["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


def words_of(result: NativeResult) -> str:
    assert result.answer is not None
    return str(result.answer["choices"][0]["message"]["content"])


async def test_rows_come_back_by_their_numbers_in_any_order_and_nothing_is_left_after_them(world: World) -> None:
    world.double.outcome = lambda line: world.told(f"re: {text_of(line)}")
    handle = json.loads(json.dumps(await submit(world.engine, *(body(f"n{number}") for number in range(4)))))
    results = await ended(world.engine, handle)
    assert {row: words_of(result) for row, result in results.items()} == {n: f"re: n{n}" for n in range(4)}
    answer = results[0].answer
    assert answer is not None
    assert (answer["object"], answer["usage"]["total_tokens"]) == ("chat.completion", 5)
    progress = await world.engine.poll(handle)
    assert (progress.total, progress.completed, progress.failed) == (4, 4, 0)
    await world.engine.discard(handle)
    assert await world.leftovers() == 0
    await world.engine.discard(handle)


async def test_a_batch_that_is_submitted_twice_is_one(world: World) -> None:
    first = await submit(world.engine, *(body("a") for _ in range(3)))
    assert await submit(world.engine, *(body("a") for _ in range(3))) == first
    assert len(world.double.jobs if isinstance(world.double, BedrockJobs) else world.double.batches) == 1


async def test_a_row_that_fails_says_whether_asking_again_may_help(world: World) -> None:
    """What is the row's own fault is told, what is the stack's or the provider's is not."""
    texts = {400: "max_tokens is too large", 429: "slow down", 500: "it broke", 403: "no key of yours"}
    world.double.outcome = lambda line: (
        world.failed(int(text_of(line)), texts[int(text_of(line))]) if text_of(line) != "ok" else world.told("fine")
    )
    handle = await submit(world.engine, body("ok"), *(body(str(code)) for code in texts))
    results = await ended(world.engine, handle)
    assert words_of(results[0]) == "fine"
    failures = {code: results[row].failure for row, code in enumerate(texts, 1)}
    assert {code: failure.status for code, failure in failures.items() if failure} == {
        400: 400,
        429: 429,
        500: 502,
        403: 502,
    }
    assert [results[row].is_final for row in range(1, 5)] == [True, False, False, False]
    assert {code for code, failure in failures.items() if texts[code] in str(failure)} == {400}


async def test_rows_without_a_result_are_just_missing(world: World) -> None:
    world.double.outcome = lambda line: {} if text_of(line) == "gone" else world.told("fine")
    results = await ended(world.engine, await submit(world.engine, body("a"), body("gone"), body("b")))
    assert sorted(results) == [0, 2]


async def test_a_batch_that_is_stopped_or_late_gives_what_it_came_to(world: World) -> None:
    world.double.held, world.double.done = True, 2
    handle = await submit(world.engine, *(body("a") for _ in range(4)))
    assert not (await world.engine.poll(handle)).ended
    await world.engine.stop(handle)
    assert sorted(await ended(world.engine, handle)) == [0, 1]
    await world.engine.stop(handle)  # which has ended
    world.double.held, world.double.cut = False, 3
    late = await world.engine.submit(NativeBatch("other", CHAT, MODEL), rows(body("a") for _ in range(4)))
    assert sorted(await ended(world.engine, late)) == [0, 1, 2]


async def test_what_the_rows_raise_is_raised_and_nothing_is_submitted(world: World) -> None:
    async def broken() -> AsyncIterator[NativeRow]:
        yield NativeRow(0, body("a"))
        raise ProviderUnavailable("the file is gone")

    with pytest.raises(ProviderUnavailable, match="the file is gone"):
        await world.engine.submit(NativeBatch(TOKEN, CHAT, MODEL), broken())
    assert world.double.created == 0


async def test_a_row_that_cannot_be_sent_is_left_out_of_the_batch(world: World) -> None:
    handle = await submit(world.engine, body("a"), {"model": "mine", "messages": []}, body("b"), body("c"))
    assert sorted(await ended(world.engine, handle)) == [0, 2, 3]


async def test_other_endpoints_and_bodies_that_are_none_are_refused(world: World) -> None:
    refusal = world.engine.refusal
    assert refusal(CHAT, MODEL, body("a")) is None
    assert refusal("/v1/responses", MODEL, body("a"))
    assert refusal(CHAT, MODEL, {"messages": "a"})


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"n": 2},
        {"guardrail_config": {"guardrailIdentifier": "g", "guardrailVersion": "1"}},
        {"logprobs": True},
    ],
)
async def test_bedrock_refuses_what_its_batches_cannot_do(
    moto_endpoint: str, bucket: str, more: dict[str, Any]
) -> None:
    async with bedrock(moto_endpoint, bucket) as world:
        assert world.engine.refusal(CHAT, MODEL, body("a", **more))
        image = {"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png"}}
        assert world.engine.refusal(CHAT, MODEL, {"messages": [{"role": "user", "content": [image]}]}) is None


async def test_bedrocks_records_are_converse_requests_and_answers_lose_what_they_would_live(
    moto_endpoint: str, bucket: str
) -> None:
    """The stops and the form of an answer are the request's, which Bedrock gives back in its own words."""
    image = "data:image/png;base64,iVBORw0KGgo="
    picture = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": image}}]
    async with bedrock(moto_endpoint, bucket) as world:
        jobs = world.double
        assert isinstance(jobs, BedrockJobs)
        seen: list[dict[str, Any]] = []

        def answer(record: dict[str, Any]) -> dict[str, Any]:
            seen.append(record)
            told = _converse("one END two")
            thought = {"reasoningContent": {"redactedContent": "c2VjcmV0"}}
            told["modelOutput"]["output"]["message"]["content"].insert(0, thought)
            return told

        jobs.outcome = answer
        bodies = [body("a", max_tokens=7), body("b", stop="END"), {"messages": [{"role": "user", "content": picture}]}]
        results = await ended(world.engine, await submit(world.engine, *bodies))
    asked = next(iter(jobs.jobs.values())).request
    assert (asked["modelInvocationType"], asked["modelId"], asked["roleArn"]) == ("Converse", MODEL, ROLE)
    assert [record["recordId"] for record in seen] == [f"R{n:010}" for n in range(3)]
    assert seen[0]["modelInput"] == {
        "messages": [{"role": "user", "content": [{"text": "a"}]}],
        "inferenceConfig": {"maxTokens": 7},
    }
    assert seen[2]["modelInput"]["messages"][0]["content"][1]["image"]["source"] == {"bytes": "iVBORw0KGgo="}
    assert [words_of(results[row]) for row in range(3)] == ["one END two", "one ", "one END two"]
    assert results[0].answer is not None
    assert results[0].answer["choices"][0]["message"]["thinking_blocks"] == [
        {"type": "redacted_thinking", "data": "c2VjcmV0"}
    ]


async def test_a_job_that_bedrock_refuses_says_why(moto_endpoint: str, bucket: str) -> None:
    async with bedrock(moto_endpoint, bucket) as world:
        jobs = world.double
        handle = await submit(world.engine, body("a"))  # of three that it wants
        results = await ended(world.engine, handle)
        assert (results, (await world.engine.poll(handle)).reason[:10]) == ({}, "records: 1")
        with pytest.raises(ApiError) as gone:
            await world.engine.poll({**handle, "job": f"{handle['job'][:-1]}9"})
        assert gone.value.status == 404
        assert isinstance(jobs, BedrockJobs)
    async with bedrock(moto_endpoint, "no-such-bucket") as world:
        with pytest.raises(ProviderUnavailable, match="S3 bucket"):
            await submit(world.engine, body("a"))


async def test_a_role_that_bedrock_cannot_assume_is_refused(moto_endpoint: str, bucket: str) -> None:
    jobs, fake = BedrockJobs(moto_endpoint), FakeBedrock()
    jobs.serve(fake)
    config = {"batch_s3_uri": f"s3://{bucket}", "batch_s3_endpoint_url": moto_endpoint}
    other = "arn:aws:iam::123456789012:role/other"
    async with serving(fake, batch_role_arn=other, **config) as (_, provider):
        engine = provider.batches()
        assert engine is not None
        with pytest.raises(InvalidRequest, match="the role cannot be assumed"):
            await submit(engine, body("a"))
