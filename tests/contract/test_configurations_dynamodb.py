"""The DynamoDB configurations: what they ask for, and what DynamoDB Local never answers."""

from collections.abc import AsyncGenerator
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
import pytest

from core.errors import NotFound, ProviderUnavailable
from core.platform.dynamodb_table import Table
from core.platform.retry import Backoff
from core.stores.configurations.dynamodb import DynamoConfigurations
from core.stores.configurations.port import Head
from tests.contract.configurations import Configuring, configuration
from tests.contract.registries import Backend, model
from tests.contract.test_dynamodb_failures import Scripted, cancelled, failure

pytestmark = pytest.mark.usefixtures("aws_credentials")
TRIES = 10
AT_ONCE = Backoff(0, 0, TRIES)
DONE: tuple[int, dict[str, Any]] = (200, {})


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
async def store(script: Scripted) -> AsyncGenerator[DynamoConfigurations]:
    app = web.Application()
    app.router.add_post("/", script.answer)
    async with TestServer(app) as server:
        table = Table("models", region=None, endpoint_url=str(server.make_url("")))
        store = DynamoConfigurations(table, namespace="a#b", backoff=AT_ONCE)
        yield store
        await store.close()


async def test_every_read_is_one_strongly_consistent_call(store: DynamoConfigurations, script: Scripted) -> None:
    script.answers = [(200, {}), (200, {}), (200, {"Items": []})]
    await store.head()
    await store.get(7)
    await store.page(before=12, limit=5)
    assert [(name, body["ConsistentRead"]) for name, body in script.asked] == [
        ("GetItem", True),
        ("GetItem", True),
        ("Query", True),
    ]
    (_, head), (_, one), (_, page) = script.asked
    assert head["Key"] == {"pk": {"S": "a%23b#@configurations"}, "sk": {"S": "head"}}
    assert one["Key"]["sk"] == {"S": "0000000000000000007"}
    assert (page["ScanIndexForward"], page["Limit"]) == (False, 5)


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
async def test_a_write_that_met_another_is_tried_again(
    store: DynamoConfigurations, script: Scripted, reason: str
) -> None:
    script.answers = [cancelled("None", reason), cancelled(reason, "None"), DONE]
    assert await store.append(configuration(1), after=Head()) is True
    assert len(script.asked) == 3
    script.answers = [cancelled(reason, reason), DONE]
    assert await store.remove(1, after=Head(1, 1)) is True


async def test_a_write_that_always_meets_others_is_given_up(store: DynamoConfigurations, script: Scripted) -> None:
    script.answers = [cancelled("TransactionConflict", "None")]
    with pytest.raises(ProviderUnavailable, match="`models` is busy"):
        await store.append(configuration(1), after=Head())
    assert len(script.asked) == TRIES


async def test_a_moved_head_decides_whatever_else_was_refused(store: DynamoConfigurations, script: Scripted) -> None:
    for other in ("None", "ConditionalCheckFailed", "TransactionConflict"):
        script.answers = [cancelled("ConditionalCheckFailed", other)]
        assert await store.append(configuration(1), after=Head()) is False
        assert await store.remove(1, after=Head(1, 1)) is False
    script.answers = [cancelled("None", "ConditionalCheckFailed")]
    with pytest.raises(NotFound):
        await store.remove(1, after=Head(1, 1))


async def test_a_write_that_can_never_succeed_is_not_tried_again(store: DynamoConfigurations, script: Scripted) -> None:
    script.answers = [cancelled("None", "ValidationError")]
    with pytest.raises(ProviderUnavailable, match="refused a write: ValidationError") as refused:
        await store.append(configuration(1), after=Head())
    assert len(script.asked) == 1
    assert "secret" not in refused.value.message


async def test_the_sdk_repeats_a_write_under_the_same_token(store: DynamoConfigurations, script: Scripted) -> None:
    script.answers = [failure("InternalServerError", 500), DONE]
    assert await store.append(configuration(1), after=Head()) is True
    first, second = (body["ClientRequestToken"] for _, body in script.asked)
    assert first == second


async def test_a_refusal_of_the_service_is_unavailable_with_its_reason(
    store: DynamoConfigurations, script: Scripted
) -> None:
    script.answers = [failure("AccessDeniedException")]
    for work in (store.head(), store.get(1), store.page(before=None, limit=1), store.remove(1, after=Head(1, 1))):
        with pytest.raises(ProviderUnavailable, match="`models` may not be used with this deployment's permissions"):
            await work


async def test_configurations_and_resources_share_a_table(registry_table: str, dynamodb_endpoint: str) -> None:
    async with (
        Configuring(registry_table, dynamodb_endpoint).opened() as store,
        Backend(registry_table, dynamodb_endpoint).opened() as registry,
    ):
        assert await store.append(configuration(1), after=Head())
        assert await registry.create(model()) == model()
        for kind in ("configuration", "configurations", "@configurations", "model"):
            assert len(await registry.page(kind, after="", limit=9)) == (kind == "model")
        assert await store.head() == Head(1, 1)
