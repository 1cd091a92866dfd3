"""What DynamoDB Local never answers: lost answers, conflicts, unread keys, silence, items of a newer version; and what each call costs."""

from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, InvalidRequest, NotFound, StateUnavailable
from core.platform.dynamodb_items import Items
from core.platform.dynamodb_table import Table
from core.stores.blobs import local
from core.stores.documents.dynamodb import MOST_ITEM, DynamoDocuments, connect
from core.stores.documents.large_bodies import LargeBodies
from core.stores.documents.port import GRACE, UNCHANGED, Document, StaleDocument
from tests.contract.documents import LARGE, NOW, Clock, blob_keys, body_of
from tests.contract.dynamodb_script import AT_ONCE, DONE, TRIES, Answer, Scripted, cancelled, failure

pytestmark = pytest.mark.usefixtures("aws_credentials")

READ = Document("notes", "n", {"n": 1}, "list", None, NOW, revision=3, expires=NOW + 100, tag="b")


def item_of(document: Document = READ, write: str = "w", **more: Any) -> dict[str, Any]:
    ends = {} if document.expires is None else {"until": {"N": str(document.expires)}}
    return {
        "pk": {"S": f"doc#notes#{document.id}"},
        "sk": {"S": "document"},
        "birth": {"S": "b"},
        "write": {"S": write},
        "revision": {"N": str(document.revision)},
        "created": {"N": str(document.created)},
        "parent": {"S": document.parent},
        "body": {"B": b64encode(b'{"n":1}').decode()},
        **ends,
        **more,
    }


def entry(identifier: str) -> dict[str, Any]:
    return {"pk": {"S": "docs#notes#list"}, "sk": {"S": f"{NOW:012}#{identifier}"}}


def refused(item: dict[str, Any]) -> Answer:
    return failure("ConditionalCheckFailedException", Item=item)


def opened(
    url: str, folder: Path | None = None, *, patience: float = 60, answer_seconds: float = 60
) -> DynamoDocuments:
    table = Table("state", region=None, endpoint_url=url, answer_seconds=answer_seconds)
    bodies = LargeBodies(lambda: None if folder is None else local.connect(str(folder)), least=MOST_ITEM)
    return DynamoDocuments(Items(table, AT_ONCE), bodies, namespace="", patience=patience, clock=Clock())


@pytest.fixture
async def store(script_url: str, tmp_path: Path) -> AsyncGenerator[DynamoDocuments]:
    store = opened(script_url, tmp_path)
    yield store
    await store.close()


async def test_reading_is_one_consistent_read(store: DynamoDocuments, script: Scripted) -> None:
    script.answers = [(200, {"Item": item_of()})]
    document = await store.get("notes", "n")
    assert document == READ
    ((operation, request),) = script.asked
    assert (operation, request["ConsistentRead"]) == ("GetItem", True)
    assert request["Key"] == {"pk": {"S": "doc#notes#n"}, "sk": {"S": "document"}}


async def test_a_write_is_one_conditional_update_of_the_document_alone(
    store: DynamoDocuments, script: Scripted
) -> None:
    script.answers = [DONE]
    assert (await store.put(READ, {"n": 2})).revision == 4
    ((operation, request),) = script.asked
    assert operation == "UpdateItem"
    assert request["ConditionExpression"].startswith("birth = :birth AND revision = :read")
    assert request["ExpressionAttributeValues"][":read"] == {"N": "3"}
    assert request["ExpressionAttributeValues"][":expires"] == {"N": str(NOW + 100 + GRACE)}
    assert request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"


async def test_a_write_with_another_expiry_changes_the_entry_too(store: DynamoDocuments, script: Scripted) -> None:
    script.answers = [DONE]
    await store.put(READ, {"n": 2}, expires=None)
    ((operation, request),) = script.asked
    assert operation == "TransactWriteItems"
    update, put = (item.popitem()[1] for item in request["TransactItems"])
    assert {"#until", "#expires"} <= set(update["UpdateExpression"].partition("REMOVE ")[2].split(", "))
    assert put["Item"] == entry("n")


async def test_a_document_comes_and_goes_with_its_entry_in_one_transaction(
    store: DynamoDocuments, script: Scripted
) -> None:
    script.answers = [DONE]
    await store.create(READ)
    assert await store.delete(READ)
    assert [operation for operation, _ in script.asked] == ["TransactWriteItems"] * 2
    kinds = [next(iter(item)) for _, request in script.asked for item in request["TransactItems"]]
    assert kinds == ["Put", "Put", "Update", "Delete"]


async def test_what_is_there_comes_with_the_refusal_and_costs_no_read(store: DynamoDocuments, script: Scripted) -> None:
    newer = replace(READ, revision=4)
    script.answers = [refused(item_of(newer)), cancelled("ConditionalCheckFailed", "None", item=item_of(newer))]
    for expires in (UNCHANGED, None):
        with pytest.raises(StaleDocument) as stale:
            await store.put(READ, {"n": 2}, expires=expires)
        assert stale.value.document == newer
    assert len(script.asked) == 2


async def test_a_write_whose_answer_was_lost_is_no_stranger_to_itself(script_url: str, script: Scripted) -> None:
    store = opened(script_url, answer_seconds=0.1)
    script.answers = [
        None,
        lambda asked: refused(item_of(write=asked["ExpressionAttributeValues"][":write"]["S"])),
    ]
    assert (await store.put(READ, {"n": 2})).revision == 4
    assert [operation for operation, _ in script.asked] == ["UpdateItem"] * 2
    await store.close()


async def test_a_creation_whose_answer_was_lost_is_no_conflict_with_itself(script_url: str, script: Scripted) -> None:
    store = opened(script_url, answer_seconds=0.1)

    def repeat(asked: dict[str, Any]) -> Answer:
        return cancelled("ConditionalCheckFailed", "None", item=asked["TransactItems"][0]["Put"]["Item"])

    script.answers = [None, repeat]
    assert await store.create(READ) == replace(READ, revision=1)
    first, second = (request["ClientRequestToken"] for _, request in script.asked)
    assert first == second
    script.answers = [cancelled("ConditionalCheckFailed", "None", item=item_of())]
    with pytest.raises(Conflict):
        await store.create(READ)
    await store.close()


@pytest.mark.parametrize(
    ("meeting", "work"),
    [
        (failure("TransactionConflictException"), lambda store: store.put(READ, {})),
        (cancelled("TransactionConflict", "None"), lambda store: store.put(READ, {}, expires=None)),
        (cancelled("TransactionConflict", "None"), lambda store: store.create(READ)),
        (cancelled("TransactionConflict", "None"), lambda store: store.delete(READ)),
    ],
)
async def test_a_write_that_meets_another_is_tried_again_and_given_up_at_last(
    store: DynamoDocuments, script: Scripted, meeting: Answer, work: Callable[[DynamoDocuments], Any]
) -> None:
    script.answers = [meeting, meeting, DONE]
    assert await work(store)
    assert len(script.asked) == 3
    script.answers = [meeting]
    with pytest.raises(StateUnavailable, match="`state` is busy"):
        await work(store)
    assert len(script.asked) == 3 + TRIES


async def test_a_removal_follows_a_document_that_changes(store: DynamoDocuments, script: Scripted) -> None:
    newer = replace(READ, revision=4)
    script.answers = [cancelled("ConditionalCheckFailed", "None", item=item_of(newer)), DONE]
    assert await store.delete(READ)
    read = [
        request["TransactItems"][0]["Update"]["ExpressionAttributeValues"][":read"]["N"] for _, request in script.asked
    ]
    assert read == ["3", "4"]
    script.answers = [cancelled("ConditionalCheckFailed", "None", item=item_of(newer))]
    with pytest.raises(StateUnavailable, match="is busy"):
        await store.delete(READ)


async def test_a_page_is_a_query_and_a_batch_and_what_is_unread_is_asked_for_again(
    store: DynamoDocuments, script: Scripted
) -> None:
    keys = [{"pk": {"S": f"doc#notes#{identifier}"}, "sk": {"S": "document"}} for identifier in "abc"]
    items = [item_of(replace(READ, id=identifier)) for identifier in "abc"]
    script.answers = [
        (200, {"Items": [entry("a"), entry("b"), entry("c")]}),
        (200, {"Responses": {"state": [items[2]]}, "UnprocessedKeys": {"state": {"Keys": keys[:2]}}}),
        (200, {"Responses": {"state": items[1::-1]}, "UnprocessedKeys": {}}),
    ]
    page = await store.page("notes", "list", limit=3)
    assert [document.id for document in page.documents] == ["a", "b", "c"]
    assert not page.has_more
    assert [operation for operation, _ in script.asked] == ["Query", "BatchGetItem", "BatchGetItem"]
    assert script.asked[0][1]["ConsistentRead"] is True
    assert script.asked[1][1]["RequestItems"]["state"] == {"Keys": keys, "ConsistentRead": True}


async def test_a_page_that_is_never_read_to_its_end_is_unavailable(store: DynamoDocuments, script: Scripted) -> None:
    unread = {"state": {"Keys": [{"pk": {"S": "doc#notes#a"}, "sk": {"S": "document"}}]}}
    script.answers = [(200, {"Items": [entry("a")]}), (200, {"Responses": {}, "UnprocessedKeys": unread})]
    with pytest.raises(StateUnavailable, match="is throttling"):
        await store.page("notes", "list", limit=1)
    assert len(script.asked) == 1 + TRIES


async def test_an_entry_whose_document_is_gone_or_in_another_list_is_not_in_the_page(
    store: DynamoDocuments, script: Scripted
) -> None:
    moved, late = (replace(READ, id=identifier) for identifier in "bc")
    items = [item_of(replace(moved, parent="other")), item_of(replace(late, created=NOW + 1))]
    script.answers = [(200, {"Items": [entry("a"), entry("b"), entry("c")]}), (200, {"Responses": {"state": items}})]
    page = await store.page("notes", "list", limit=5)
    assert (page.documents, page.has_more) == ([], False)


async def test_an_item_of_a_newer_version_is_refused_by_name(store: DynamoDocuments, script: Scripted) -> None:
    script.answers = [(200, {"Item": item_of(v={"N": "2"})})]
    with pytest.raises(
        StateUnavailable, match="`state` was written by a newer llambda, whose documents have version 2"
    ):
        await store.get("notes", "n")


async def test_silence_is_unavailable_for_every_call(script_url: str, script: Scripted) -> None:
    store = opened(script_url, patience=0.1)
    script.answers = [None]
    for work in (
        store.create(READ),
        store.get("notes", "n"),
        store.put(READ, {}),
        store.put(READ, {}, expires=None),
        store.delete(READ),
        store.page("notes", limit=1),
        store.page("notes", after="n", limit=1),
    ):
        with pytest.raises(StateUnavailable, match=r"`state` did not answer in 0.1 s"):
            await work
    await store.close()


async def test_a_large_body_is_there_before_the_item_names_it_and_stays_if_no_answer_comes(
    script_url: str, script: Scripted, tmp_path: Path
) -> None:
    """A write of which nobody knows may have been carried out: the item may name the blob."""
    store = opened(script_url, tmp_path, patience=1)
    blobs = local.connect(str(tmp_path))
    await blobs.put("old", b"old")
    script.answers = [None]
    with pytest.raises(StateUnavailable):
        await store.put(replace(READ, tag="b old"), body_of(1, LARGE))
    values = script.asked[0][1]["ExpressionAttributeValues"]
    assert blob_keys(tmp_path) == {"old", values[":blob"]["S"]}
    blob = await blobs.head(values[":blob"]["S"])
    assert blob is not None
    assert int(values[":size"]["N"]) == blob.size
    await store.close()


@pytest.mark.parametrize(
    ("seconds", "life"),
    [(1, "1d"), (86400, "1d"), (86401, "7d"), (30 * 86400, "30d"), (366 * 86400, "kept"), (None, "kept")],
)
async def test_a_blob_is_named_by_how_long_it_may_be_needed(
    store: DynamoDocuments, script: Scripted, tmp_path: Path, seconds: int | None, life: str
) -> None:
    script.answers = [DONE]
    until = None if seconds is None else NOW + seconds
    await store.create(replace(READ, body=body_of(1, LARGE), expires=until))
    (key,) = blob_keys(tmp_path)
    assert key.split("/")[:3] == ["documents", life, "notes"]


async def test_a_blob_that_is_gone_or_broken_is_looked_for_anew_and_its_loss_is_unavailable(
    store: DynamoDocuments, script: Scripted, tmp_path: Path
) -> None:
    script.answers = [DONE]
    await store.create(replace(READ, body=body_of(1, LARGE)))
    large = script.asked[0][1]["TransactItems"][0]["Put"]["Item"]
    (key,) = blob_keys(tmp_path)
    blobs = local.connect(str(tmp_path))
    await blobs.put(key, b"another")
    script.answers = [(200, {"Item": large}), (200, {"Item": item_of()})]
    assert await store.get("notes", "n") == READ
    script.answers = [(200, {"Item": large})]
    with pytest.raises(StateUnavailable, match="has lost the body of `n`"):
        await store.get("notes", "n")
    await blobs.delete(key)
    script.answers = [(200, {"Item": large}), (200, {})]
    assert await store.get("notes", "n") is None


async def test_without_blobs_what_is_too_large_names_the_setting(script_url: str, script: Scripted) -> None:
    store = opened(script_url)
    script.answers = [DONE]
    with pytest.raises(InvalidRequest, match=r"storage\.stores\.blobs"):
        await store.create(replace(READ, body=body_of(1, LARGE)))
    assert not script.asked
    pointer = {"blob": {"S": "documents/kept/notes/x"}, "size": {"N": "1"}, "digest": {"B": "AA=="}}
    script.answers = [(200, {"Item": item_of() | pointer})]
    with pytest.raises(StateUnavailable, match=r"storage\.stores\.blobs"):
        await store.get("notes", "n")
    await store.close()


async def test_a_page_after_an_item_that_the_ttl_has_yet_to_sweep_is_as_if_it_had(
    store: DynamoDocuments, script: Scripted
) -> None:
    grave = {"created": {"N": "1"}, "parent": {"S": ""}, "until": {"N": "0"}, "expires": {"N": str(NOW)}}
    script.answers = [(200, {"Item": grave})]
    with pytest.raises(NotFound):
        await store.page("notes", after="n", limit=1)
    assert "body" not in script.asked[0][1]["ProjectionExpression"]


async def test_the_adapter_of_a_run_config_is_connected_by_the_fields_of_its_store(
    script_url: str, script: Scripted
) -> None:
    store = connect("state", region="eu-central-1", endpoint_url=script_url, namespace="a#b")
    script.answers = [(200, {})]
    assert await store.get("notes", "n") is None
    assert script.asked[0][1]["Key"]["pk"] == {"S": "a%23b#doc#notes#n"}
    store.warm()
    await store.close()
