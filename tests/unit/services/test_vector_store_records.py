"""Records of vector stores: they are JSON, and whatever becomes of files, the tallies are what one would count."""

from collections import Counter
from dataclasses import replace
import json

from hypothesis import given
from hypothesis import strategies as st

from core.services.vector_stores.records import (
    BATCHES,
    BYTES,
    STATUSES,
    STORES,
    BatchRecord,
    FileRecord,
    StoreRecord,
    file_document_id,
    file_id_of,
    tallies_of,
)
from core.stores.documents.port import Document

FILES = st.builds(
    FileRecord,
    status=st.sampled_from(STATUSES),
    usage_bytes=st.integers(0, 9),
    deleting=st.booleans(),
    batch=st.sampled_from(["", "batch_1", "batch_2"]),
)


def test_records_are_read_as_they_were_written() -> None:
    records: list[StoreRecord | FileRecord | BatchRecord] = [
        StoreRecord("p", "r", "m", 3, "n", chunking={"type": "auto"}, metadata={"a": 1}, expires_days=2),
        FileRecord("failed", {"code": "server_error", "message": "x"}, {"a": 1.5, "b": True}, claimed=4, until=1.5),
        BatchRecord([{"file_id": "a"}], "job_1", placed=1),
    ]
    for record in records:
        assert type(record).read(json.loads(json.dumps(record.body()))) == record


def test_a_file_has_an_id_of_its_own_in_each_store() -> None:
    identifier = file_document_id("my:store", "file-1")
    assert file_id_of(Document("vector_store_file", identifier, {}, "my:store")) == "file-1"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | FILES)))
def test_tallies_are_what_there_is(steps: list[tuple[str, FileRecord | None]]) -> None:
    records: dict[str, FileRecord] = {}
    sums: Counter[tuple[str, str, str]] = Counter()
    entries: Counter[str] = Counter()
    for file_id, after in steps:
        before = records.get(file_id)
        if after is not None and after.batch and (before is None or before.batch != after.batch):
            entries[after.batch] += 1
        for tally in tallies_of("vs", before, after):
            for name, change in tally.changes.items():
                sums[tally.collection, tally.id, name] += change
        records = {name: record for name, record in {**records, file_id: after}.items() if record is not None}
    alive = [record for record in records.values() if not record.deleting]
    for status in STATUSES:
        assert sums[STORES, "vs", status] == sum(record.status == status for record in alive)
    assert sums[STORES, "vs", BYTES] == sum(record.usage_bytes for record in alive)
    for batch in ("batch_1", "batch_2"):  # what came with it stays counted, whatever became of it
        assert sum(sums[BATCHES, batch, status] for status in STATUSES) == entries[batch]


def test_what_leaves_its_batch_before_it_ended_counts_as_cancelled() -> None:
    under_way = FileRecord(batch="batch_1")
    hidden = replace(under_way, deleting=True)
    (_, batch) = tallies_of("vs", under_way, hidden)
    assert batch.changes == {"in_progress": -1, "cancelled": 1}
    assert tallies_of("vs", hidden, None) == ()
