"""The DynamoDB configurations: what they ask for, and what DynamoDB Local never answers."""

from collections.abc import AsyncGenerator

import pytest

from core.errors import NotFound, ProviderUnavailable
from core.platform.dynamodb_table import Table
from core.stores.configurations.dynamodb import DynamoConfigurations
from core.stores.configurations.port import Head
from tests.contract.configurations import Configuring, configuration
from tests.contract.dynamodb_script import AT_ONCE, Scripted, cancelled, failure
from tests.contract.registries import Backend, model
from tests.parts.audit import CHANGE

pytestmark = pytest.mark.usefixtures("aws_credentials")


@pytest.fixture
async def store(script_url: str) -> AsyncGenerator[DynamoConfigurations]:
    table = Table("models", region=None, endpoint_url=script_url)
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


async def test_a_moved_head_decides_whatever_else_was_refused(store: DynamoConfigurations, script: Scripted) -> None:
    for other in ("None", "ConditionalCheckFailed", "TransactionConflict"):
        script.answers = [cancelled("ConditionalCheckFailed", other)]
        assert await store.append(configuration(1), change=CHANGE, after=Head()) is False
        assert await store.remove(1, change=CHANGE, after=Head(1, 1)) is False
    script.answers = [cancelled("None", "ConditionalCheckFailed")]
    with pytest.raises(NotFound):
        await store.remove(1, change=CHANGE, after=Head(1, 1))


async def test_a_refusal_of_the_service_is_unavailable_with_its_reason(
    store: DynamoConfigurations, script: Scripted
) -> None:
    script.answers = [failure("AccessDeniedException")]
    for work in (
        store.head(),
        store.get(1),
        store.page(before=None, limit=1),
        store.remove(1, change=CHANGE, after=Head(1, 1)),
    ):
        with pytest.raises(ProviderUnavailable, match="`models` may not be used with this deployment's permissions"):
            await work


async def test_configurations_and_resources_share_a_table(registry_table: str, dynamodb_endpoint: str) -> None:
    async with (
        Configuring(registry_table, dynamodb_endpoint).opened() as store,
        Backend(registry_table, dynamodb_endpoint).opened() as registry,
    ):
        assert await store.append(configuration(1), change=CHANGE, after=Head())
        assert await registry.create(model()) == model()
        for kind in ("configuration", "configurations", "@configurations", "model"):
            assert len(await registry.page(kind, after="", limit=9)) == (kind == "model")
        assert await store.head() == Head(1, 1)
