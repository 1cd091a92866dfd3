"""Files that cannot be taken in: each is in its store as failed, with what to do; and requests that are refused before anything is kept."""

from pathlib import Path
from typing import Any

import pytest

from tests.parts.documents_office import docx, paragraph, pdf, relations, zip_of
from tests.parts.ingest_stack import ADA, STORES, add, counts_of, make_store, text_of, upload
from tests.parts.upstream import status
from tests.parts.vector_stack import CHAT, EMBEDDER, VectorWorld, vector_world

ENCRYPTED = "/Encrypt<</Filter/Standard/V 1/R 2/O(" + "o" * 32 + ")/U(" + "u" * 32 + ")/P -4>>/ID[(a)(a)]"
BOMB = docx(paragraph("a" * 8_000_000))
ENTITIES = zip_of(
    {
        "_rels/.rels": relations(officeDocument="word/document.xml"),
        "word/document.xml": "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><d>&x;</d>",
    }
)


@pytest.mark.parametrize(
    ("content", "name", "code", "message"),
    [
        (pdf("a", trailer=ENCRYPTED), "a.pdf", "unsupported_file", "is encrypted"),
        (pdf(*["a"] * 5001), "a.pdf", "invalid_file", "This PDF has more than 5000 pages; split it."),
        (b"%PDF-1.4 nothing", "a.pdf", "invalid_file", "is broken"),
        (BOMB, "a.docx", "invalid_file", "far more when it is unpacked"),
        (ENTITIES, "a.docx", "invalid_file", "defines entities"),
        (
            b" \n ",
            "a.txt",
            "invalid_file",
            "This file has no text; what is a scan has to go through a text recognition",
        ),
        (
            bytes(range(256)) * 9,
            "a.bin",
            "unsupported_file",
            "neither text nor a file of a kind that is read here: text,",
        ),
    ],
    ids=["encrypted", "pages", "broken", "bomb", "entities", "blank", "bytes"],
)
async def test_a_file_without_text_has_failed_with_the_reason(
    world: VectorWorld, content: bytes, name: str, code: str, message: str
) -> None:
    client = await world.client()
    store, file = await make_store(client), await upload(client, content, name)
    answer = await add(client, store, file)
    assert answer.status_code == 200
    added = answer.json()
    assert (added["status"], added["last_error"]["code"]) == ("failed", code)
    assert message in added["last_error"]["message"]
    assert (await client.get(f"{STORES}/{store}/files/{file}", headers=ADA)).json() == added
    assert await counts_of(client, store) == {"failed": 1}
    assert (await client.get(f"{STORES}/{store}/files/{file}/content", headers=ADA)).json()["data"] == []
    assert world.count_vectors() == 0


async def test_a_file_of_zero_bytes_is_refused_where_it_is_sent(world: VectorWorld) -> None:
    client = await world.client()
    with pytest.raises(AssertionError, match="The file is empty"):
        await upload(client, b"")


async def test_a_file_that_is_not_there_has_failed_and_can_be_taken_out(world: VectorWorld) -> None:
    client = await world.client()
    store = await make_store(client)
    added = (await add(client, store, "file-nowhere")).json()
    message = "There is no file `file-nowhere`: upload it by POST /v1/files, and add it with the id of the answer."
    assert (added["status"], added["last_error"]) == ("failed", {"code": "invalid_file", "message": message})
    refused = await add(client, store, "../x:y")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "file_id")
    assert (await client.delete(f"{STORES}/{store}/files/file-nowhere", headers=ADA)).status_code == 200
    assert await counts_of(client, store) == {}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({str(n): n for n in range(17)}, "A file has at most 16 attributes; these are 17."),
        ({"k" * 65: 1}, "have 1 to 64 characters"),
        ({"": 1}, "have 1 to 64 characters"),
        ({"k": "v" * 513}, "The value of `k` has 513 characters; at most 512 are kept."),
        ({"k": None}, "The value of `k` is no string, number or boolean."),
        ({"k": ["a"]}, "The value of `k` is no string, number or boolean."),
        ({"k": 10**400}, "cannot be kept"),
        (
            {f"{n}" * 64: "\U0001f30a" * 512 for n in range(10)},
            "and the provider of this vector store keeps 16384 of a file",
        ),
    ],
)
async def test_attributes_over_a_limit_are_refused_before_anything_is_kept(
    world: VectorWorld, attributes: dict[str, Any], message: str
) -> None:
    client = await world.client()
    store, file = await make_store(client), await upload(client, "text")
    kept = (await add(client, store, file)).json()
    other = await upload(client, "other")
    path = f"{STORES}/{store}"
    for answer in (
        await add(client, store, other, attributes=attributes),
        await client.post(f"{path}/files/{file}", json={"attributes": attributes}, headers=ADA),
        await client.post(f"{path}/file_batches", json={"file_ids": [other], "attributes": attributes}, headers=ADA),
    ):
        assert answer.status_code == 400, answer.text
        assert message in answer.json()["error"]["message"]
    assert (await client.get(f"{path}/files", headers=ADA)).json()["data"] == [kept]


async def test_what_no_letter_is_and_what_s3_vectors_does_not_keep_are_refused(tmp_path: Path) -> None:
    async with vector_world(tmp_path, "s3-vectors") as world:
        client = await world.client()
        store = await make_store(client)
        answer = await add(client, store, "file-1", attributes={f"k{n}": "v" * 500 for n in range(5)})
        assert answer.status_code == 400
        assert "take 2541 bytes as JSON, and the provider of this vector store keeps 2048" in answer.text
        body = b'{"file_id":"file-1","attributes":{"k":"\\ud800"}}'
        answer = await client.post(
            f"{STORES}/{store}/files", content=body, headers={**ADA, "content-type": "application/json"}
        )
        assert answer.status_code == 400


@pytest.mark.parametrize(
    "strategy",
    [
        {"type": "other"},
        {"type": "contextual", "contextual": {}},
        {"type": "static", "static": {"max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0}},
        {"type": "static", "static": {"max_chunk_size_tokens": 4097, "chunk_overlap_tokens": 0}},
        {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}},
        {"type": "static", "static": {"max_chunk_size_tokens": True, "chunk_overlap_tokens": 0}},
        {"type": "static"},
    ],
)
async def test_a_chunking_strategy_that_there_is_not_is_refused(world: VectorWorld, strategy: dict[str, Any]) -> None:
    client = await world.client()
    store, file = await make_store(client), await upload(client, "text")
    answer = await add(client, store, file, chunking_strategy=strategy)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith("chunking_strategy")
    assert await counts_of(client, store) == {}


async def test_a_model_that_is_gone_or_has_other_dimensions_is_told(world: VectorWorld) -> None:
    client = await world.client()
    store, file = await make_store(client), await upload(client, text_of(10))
    gone = await world.client(models=[CHAT])
    added = (await add(gone, store, file)).json()
    assert (added["status"], added["last_error"]["code"]) == ("failed", "server_error")
    assert added["last_error"]["message"].startswith(
        f"The embedding model `words` of the vector store `{store}` is not there"
    )
    other = await world.client(
        models=[
            {
                **EMBEDDER,
                "provider_model_id": "tiny",
            }
        ]
    )
    added = (await add(other, store, file)).json()
    assert added["last_error"]["message"].startswith("The embedding model `words` gives vectors of 8 dimensions")
    assert world.count_vectors() == 0
    assert (await add(client, store, file)).json()["status"] == "completed"  # as it is again
    assert await counts_of(client, store) == {"completed": 1}


async def test_what_the_embedder_refuses_is_told(world: VectorWorld) -> None:
    client = await world.client()
    store, file = await make_store(client), await upload(client, text_of(10))
    error = {"error": {"message": "too many tokens", "type": "invalid_request_error", "param": None, "code": None}}
    world.upstream.replies["/v1/embeddings"] = status(400, error)
    added = (await add(client, store, file)).json()
    assert (added["status"], added["last_error"]["code"]) == ("failed", "server_error")
    assert added["last_error"]["message"].startswith("too many tokens Smaller chunks may fit: add the file with")


async def test_a_store_that_is_none_and_one_that_has_expired_take_no_file(
    world: VectorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    client = await world.client()
    file = await upload(client, "text")
    assert (await add(client, "vs_none", file)).status_code == 404
    store = await make_store(client, expires_after={"anchor": "last_active_at", "days": 1})
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 90_000)
    later = await world.client()
    answer = await add(later, store, file)
    assert (answer.status_code, "has expired" in answer.text) == (400, True)
