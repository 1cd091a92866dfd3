"""Vector stores over the RDS Data API: its limits, a cluster that was paused, answers that are lost; and the double, by boto3's own client."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
import random
from typing import Any

import pytest

from core.apis.vector_io import Chunk, VectorQuery
from core.errors import (
    ApiError,
    InvalidRequest,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)
from core.providers.pgvector.vector_io import PgVector
from tests.contract.vector_providers import INDEX, chunk, random_vector
from tests.parts.moto import aws_client
from tests.parts.postgres import Database, Server, new_schema
from tests.parts.rds_data import CLUSTER, SECRET, RdsDataDouble, config_of, provider, running
from tests.parts.s3_vectors_model import Refusal
from tests.parts.vector_stack import insert, make, message, search, vector_world

X = (1.0, 0, 0, 0)
PLACE = {"resourceArn": CLUSTER, "secretArn": SECRET}


@pytest.fixture
async def double(postgres_server: Server) -> AsyncGenerator[RdsDataDouble]:
    async with running(Database(postgres_server.port, "postgres")) as opened:
        yield opened


@pytest.fixture
async def aurora(double: RdsDataDouble) -> AsyncGenerator[PgVector]:
    async with provider(double, db_schema=new_schema()) as opened:
        yield opened


async def found(aurora: PgVector, **query: Any) -> list[str]:
    return [one.chunk.key for one in await aurora.search(INDEX, VectorQuery(**({"vector": X} | query)))]


async def test_a_search_is_one_call(double: RdsDataDouble, aurora: PgVector) -> None:
    await aurora.put(INDEX, [chunk("a", "word")])
    double.seen.clear()
    assert await found(aurora, text="word") == ["a"]
    assert double.operations == ["ExecuteStatement"]


async def test_a_cluster_that_was_paused_is_waited_for(double: RdsDataDouble, aurora: PgVector) -> None:
    double.paused = 1
    await aurora.put(INDEX, [chunk("a")])
    double.paused = 1
    assert await found(aurora) == ["a"]


async def test_a_cluster_that_stays_paused_is_said_to_be_resuming(tmp_path: Path, double: RdsDataDouble) -> None:
    config = config_of(double) | {"db_schema": new_schema(), "resume_timeout": 0.01}
    entry = {"provider_id": "pg", "provider_type": "remote::pgvector", "config": config}
    async with vector_world(tmp_path, entry=entry) as world:
        client = await world.client()
        store = await make(client)
        await insert(client, store["id"], "one")
        double.paused = 100
        answer = await search(client, store["id"], "one")
        await world.opened.aclose()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert message(answer) == (
        "The database of provider `pg` was paused and is resuming, which takes up to half a minute. Try again in a moment."
    )


async def test_more_than_an_answer_holds_comes_in_several(double: RdsDataDouble, aurora: PgVector) -> None:
    source = random.Random(1)  # noqa: S311
    texts = {f"f#{n}": source.randbytes(14_000).hex() for n in range(60)}
    await aurora.put(INDEX, [Chunk(key, text, X) for key, text in texts.items()])
    double.seen.clear()
    results = await aurora.search(INDEX, VectorQuery(X, limit=100))
    assert {one.chunk.key: one.chunk.text for one in results} == texts
    assert len(double.seen) > 1
    fetched = await aurora.fetch(INDEX, list(texts), with_vectors=True)
    assert [(one.key, one.text, tuple(one.vector)) for one in fetched] == [
        (key, text, X) for key, text in texts.items()
    ]


async def test_a_chunk_that_no_answer_holds_is_refused_and_what_others_put_is_named(
    double: RdsDataDouble, aurora: PgVector
) -> None:
    with pytest.raises(
        InvalidRequest, match=r"`big` has .* of at most 60000 that are kept together here: make smaller"
    ):
        await aurora.put(INDEX, [chunk("a"), chunk("big", "x" * 60_000)])
    assert await found(aurora) == []
    await aurora.put(INDEX, [chunk("a", "x" * 59_000)])
    schema = aurora._config.db_schema
    [[table]] = await double.database.execute(f"SELECT digest FROM {schema}.llambda_vector_stores")
    await double.database.execute(f"UPDATE {schema}.{table} SET text = repeat('y', 70000)")
    with pytest.raises(UpstreamFailed, match="more than the 64 KB that the Data API answers"):
        await found(aurora)


async def test_many_chunks_are_put_in_as_many_calls_as_they_need(aurora: PgVector) -> None:
    await aurora.put(
        INDEX, [Chunk(f"f#{n}", '"' * 20_000, X) for n in range(120)]
    )  # of which JSON in JSON makes four times as much
    assert len(await found(aurora, limit=200)) == 120


@pytest.mark.parametrize("operation", ["put", "create"])
async def test_an_answer_that_was_lost_is_asked_for_again(
    double: RdsDataDouble, aurora: PgVector, operation: str
) -> None:
    if operation == "put":
        await aurora.put(INDEX, [chunk("z")])
    double.lose = [Refusal(503, "ServiceUnavailableError", "")]
    await aurora.put(INDEX, [chunk("a")])
    assert "a" in await found(aurora, limit=5)


async def test_a_commit_whose_answer_was_lost_is_looked_at_again(double: RdsDataDouble, aurora: PgVector) -> None:
    await aurora.put(INDEX, [chunk("a")])
    double.lose_commit = True
    await aurora.drop(INDEX)
    assert double.operations.count("BeginTransaction") == 4  # of the tables, the store, and its removal twice
    assert await found(aurora) == []


@pytest.mark.parametrize(
    ("refusal", "kind", "said"),
    [
        (Refusal(400, "HttpEndpointNotEnabledException", "x"), ProviderUnavailable, "enable-http-endpoint"),
        (Refusal(403, "AccessDeniedException", "hidden"), UpstreamFailed, "`llambda iam` prints those that it needs"),
        (Refusal(403, "ForbiddenException", "hidden"), UpstreamFailed, "`llambda iam` prints those that it needs"),
        (Refusal(400, "SecretsErrorException", "hidden"), UpstreamFailed, "cannot read the secret of its `secret_arn`"),
        (Refusal(400, "InvalidSecretException", "hidden"), UpstreamFailed, "no user and password in the secret"),
        (Refusal(404, "DatabaseNotFoundException", "x"), ProviderUnavailable, "no instance in its cluster"),
        (Refusal(400, "BadRequestException", "hidden"), UpstreamFailed, "refused the statement"),
        (Refusal(429, "ThrottlingException", "x"), UpstreamThrottled, "is throttling"),
        (Refusal(400, "StatementTimeoutException", "x"), UpstreamTimeout, "after the 45 seconds of the Data API"),
        (Refusal(504, "DatabaseUnavailableException", "x"), ProviderUnavailable, "no writer that is available"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
async def test_what_the_data_api_refuses_says_what_to_do(
    double: RdsDataDouble, refusal: Refusal, kind: type[ApiError], said: str
) -> None:
    async with provider(double, db_schema=new_schema(), total_max_attempts=1) as aurora:
        double.refuse = [refusal] * 5
        with pytest.raises(kind) as raised:
            await found(aurora)
        assert said in raised.value.message
        assert "hidden" not in raised.value.message


async def test_a_statement_that_takes_too_long_is_said_to(double: RdsDataDouble, aurora: PgVector) -> None:
    await aurora.put(INDEX, [Chunk(f"f#{n}", "", random_vector(4, random.Random(n))) for n in range(10)])  # noqa: S311
    double.seconds = 0
    with pytest.raises(UpstreamTimeout, match="45 seconds"):
        await found(aurora)


async def test_boto3s_own_client_finds_the_double_as_it_finds_the_service(double: RdsDataDouble) -> None:
    def ask() -> None:
        with aws_client("rds-data", double.url) as client:
            place = PLACE | {"database": "postgres"}
            table = f"t{random.randbytes(6).hex()}"  # noqa: S311
            client.execute_statement(**place, sql=f"CREATE TABLE {table} (a bigint, b text, c boolean, d float8)")
            rows = [
                [{"name": "a", "value": {"longValue": n}}, {"name": "b", "value": {"stringValue": "x"}}] for n in (1, 2)
            ]
            sql = f"INSERT INTO {table} VALUES (CAST(:a AS bigint), CAST(:b AS text), true, 0.5)"
            answer = client.batch_execute_statement(**place, sql=sql, parameterSets=rows)
            assert len(answer["updateResults"]) == 2
            for ending, count in (("rollback", 2), ("commit", 3)):
                transaction = client.begin_transaction(**place)["transactionId"]
                client.execute_statement(**place, sql=sql, parameters=rows[0], transactionId=transaction)
                getattr(client, f"{ending}_transaction")(**PLACE, transactionId=transaction)
                answer = client.execute_statement(**place, sql=f"SELECT a, b, c, d, NULL FROM {table} ORDER BY a")
                assert len(answer["records"]) == count
                assert answer["records"][0] == [
                    {"longValue": 1},
                    {"stringValue": "x"},
                    {"booleanValue": True},
                    {"doubleValue": 0.5},
                    {"isNull": True},
                ]
            for sql, kind in (
                ("SELECT * FROM nowhere", client.exceptions.DatabaseErrorException),
                ("SELECT CAST('[1]' AS vector)", client.exceptions.UnsupportedResultException),
                ("SELECT repeat('x', 70000)", client.exceptions.UnsupportedResultException),
                ("SELECT :missing", client.exceptions.BadRequestException),
            ):
                with pytest.raises(kind):
                    client.execute_statement(**place, sql=sql)
            with pytest.raises(client.exceptions.TransactionNotFoundException):
                client.commit_transaction(**PLACE, transactionId="none")
            double.paused = 1
            with pytest.raises(client.exceptions.DatabaseResumingException):
                client.execute_statement(**place, sql="SELECT 1")

    await asyncio.to_thread(ask)
