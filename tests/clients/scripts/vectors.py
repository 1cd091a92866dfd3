"""Vector stores by every client: made, searched, listed, changed and deleted; chunks by themselves; vector DBs of 0.2."""

from functools import partial
from importlib import import_module
from typing import Any

from tests.clients.scripts.guarded import package
from tests.clients.scripts.harness import refusal, run

MODEL, DIMENSION = "words", 64
TEXTS = {"a.txt": b"The sun is a star.", "b.txt": b"Tea is a drink of leaves."}


def client(url: str) -> Any:
    module, make = package()
    return make(module, url, "none")


def kind() -> str:
    """The client: `openai`, `ogx`, `0.2` or `0.7`."""
    name: str = package()[0].__name__
    if name != "llama_stack_client":
        return name.removesuffix("_client")
    return "0.2" if hasattr(client("http://none"), "vector_dbs") else "0.7"


def not_found() -> type[Exception]:
    if kind() == "ogx":
        error: type[Exception] = import_module("ogx_client.exceptions").NotFoundException
        return error
    missing: type[Exception] = package()[0].NotFoundError
    return missing


def upload(url: str, name: str) -> str:
    file: Any = (name, TEXTS[name])
    return str(client(url).files.create(file=file, purpose="assistants").id)


def fill(url: str, **more: Any) -> Any:
    """A new store with the texts."""
    return client(url).vector_stores.create(name="notes", file_ids=[upload(url, name) for name in TEXTS], **more)


def remove(url: str, store_id: str) -> None:
    assert client(url).vector_stores.delete(store_id).deleted


def a_store_is_made_with_files_and_searched(url: str) -> None:
    store = fill(url, metadata={"team": "a"})
    assert store.id.startswith("vs_")
    assert (store.object, store.name, store.status) == ("vector_store", "notes", "completed")
    assert (store.file_counts.completed, store.file_counts.in_progress, store.file_counts.total) == (2, 0, 2)
    assert store.metadata["team"] == "a"
    page = client(url).vector_stores.search(store.id, query="a drink", max_num_results=1)
    row = page.data[0]
    assert (row.filename, row.content[0].text) == ("b.txt", "Tea is a drink of leaves.")
    assert 0 <= row.score <= 1
    remove(url, store.id)


def a_search_has_filters_and_a_ranker(url: str) -> None:
    stores = client(url).vector_stores
    store = stores.create(name="n")
    for place, name in enumerate(TEXTS):
        added = stores.files.create(store.id, file_id=upload(url, name), attributes={"n": place, "draft": True})
        assert (added.status, added.last_error) == ("completed", None)
    condition = {"type": "eq", "key": "n", "value": 0}
    page = stores.search(store.id, query="a drink", filters=condition, ranking_options={"score_threshold": 0.0})
    assert [row.filename for row in page.data] == ["a.txt"]
    if kind() != "0.2":  # which has no list, and takes the queries for one text
        assert page.search_query == ["a drink"]
        assert len(stores.files.list(store.id).data) == 2
    remove(url, store.id)


def stores_are_listed_changed_and_gone(url: str) -> None:
    stores = client(url).vector_stores
    made = [stores.create(name=f"n{place}").id for place in range(3)]
    assert len(stores.list(limit=2).data) == 2
    assert set(made) <= {store.id for store in stores.list(limit=100).data}
    changed = stores.update(made[0], name="other", metadata={"k": "v"})
    assert (changed.name, changed.metadata["k"]) == ("other", "v")
    assert changed.metadata["embedding_model"] == MODEL
    shown = stores.retrieve(made[0])
    assert (shown.id, shown.name) == (made[0], "other")
    for store_id in made:
        remove(url, store_id)
    refusal(not_found(), partial(stores.retrieve, made[0]))


def chunks_are_put_and_queried(url: str) -> None:
    """Which `openai` cannot do."""
    if kind() == "openai":
        return
    stack = client(url)
    chunk: dict[str, Any] = {"content": "The moon is round.", "metadata": {"document_id": "d1"}}
    if kind() == "0.2":
        stack.vector_dbs.register(
            vector_db_id="moon", embedding_model=MODEL, embedding_dimension=DIMENSION, provider_id="vectors"
        )
        stack.vector_io.insert(vector_db_id="moon", chunks=[chunk])
        answer = stack.vector_io.query(vector_db_id="moon", query="moon", params={"max_chunks": 1})
        shown = stack.vector_dbs.retrieve("moon")
        assert (shown.identifier, shown.embedding_model, shown.embedding_dimension) == ("moon", MODEL, DIMENSION)
        assert "moon" in [database.identifier for database in stack.vector_dbs.list()]
        stack.vector_dbs.unregister("moon")
        assert "moon" not in [database.identifier for database in stack.vector_dbs.list()]
    else:
        store = stack.vector_stores.create(name="moon")
        vector = stack.embeddings.create(model=MODEL, input="The moon is round.").data[0].embedding
        vector = getattr(vector, "actual_instance", vector)
        more = {"chunk_id": "c1", "chunk_metadata": {"document_id": "d1"}, "embedding": vector}
        chunk |= {**more, "embedding_model": MODEL, "embedding_dimension": DIMENSION}
        stack.vector_io.insert(vector_store_id=store.id, chunks=[chunk])
        answer = stack.vector_io.query(vector_store_id=store.id, query="moon", params={"max_chunks": 1})
        assert answer.chunks[0].chunk_id == "c1"
        remove(url, store.id)
    found = answer.chunks[0]
    assert getattr(found.content, "actual_instance", found.content) == "The moon is round."
    assert found.metadata["document_id"] == "d1"
    assert 0 < answer.scores[0] <= 1


def openais_helpers_poll_until_files_are_in(url: str) -> None:
    if kind() != "openai":
        return
    stores = client(url).vector_stores
    store = stores.create(name="n", expires_after={"anchor": "last_active_at", "days": 3})
    assert store.expires_at == store.last_active_at + 3 * 86_400
    file = stores.files.upload_and_poll(vector_store_id=store.id, file=("a.txt", TEXTS["a.txt"]))
    assert file.status == "completed"
    assert [row.filename for row in stores.search(store.id, query=["sun", "star"]).data] == ["a.txt"]
    remove(url, store.id)


def files_are_shown_changed_read_and_taken_out(url: str) -> None:
    if kind() == "0.2":  # whose client has no more than `create`
        return
    files = client(url).vector_stores.files
    store = fill(url)
    ids = [file.id for file in files.list(store.id, filter="completed").data]
    assert len(ids) == 2
    assert client(url).vector_stores.retrieve(store.id).usage_bytes > 0
    where = {"vector_store_id": store.id}
    changed = files.update(file_id=ids[0], attributes={"year": 2024}, **where)
    assert (changed.status, _plain(changed.attributes["year"])) == ("completed", 2024)
    assert _plain(files.retrieve(file_id=ids[0], **where).attributes["year"]) == 2024
    assert files.content(file_id=ids[0], **where).data[0].text in {text.decode() for text in TEXTS.values()}
    assert files.delete(file_id=ids[0], **where).deleted
    refusal(not_found(), partial(files.retrieve, file_id=ids[0], **where))
    remove(url, store.id)


def _plain(value: Any) -> Any:
    return getattr(value, "actual_instance", value)


def batches_are_polled_and_counted(url: str) -> None:
    if kind() != "openai":
        return
    stores = client(url).vector_stores
    store = stores.create(name="n")
    ids = [upload(url, name) for name in TEXTS]
    batch = stores.file_batches.create_and_poll(store.id, file_ids=[*ids, "file-0"], attributes={"b": True})
    counts = batch.file_counts
    assert (batch.status, counts.completed, counts.failed, counts.total) == ("completed", 2, 1, 3)
    assert [
        file.id for file in stores.file_batches.list_files(batch.id, vector_store_id=store.id, filter="failed")
    ] == ["file-0"]
    refusal(package()[0].BadRequestError, partial(stores.file_batches.cancel, batch.id, vector_store_id=store.id))
    remove(url, store.id)


def a_model_ranks_texts_and_what_a_search_found(url: str) -> None:
    if kind() == "0.2":  # which knows no reranking
        return
    items = ["Tea is a drink.", "The sun is a star."]
    request: dict[str, Any] = {"model": "ranks", "query": "sun star."}
    rows: Any
    if kind() == "openai":
        body = {**request, "documents": items, "return_documents": True}
        rows = [row["document"]["text"] for row in client(url).post("/rerank", body=body, cast_to=object)["results"]]
    else:
        api = client(url).inference if kind() == "ogx" else client(url).alpha.inference
        ranked = api.rerank(items=items, max_num_results=2, **request)
        ranked = getattr(ranked, "data", ranked)
        assert ranked[0].relevance_score > ranked[1].relevance_score
        rows = [items[row.index] for row in ranked]
    assert rows == [items[1], items[0]]
    store = fill(url)
    options = {"ranker": "neural", "model": "ranks"}
    page = client(url).vector_stores.search(store.id, query="drink leaves.", ranking_options=options, max_num_results=1)
    assert [(row.filename, row.score) for row in page.data] == [("b.txt", 1.0)]
    remove(url, store.id)


SCENARIOS = (
    a_model_ranks_texts_and_what_a_search_found,
    files_are_shown_changed_read_and_taken_out,
    batches_are_polled_and_counted,
    a_store_is_made_with_files_and_searched,
    a_search_has_filters_and_a_ranker,
    stores_are_listed_changed_and_gone,
    chunks_are_put_and_queried,
    openais_helpers_poll_until_files_are_in,
)

if __name__ == "__main__":
    run(SCENARIOS)
