"""What DynamoDB Local never answers: conflicts between transactions, throttling, refusals, silence."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

from aiohttp.test_utils import unused_port
import pytest

from core.errors import Conflict, ProviderUnavailable
from core.platform.dynamodb_table import Table
from core.stores.registry.codec import encode
from core.stores.registry.dynamodb import DynamoRegistry, connect
from tests.contract.dynamodb_script import AT_ONCE, TRIES, Scripted, cancelled, failure
from tests.contract.registries import find_at, model

pytestmark = pytest.mark.usefixtures("aws_credentials")


def stored(body: str) -> dict[str, Any]:
    return {"pk": {"S": "model"}, "sk": {"S": "llama"}, "body": {"S": body}}


@pytest.fixture
async def registry(script_url: str) -> AsyncGenerator[DynamoRegistry]:
    table = Table("models", region=None, endpoint_url=script_url)
    registry = DynamoRegistry(table, namespace="", backoff=AT_ONCE)
    yield registry
    await registry.close()


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
async def test_a_write_that_met_another_is_tried_again(registry: DynamoRegistry, script: Scripted, reason: str) -> None:
    script.answers = [cancelled("None", reason), cancelled(reason, "None"), (200, {})]
    assert await registry.create(model()) == model()
    assert len(script.asked) == 3


async def test_a_write_that_always_meets_others_is_given_up(registry: DynamoRegistry, script: Scripted) -> None:
    script.answers = [cancelled("TransactionConflict", "None")]
    with pytest.raises(ProviderUnavailable, match="`models` is busy"):
        await registry.create(model())
    assert len(script.asked) == TRIES


async def test_a_write_that_can_never_succeed_is_not_tried_again(registry: DynamoRegistry, script: Scripted) -> None:
    script.answers = [cancelled("None", "ValidationError")]
    with pytest.raises(ProviderUnavailable, match="refused a write: ValidationError") as refused:
        await registry.create(model())
    assert len(script.asked) == 1
    assert "secret" not in refused.value.message


async def test_what_is_there_decides_even_when_the_other_item_was_contended(
    registry: DynamoRegistry, script: Scripted
) -> None:
    script.answers = [cancelled("ConditionalCheckFailed", "TransactionConflict", item=stored(encode(model())))]
    assert await registry.create(model()) == model()
    with pytest.raises(Conflict):
        await registry.create(model(note="other"))


async def test_the_sdk_repeats_a_write_under_the_same_token(registry: DynamoRegistry, script: Scripted) -> None:
    script.answers = [failure("InternalServerError", 500), (200, {})]
    await registry.create(model())
    first, second = (body["ClientRequestToken"] for _, body in script.asked)
    assert first == second


async def test_every_read_is_strongly_consistent(registry: DynamoRegistry, script: Scripted) -> None:
    script.answers = [(200, {}), (200, {"Items": []})]
    await registry.get("model", "llama")
    await find_at(registry, "model", "vllm", "llama")
    await registry.page("model", after="", limit=1)
    assert [(name, body["ConsistentRead"]) for name, body in script.asked] == [
        ("GetItem", True),
        ("Query", True),
        ("Query", True),
    ]


async def test_replacing_needs_both_items_and_is_tried_again(registry: DynamoRegistry, script: Scripted) -> None:
    script.answers = [cancelled("None", "TransactionConflict"), (200, {}), cancelled("None", "ConditionalCheckFailed")]
    assert await registry.replace(model(note="new"), expect=model()) is True
    assert await registry.replace(model(note="new"), expect=model()) is False
    assert len(script.asked) == 3
    for name, body in script.asked:
        assert name == "TransactWriteItems"
        puts = [item["Put"] for item in body["TransactItems"]]
        assert [put["Item"]["pk"]["S"] for put in puts] == [
            "model",
            "model@vllm@llama",
            f"@audit#{datetime.now(UTC):%Y-%m}",
        ]
        assert [put["ConditionExpression"] for put in puts] == [
            "body = :expected",
            "attribute_exists(pk)",
            "attribute_not_exists(pk)",
        ]


async def test_removal_is_of_what_was_read_and_nothing_newer(registry: DynamoRegistry, script: Scripted) -> None:
    old, new = encode(model("llama", "old")), encode(model("llama", "new"))
    refused = cancelled("ConditionalCheckFailed", "None")
    script.answers = [(200, {"Item": stored(old)}), refused, (200, {"Item": stored(new)}), (200, {})]
    assert await registry.delete("model", "llama") is True
    removals = [body["TransactItems"] for name, body in script.asked if name == "TransactWriteItems"]
    assert {removal[0]["Delete"]["ConditionExpression"] for removal in removals} == {"body = :read"}
    read = [removal[0]["Delete"]["ExpressionAttributeValues"][":read"]["S"] for removal in removals]
    aliases = [removal[1]["Delete"]["Key"]["pk"]["S"] for removal in removals]
    assert (read, aliases) == ([old, new], ["model@vllm@old", "model@vllm@new"])


async def test_removal_of_what_another_removed_meanwhile_is_false(registry: DynamoRegistry, script: Scripted) -> None:
    script.answers = [(200, {"Item": stored(encode(model()))}), cancelled("ConditionalCheckFailed", "None"), (200, {})]
    assert await registry.delete("model", "llama") is False


async def test_removal_of_what_changes_all_the_time_is_given_up(registry: DynamoRegistry, script: Scripted) -> None:
    round_trip = [(200, {"Item": stored(encode(model()))}), cancelled("ConditionalCheckFailed", "None")]
    script.answers = [*round_trip * TRIES]
    with pytest.raises(ProviderUnavailable, match="is busy"):
        await registry.delete("model", "llama")
    assert len(script.asked) == 2 * TRIES


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ResourceNotFoundException", "`models` does not exist in this account and region"),
        ("AccessDeniedException", "`models` may not be used with this deployment's permissions"),
        ("UnrecognizedClientException", "`models` refused this deployment's credentials"),
        ("ThrottlingException", "`models` is throttling"),
        ("SomethingNewException", "`models` answered with an error: SomethingNewException"),
    ],
)
async def test_an_error_of_the_service_is_unavailable_with_its_reason(
    registry: DynamoRegistry, script: Scripted, code: str, said: str
) -> None:
    script.answers = [failure(code)]
    with pytest.raises(ProviderUnavailable, match=said) as raised:
        await registry.get("model", "llama")
    assert "arn:" not in raised.value.message


async def test_an_endpoint_that_does_not_listen_is_unavailable() -> None:
    port = unused_port()
    registry = connect("models", region=None, endpoint_url=f"http://127.0.0.1:{port}", namespace=None)
    with pytest.raises(ProviderUnavailable, match="`models` cannot be reached") as raised:
        await registry.page("model", after="", limit=1)
    assert str(port) not in raised.value.message
    await registry.close()


async def test_of_a_table_named_by_its_arn_callers_see_the_name_alone() -> None:
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/models"
    registry = connect(arn, region=None, endpoint_url=f"http://127.0.0.1:{unused_port()}", namespace=None)
    with pytest.raises(ProviderUnavailable, match="table `models` cannot be reached"):
        await registry.get("model", "llama")
    await registry.close()


async def test_an_endpoint_that_is_not_a_url_is_named_as_the_fault() -> None:
    registry = connect("models", region=None, endpoint_url="not a url", namespace=None)
    with pytest.raises(ProviderUnavailable, match="its endpoint_url is not a URL"):
        await registry.get("model", "llama")


async def test_missing_credentials_and_region_are_named_as_the_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    placeless = connect("models", region=None, endpoint_url=None, namespace=None)
    with pytest.raises(ProviderUnavailable, match="no AWS region is set"):
        await placeless.get("model", "llama")
    nameless = connect("models", region="us-east-1", endpoint_url=None, namespace=None)
    with pytest.raises(ProviderUnavailable, match="no AWS credentials were found"):
        await nameless.get("model", "llama")
    await nameless.close()


async def test_a_missing_table_is_named(dynamodb_endpoint: str) -> None:
    registry = connect("no-such-table", region=None, endpoint_url=dynamodb_endpoint, namespace=None)
    with pytest.raises(ProviderUnavailable, match="`no-such-table` does not exist"):
        await registry.create(model())
    await registry.close()
