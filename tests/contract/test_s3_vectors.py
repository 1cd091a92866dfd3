"""Vector stores in S3 Vectors, over a double that refuses what the service does; what all providers promise is in
`test_vector_providers`."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
import math
import re
from typing import Any

import pytest

from core.apis.vector_filters import Combination, Comparison
from core.apis.vector_io import Chunk, VectorIndex, VectorQuery
from core.errors import ApiError, InvalidRequest, ProviderUnavailable, UpstreamFailed, UpstreamThrottled
from core.providers.s3_vectors.vector_io import S3Vectors
from core.providers.s3_vectors.wire import MOST_FUSED
from tests.contract.vector_providers import INDEX, chunk
from tests.parts.moto import aws_client
from tests.parts.s3_vectors import BUCKET, S3VectorsDouble, provider, running
from tests.parts.s3_vectors_model import Refusal

X, Y = (1.0, 0, 0, 0), (0, 1.0, 0, 0)
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd"


@pytest.fixture
async def double() -> AsyncGenerator[S3VectorsDouble]:
    async with running() as double:
        yield double


@pytest.fixture
async def vectors(double: S3VectorsDouble) -> AsyncGenerator[S3Vectors]:
    async with provider(double) as vectors:
        yield vectors


def indexes(double: S3VectorsDouble) -> list[str]:
    return sorted(double.buckets[BUCKET])


async def test_an_index_is_made_for_words_in_the_language_and_with_the_key(double: S3VectorsDouble) -> None:
    async with provider(double, language="de", kms_key_id=KEY, index_prefix="mine.") as vectors:
        await vectors.create(INDEX)
    [index] = double.buckets[BUCKET].values()
    configuration = index.configuration
    assert configuration["metadataConfiguration"] == {
        "nonFilterableMetadataKeys": ["_text", "_source", "_filename", "_metadata"],
        "textSearchConfigurations": [{"metadataKey": "_text", "language": "de"}],
    }
    assert configuration["encryptionConfiguration"] == {"sseType": "aws:kms", "kmsKeyArn": KEY}
    assert configuration["indexName"].startswith("mine.vs-1-")
    assert (configuration["dimension"], configuration["distanceMetric"]) == (4, "cosine")


async def test_no_language_is_the_standard_analyzer(double: S3VectorsDouble) -> None:
    async with provider(double, language="standard") as vectors:
        await vectors.create(INDEX)
    [index] = double.buckets[BUCKET].values()
    configuration = index.configuration["metadataConfiguration"]
    assert configuration["textSearchConfigurations"] == [{"metadataKey": "_text"}]


async def test_the_sdks_own_client_sees_what_was_put(double: S3VectorsDouble, vectors: S3Vectors) -> None:
    await vectors.put(INDEX, [chunk("f#0", "words", X, year=2024)])
    [name] = indexes(double)
    names = {"vectorBucketName": BUCKET, "indexName": name}

    def read() -> tuple[dict[str, Any], dict[str, Any]]:
        with aws_client("s3vectors", double.url) as client:
            listing = client.list_vectors(**names, returnMetadata=True, returnData=True)
            result = client.query_vectors(
                **names, topK=1, queryVector={"float32": list(Y)}, returnDistance=True, filter={"year": 2024}
            )
            return listing["vectors"][0], result["vectors"][0]

    vector, result = await asyncio.to_thread(read)
    metadata = {"_text": "words", "_source": "file-1", "_filename": "a.txt", "_metadata": '{"n": 1}', "year": 2024}
    assert vector == {"key": "f#0", "data": {"float32": list(X)}, "metadata": metadata}
    assert result == {"key": "f#0", "distance": 1.0}


async def test_two_that_make_an_index_at_once_both_have_it(double: S3VectorsDouble, vectors: S3Vectors) -> None:
    await asyncio.gather(*(vectors.put(INDEX, [chunk(f"f#{number}")]) for number in range(8)))
    assert len(await vectors.search(INDEX, VectorQuery(X))) == 8
    assert len(indexes(double)) == 1


async def test_writes_are_put_in_as_many_requests_as_they_need(double: S3VectorsDouble, vectors: S3Vectors) -> None:
    await vectors.create(INDEX)
    double.seen.clear()
    await vectors.put(INDEX, [chunk(f"f#{number}", "word") for number in range(1001)])
    assert [len(body["vectors"]) for _, body in double.seen] == [500, 500, 1]
    double.seen.clear()
    assert len(await vectors.fetch(INDEX, [f"f#{number}" for number in range(250)])) == 250
    assert [len(body["keys"]) for _, body in double.seen] == [100, 100, 50]
    double.seen.clear()
    await vectors.delete(INDEX, [f"f#{number}" for number in range(1001)] * 2)
    assert [len(body["keys"]) for _, body in double.seen] == [500, 500, 1]
    for nothing in (vectors.put(INDEX, []), vectors.delete(INDEX, []), vectors.fetch(INDEX, [])):
        await nothing
    assert len(double.seen) == 3


async def test_no_request_is_larger_than_the_service_takes(double: S3VectorsDouble, vectors: S3Vectors) -> None:
    index = replace(INDEX, dimension=4096)
    vector = [math.pi / (number + 1) for number in range(4096)]
    await vectors.put(index, [chunk(f"f#{number}", "x" * 30_000, vector) for number in range(200)])
    assert [len(body["vectors"]) for operation, body in double.seen if operation == "PutVectors"][2:] != []
    assert len(next(iter(double.buckets[BUCKET].values())).vectors) == 200


async def test_more_than_a_page_is_read_to_its_end(double: S3VectorsDouble, vectors: S3Vectors) -> None:
    await vectors.put(INDEX, [chunk(f"f#{number}", "word") for number in range(300)])
    double.seen.clear()
    found = await vectors.search(INDEX, VectorQuery(X, limit=250, with_vectors=True))
    assert len({one.chunk.key for one in found}) == 250
    assert all(tuple(one.chunk.vector) == X for one in found)
    assert double.operations == ["QueryVectors"] * 3 + ["GetVectors"] * 3
    with pytest.raises(InvalidRequest, match="1000 results"):
        await vectors.search(INDEX, VectorQuery(X, limit=1001))


async def test_both_rankings_are_one_query_whose_best_score_is_1(double: S3VectorsDouble, vectors: S3Vectors) -> None:
    await vectors.put(INDEX, [chunk("a", "rare", X), chunk("b", "other", Y)])
    double.seen.clear()
    first, second = await vectors.search(INDEX, VectorQuery(X, "rare"))
    assert (first.chunk.key, first.score) == ("a", 1.0)
    assert second.score == pytest.approx(1 / 62 / MOST_FUSED)
    [(operation, body)] = double.seen
    assert operation == "QueryVectors"
    assert body["queryTexts"] == [{"metadataKey": "_text", "text": "rare"}]


async def test_a_long_text_is_cut_after_a_word(double: S3VectorsDouble, vectors: S3Vectors) -> None:
    await vectors.put(INDEX, [chunk("a", "rare")])
    await vectors.search(INDEX, VectorQuery(text="rare " * 500))
    text = double.seen[-1][1]["queryTexts"][0]["text"]
    assert len(text) <= 1024
    assert text.endswith("rare")


async def test_a_search_for_a_vector_of_zeros_is_refused(vectors: S3Vectors) -> None:
    with pytest.raises(InvalidRequest, match="zeros has no direction"):
        await vectors.search(INDEX, VectorQuery((0, 0, 0, 0)))


async def test_an_index_that_is_removed_again_and_again_is_said_to_be(
    double: S3VectorsDouble, vectors: S3Vectors
) -> None:
    await vectors.health()
    double.refuse += [Refusal(404, "NotFoundException", "gone"), Refusal(409, "ConflictException", "there")] * 3
    with pytest.raises(ProviderUnavailable, match="is being removed"):
        await vectors.put(INDEX, [chunk("a")])


async def test_a_filter_is_printed_in_the_services_words(double: S3VectorsDouble, vectors: S3Vectors) -> None:
    inner = Combination("and", (Comparison("gte", "year", 2020), Comparison("nin", "a b", ("x", True))))
    tree = Combination("and", (inner, Combination("or", (Comparison("eq", "$or", 1), Comparison("ne", "tag", "t")))))
    await vectors.put(INDEX, [chunk("a")])
    await vectors.search(INDEX, VectorQuery(X, filter=tree))
    assert double.seen[-1][1]["filter"] == {
        "$and": [
            {"year": {"$gte": 2020}},
            {"$or": [{"_xa-20b": {"$exists": False}}, {"_xa-20b": {"$nin": ["x", True]}}]},
            {
                "$or": [
                    {"_x-24or": {"$eq": 1}},
                    {"$or": [{"tag": {"$exists": False}}, {"tag": {"$ne": "t"}}]},
                ]
            },
        ]
    }


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            chunk("f#1", "", X, **{f"key{number}": "x" * 500 for number in range(5)}),
            "have 2551 bytes as JSON, of at most 2048 .*fewer",
        ),
        (chunk("f#1", "", (0, 0, 0, 1e-60)), "vector of zeros has no direction"),
        (chunk("f#1", "", (1e39, 0, 0, 0)), "finite, as 32-bit floats"),
        (chunk("f#1", "x" * 41_000), "of at most 40960.*smaller chunks"),
        (chunk("f#1", "", X, **{f"k{number}": 1 for number in range(47)}), "47 attributes, of at most 46"),
    ],
)
async def test_what_the_service_would_not_keep_is_refused_before_anything_is_put(
    double: S3VectorsDouble, vectors: S3Vectors, bad: Chunk, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        await vectors.put(INDEX, [*(chunk(f"g#{number}") for number in range(600)), bad])
    assert double.operations == []


async def test_a_missing_vector_bucket_is_said_with_what_makes_it(double: S3VectorsDouble) -> None:
    command = re.escape("aws s3vectors create-vector-bucket --vector-bucket-name gone --region us-east-1")
    async with provider(double, vector_bucket="gone") as vectors:
        for call in (
            vectors.create(INDEX),
            vectors.put(INDEX, [chunk("a")]),
            vectors.search(INDEX, VectorQuery(X)),
            vectors.fetch(INDEX, ["a"]),
            vectors.delete(INDEX, ["a"]),
        ):
            with pytest.raises(ProviderUnavailable, match=command):
                await call
        health = await vectors.health()
    assert health["status"] == "Error"
    assert re.search(command, health.get("message", ""))


async def test_a_bucket_is_named_by_its_arn_too(double: S3VectorsDouble) -> None:
    arn = f"arn:aws:s3vectors:us-east-1:123456789012:bucket/{BUCKET}"
    async with provider(double, vector_bucket=arn, region_name=None) as vectors:
        await vectors.put(INDEX, [chunk("a")])
        assert len(await vectors.search(INDEX, VectorQuery(X))) == 1


async def test_a_throttled_write_is_made_and_one_that_stays_throttled_is_a_429(double: S3VectorsDouble) -> None:
    async with provider(double, total_max_attempts=2) as vectors:
        double.throttle(1)
        await vectors.put(INDEX, [chunk("a")])
        double.throttle(9)
        with pytest.raises(UpstreamThrottled, match="`s3-vectors` is throttling"):
            await vectors.put(INDEX, [chunk("b")])


@pytest.mark.parametrize(
    ("refusal", "kind", "message"),
    [
        (Refusal(403, "AccessDeniedException", "User arn:aws:iam::1 is not"), UpstreamFailed, "`llambda iam`"),
        (Refusal(402, "ServiceQuotaExceededException", "full"), UpstreamFailed, "another `vector_bucket`"),
        (Refusal(400, "KmsDisabledException", "off"), UpstreamFailed, "KMS key, which is disabled"),
        (Refusal(400, "ValidationException", "Invalid record for key 'a'"), InvalidRequest, "Invalid record"),
        (Refusal(400, "SomethingNew", "secret"), UpstreamFailed, "failed to answer"),
    ],
)
async def test_a_refusal_says_what_to_do(
    double: S3VectorsDouble, vectors: S3Vectors, refusal: Refusal, kind: type[ApiError], message: str
) -> None:
    await vectors.create(INDEX)
    double.refuse += [refusal]
    with pytest.raises(kind, match=message) as failure:
        await vectors.put(INDEX, [chunk("a")])
    assert "arn:aws:iam" not in failure.value.message
    assert failure.value.reason == refusal.kind


async def test_a_store_of_any_name_has_an_index_of_its_own(double: S3VectorsDouble, vectors: S3Vectors) -> None:
    names = ["a", "A", "a.", "", "日本", "x" * 300, "x" * 301, "../a", "vs_1", "vs-1"]
    for name in names:
        await vectors.put(VectorIndex("vs", name, 4), [chunk(ascii(name))])
    assert len(indexes(double)) == len(names)
    for name in names:
        [only] = await vectors.search(VectorIndex("vs", name, 4), VectorQuery(X))
        assert only.chunk.key == ascii(name)


async def test_an_index_that_others_write_to_is_read_as_far_as_it_can_be(
    double: S3VectorsDouble, vectors: S3Vectors
) -> None:
    await vectors.create(INDEX)
    [name] = indexes(double)

    def write() -> None:
        with aws_client("s3vectors", double.url) as client:
            bare = {"key": "bare", "data": {"float32": list(X)}}
            listed = {"key": "listed", "data": {"float32": list(X)}, "metadata": {"tags": ["a", "b"]}}
            client.put_vectors(vectorBucketName=BUCKET, indexName=name, vectors=[bare, listed])

    await asyncio.to_thread(write)
    found = await vectors.search(INDEX, VectorQuery(X))
    assert {one.chunk.key: dict(one.chunk.attributes) for one in found} == {"bare": {}, "listed": {}}
    assert [one.chunk.text for one in found] == ["", ""]
