"""Datasets on the wire: registered, shown, listed, read page by page, appended to, removed, refused."""

import asyncio
from collections.abc import AsyncGenerator
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.dataset_stack import (
    APPEND,
    DATASETS,
    ROWS,
    DatasetWorld,
    Json,
    data_uri,
    dataset,
    dataset_world,
    jsonl,
    numbers,
    questions,
    register,
    rows_of,
)
from tests.parts.file_stack import by, upload

ADA = by("ada")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[DatasetWorld]:
    async with dataset_world(tmp_path) as world:
        yield world


@pytest.fixture
async def client(world: DatasetWorld) -> httpx.AsyncClient:
    """Without a worker."""
    return await world.client()


def refusal(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


async def test_rows_are_registered_shown_read_and_removed(client: httpx.AsyncClient, world: DatasetWorld) -> None:
    rows = questions(5)
    made = await register(client, {"type": "rows", "rows": rows}, "d1", metadata={"team": "a"})
    assert made == {
        "identifier": "d1",
        "provider_resource_id": "d1",
        "provider_id": "localfs",
        "type": "dataset",
        "purpose": "eval/question-answer",
        "source": {"type": "rows", "rows": rows},
        "metadata": {"team": "a", "num_rows": 5},
        "owner": "ada",
    }
    for version in ("v1", "v1beta"):
        assert (await client.get(f"/{version}/datasets/d1", headers=ADA)).json() == made
        assert (await client.get(f"/{version}/datasets", headers=ADA)).json() == {"data": [made]}
        page = await client.get(f"/{version}/datasetio/iterrows/d1", headers=ADA)
        assert page.json() == {"data": rows, "has_more": False, "url": None}
    gone = await client.delete(f"{DATASETS}/d1", headers=ADA)
    assert (gone.status_code, gone.text) == (200, "null")
    assert "no dataset `d1`" in refusal(await client.get(f"{DATASETS}/d1", headers=ADA), 404)
    assert refusal(await client.get(f"{ROWS}/d1", headers=ADA), 404)
    assert refusal(await client.delete(f"{DATASETS}/d1", headers=ADA), 404)
    assert world.blobs() == []


async def test_pages_begin_and_end_anywhere(client: httpx.AsyncClient) -> None:
    made = await register(client, {"rows": questions(2500)})
    name = made["identifier"]
    assert name.startswith("dataset-")
    assert len(name) == len("dataset-") + 36
    for start, limit, first, last, more in (
        (None, None, 0, 2499, False),
        (None, -1, 0, 2499, False),
        (2000, None, 2000, 2499, False),
        (999, 2, 999, 1000, True),
        (1000, 1000, 1000, 1999, True),
        (1999, 501, 1999, 2499, False),
        (2499, 10, 2499, 2499, False),
    ):
        query = {key: value for key, value in (("start_index", start), ("limit", limit)) if value is not None}
        page = await rows_of(client, name, "ada", **query)
        assert numbers(page) == list(range(first, last + 1)), query
        assert page["has_more"] is more
    assert await rows_of(client, name, start_index=2500) == {"data": [], "has_more": False, "url": None}
    assert await rows_of(client, name, start_index=10**9, limit=3) == {"data": [], "has_more": False, "url": None}
    none = await rows_of(client, name, limit=0)
    assert (none["data"], none["has_more"]) == ([], True)
    assert "start_index" in refusal(await client.get(f"{ROWS}/{name}", params={"start_index": -1}, headers=ADA))
    assert "limit" in refusal(await client.get(f"{ROWS}/{name}", params={"limit": -2}, headers=ADA))
    walked, url = list[int](), f"{ROWS}/{name}?limit=700"
    while url:
        page = (await client.get(url, headers=ADA)).json()
        walked += numbers(page)
        url = page["url"]
    assert walked == list(range(2500))


async def test_a_page_has_at_most_five_megabytes(client: httpx.AsyncClient) -> None:
    big = [{"question": "x" * 900_000, "answer": "", "n": n} for n in range(6)]
    name = (await register(client, {"rows": big}))["identifier"]
    for _ in range(2):
        answer = await client.post(f"{APPEND}/{name}", json={"rows": big}, headers=ADA)
        assert (answer.status_code, answer.text) == (200, "null")
    page = await rows_of(client, name, limit=-1)
    assert (numbers(page), page["has_more"]) == ([0, 1, 2, 3, 4], True)
    assert page["url"].endswith("?start_index=5")
    assert numbers(await rows_of(client, name, start_index=16)) == [4, 5]
    shown = (await client.get(f"{DATASETS}/{name}", headers=ADA)).json()
    assert shown["source"] == {"type": "rows"}  # more than one answer holds
    assert shown["metadata"] == {"num_rows": 18}


async def test_a_list_leaves_long_rows_out(client: httpx.AsyncClient) -> None:
    rows = questions(500)
    made = await register(client, {"type": "rows", "rows": rows}, "long")
    await register(client, {"type": "rows", "rows": questions(2)}, "short")
    listed = (await client.get(DATASETS, headers=ADA)).json()["data"]
    assert made["source"] == {"type": "rows"}
    assert [(entry["identifier"], "rows" in entry["source"]) for entry in listed] == [("long", False), ("short", True)]
    assert [entry["metadata"] for entry in listed] == [{"num_rows": 500}, {"num_rows": 2}]
    assert (await client.get(f"{DATASETS}/long", headers=ADA)).json()["source"]["rows"] == rows


async def test_what_is_answered_fits_into_an_answer_of_lambda(client: httpx.AsyncClient) -> None:
    """Which has it as a text in JSON, where quotes and backslashes are two bytes."""
    row = {"question": '"' * 30, "answer": "\\", **{f"c{n}": "" for n in range(12)}}
    await register(client, {"type": "rows", "rows": [row] * 9000}, "quotes")
    for _ in range(3):
        await client.post(f"{APPEND}/quotes", json={"rows": [row] * 9000}, headers=by("ada"))
    page = await client.get(f"{ROWS}/quotes", headers=by("ada"))
    assert (page.status_code, page.json()["has_more"]) == (200, True)
    assert 4_000_000 < len(json.dumps({"body": page.text})) < 6_000_000
    for number in range(90):
        source = {"type": "uri", "uri": data_uri(b"question,answer\na," + b"b" * 120_000 + b"\n")}
        await register(client, source, f"long-{number}", metadata={"note": '"' * 30_000})
    listed = await client.get(DATASETS, headers=by("ada"))
    assert len(json.dumps({"body": listed.text})) < 6_000_000
    data = {shown["identifier"]: shown for shown in listed.json()["data"]}
    assert len(data) == 91
    assert all(shown["metadata"]["num_rows"] for shown in data.values())
    assert data["long-0"]["source"]["uri"].startswith("data:text/csv;base64,cXVlc3Rpb24s")


async def test_the_sources_of_clients_are_read(client: httpx.AsyncClient, world: DatasetWorld) -> None:
    csv = b"question,answer,n\nWhat is 1?,1,7\n"
    expected: Json = {"question": "What is 1?", "answer": 1, "n": 7}
    file_id = (await upload(client, csv, name="q.csv")).json()["id"]
    lines = jsonl([expected])
    for uri in (
        data_uri(csv),
        data_uri(lines, "None"),  # as the command line sends a .jsonl
        data_uri(json.dumps([expected]).encode(), "application/json"),
        "data:text/csv,question,answer,n%0AWhat%20is%201%3F,1,7",
        file_id,
        f"file://{file_id}",
        world.source("deep/q.jsonl", lines),
        world.source("q.csv", csv),
    ):
        made = await register(client, {"uri": uri})
        assert made["source"] == {"type": "uri", "uri": uri}
        assert made["metadata"] == {"num_rows": 1}
        assert (await rows_of(client, made["identifier"]))["data"] == [expected], uri


async def test_what_is_large_is_imported_by_a_job(world: DatasetWorld) -> None:
    client = await world.client()
    uri = world.source("large.jsonl", jsonl(questions(30_000)))
    made = await register(client, {"uri": uri}, "large")
    job = made["metadata"]["import_job"]
    assert made["metadata"] == {"import_status": "in_progress", "import_job": job}
    early = await client.get(f"{ROWS}/large", headers=ADA)
    assert job in refusal(early, 409)
    assert (early.json()["error"]["code"], early.headers["retry-after"]) == ("import_under_way", "5")
    async with world.working():
        assert numbers(await rows_of(client, "large", start_index=29_998, limit=5)) == [29_998, 29_999]
    shown = (await client.get(f"{DATASETS}/large", headers=ADA)).json()
    assert shown["metadata"] == {"num_rows": 30_000}
    assert await register(client, {"uri": uri}, "large") == shown


async def test_an_import_that_fails_says_why_and_may_be_begun_again(world: DatasetWorld) -> None:
    client = await world.client()
    rows = jsonl(questions(20_000))
    uri = world.source("broken.jsonl", rows + b"{no json}\n")
    await register(client, {"uri": uri}, "broken")
    async with world.working():
        async with asyncio.timeout(60):
            while (answer := await client.get(f"{ROWS}/broken", headers=ADA)).status_code == 409:
                pass
        assert "line 20001" in refusal(answer)
        metadata = (await client.get(f"{DATASETS}/broken", headers=ADA)).json()["metadata"]
        assert metadata["import_status"] == "failed"
        assert "line 20001" in metadata["import_error"]
        assert world.blobs() == []
        job = (await client.get(f"/v1/jobs/{metadata['import_job']}", headers=ADA)).json()
        assert job["status"] == "failed"
        world.source("broken.jsonl", rows)
        await register(client, {"uri": uri}, "broken")
        assert numbers(await rows_of(client, "broken", start_index=19_999)) == [19_999]
        await register(client, {"uri": world.source("odd.jsonl", rows + jsonl([{"n": 1}]))}, "odd")
        async with asyncio.timeout(60):
            while (answer := await client.get(f"{ROWS}/odd", headers=ADA)).status_code == 409:
                pass
        assert "Row 20001 has no column `question`" in refusal(answer)


async def test_appended_rows_come_behind(client: httpx.AsyncClient, world: DatasetWorld) -> None:
    await register(client, {"rows": questions(2)}, "d")
    answer = await client.post(f"{APPEND}/d", json={"rows": questions(2, 2)}, headers=ADA)
    assert (answer.status_code, answer.text) == (200, "null")
    answer = await client.post("/v1beta/datasetio/append-rows/d", json={"rows": questions(1, 4)}, headers=ADA)
    assert (answer.status_code, answer.text) == (204, "")
    assert (await client.post(f"{APPEND}/d", json={"rows": []}, headers=ADA)).status_code == 200
    assert numbers(await rows_of(client, "d")) == [0, 1, 2, 3, 4]
    assert numbers(await rows_of(client, "d", start_index=1, limit=3)) == [1, 2, 3]
    refused = await client.post(f"{APPEND}/d", json={"rows": [*questions(1), {"question": ""}]}, headers=ADA)
    assert "Row 2 has no column `answer`" in refusal(refused)
    assert numbers(await rows_of(client, "d")) == [0, 1, 2, 3, 4]
    for n in range(5, 120):
        await client.post(f"{APPEND}/d", json={"rows": questions(1, n)}, headers=ADA)
    assert numbers(await rows_of(client, "d")) == list(range(120))
    assert len(world.blobs()) < 100  # they were put together on the way
    shown = (await client.get(f"{DATASETS}/d", headers=ADA)).json()
    assert (shown["source"]["rows"], shown["metadata"]) == (questions(2), {"num_rows": 120})


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (dataset({"rows": [{"question": "q"}]}), 400, "Row 1 has no column `answer`"),
        (dataset({"rows": [*questions(1), {"a": 1}]}), 400, "Row 2 has no column `question`"),
        (dataset({"rows": [1]}), 400, "rows[0]"),
        (
            dataset({"rows": [*questions(1), {"question": "x" * 1_048_576, "answer": ""}]}),
            400,
            "Row 2 has more than 1048576 bytes",
        ),
        (dataset({"type": "uri"}), 400, "uri"),
        (dataset({"type": "other"}), 400, "source"),
        (dataset({}), 400, "source"),
        (dataset({"uri": "ftp://host/x.csv"}), 400, "https:, http:, data:, s3:, lsfs:"),
        (dataset({"uri": "lsfs://none.jsonl"}), 400, "no file `none.jsonl`"),
        (dataset({"uri": "lsfs://../registry.db"}), 400, "no file"),
        (dataset({"uri": "data:text/csv"}), 400, "comma"),
        (dataset({"uri": "data:text/csv;base64,!!!"}), 400, "base64"),
        (dataset({"uri": "file-" + "0" * 24}), 404, "file"),
        (
            dataset({"uri": data_uri(b"%PDF-1.4 x", "application/pdf")}),
            400,
            "is a PDF, which has no rows: register JSON lines",
        ),
        (dataset({"uri": data_uri(b'{"question":"","answer":""}\n[1]\n', "application/jsonl")}), 400, "line 2"),
        (dataset({"rows": []}, "a b"), 400, "dataset_id"),
        (dataset({"rows": []}, "x" * 257), 400, "dataset_id"),
        (dataset({"rows": []}, provider_id="none"), 400, "no provider `none`"),
        (dataset({"rows": []}, metadata={"provider_id": "none"}), 400, "no provider `none`"),
        (dataset({"rows": []}, metadata={"provider_id": 1}), 400, "provider_id"),
        (dataset({"rows": []}, metadata={"x": "x" * 70_000}), 400, "metadata"),
        (dataset({"rows": []}, metadata="[1]"), 400, "metadata"),
        ({**dataset({"rows": []}), "purpose": "eval/other"}, 400, "purpose"),
    ],
)
async def test_what_is_no_dataset_is_refused(client: httpx.AsyncClient, body: Json, status: int, says: str) -> None:
    assert says in refusal(await client.post(DATASETS, json=body, headers=ADA), status)
    assert (await client.get(DATASETS, headers=ADA)).json() == {"data": []}


async def test_the_faults_of_the_reference_are_mended(client: httpx.AsyncClient) -> None:
    """Each answered 500, 400 or nothing there."""
    made = await register(client, {"rows": questions(3)}, "faults", metadata={"a": 1})  # 500: metadata, no provider_id
    assert made["provider_id"] == "localfs"
    text = await client.post(
        DATASETS, json=dataset({"rows": questions(1)}, "text", metadata='{"provider_id": "localfs"}'), headers=ADA
    )
    assert text.json()["metadata"] == {"provider_id": "localfs", "num_rows": 1}
    page = await rows_of(client, "faults", start_index=1)  # start_index was ignored without limit
    assert (numbers(page), page["url"]) == ([1, 2], None)
    more = await rows_of(client, "faults", limit=1)  # url was the template of the route
    assert more["url"] == f"{ROWS}/faults?start_index=1&limit=1"


async def test_an_id_is_one_dataset(client: httpx.AsyncClient) -> None:
    first = await register(client, {"rows": questions(2)}, "same")
    assert await register(client, {"rows": questions(2)}, "same") == first
    other = await client.post(DATASETS, json=dataset({"rows": questions(3)}, "same"), headers=ADA)
    assert "Unregister it first, or choose another identifier." in refusal(other, 409)
    assert other.json()["error"]["param"] == "dataset_id"
    assert "same" in refusal(await client.post(DATASETS, json=dataset({"rows": []}, "same"), headers=by("bob")), 409)
    slashes = await register(client, {"rows": questions(1)}, "team/a:b%20c")
    assert slashes["identifier"] == "team/a:b%20c"
    assert numbers(await rows_of(client, "team/a:b%2520c")) == [0]
    answers = await asyncio.gather(
        *(client.post(DATASETS, json=dataset({"rows": questions(9)}, "race"), headers=ADA) for _ in range(5))
    )
    assert [answer.status_code for answer in answers] == [200] * 5
    assert numbers(await rows_of(client, "race")) == list(range(9))


async def test_datasets_of_others_are_not_there(client: httpx.AsyncClient) -> None:
    await register(client, {"rows": questions(2)}, "mine")
    bob = by("bob")
    assert (await client.get(DATASETS, headers=bob)).json() == {"data": []}
    for answer in (
        await client.get(f"{DATASETS}/mine", headers=bob),
        await client.get(f"{ROWS}/mine", headers=bob),
        await client.delete(f"{DATASETS}/mine", headers=bob),
        await client.post(f"{APPEND}/mine", json={"rows": questions(1)}, headers=bob),
    ):
        assert "no dataset `mine`" in refusal(answer, 404)
    assert numbers(await rows_of(client, "mine")) == [0, 1]
    file_id = (await upload(client, b"question,answer\na,b\n", name="q.csv")).json()["id"]
    assert refusal(await client.post(DATASETS, json=dataset({"uri": file_id}), headers=bob), 404)


async def test_the_policy_says_who_may(world: DatasetWorld) -> None:
    rules: list[Any] = [
        {"permit": {"principal": "ada", "actions": ["create", "read", "update", "delete"]}},
        {"permit": {"principal": "bob", "actions": ["read"]}},
    ]
    client = await world.client(policy=rules)
    await register(client, {"rows": questions(2)}, "mine")
    bob = by("bob")
    assert numbers(await rows_of(client, "mine", "bob")) == [0, 1]
    assert refusal(await client.post(f"{APPEND}/mine", json={"rows": questions(1)}, headers=bob), 403)
    assert refusal(await client.delete(f"{DATASETS}/mine", headers=bob), 403)
    assert refusal(await client.post(DATASETS, json=dataset({"rows": []}), headers=bob), 403)


async def test_a_caller_keeps_as_much_as_it_may(world: DatasetWorld) -> None:
    client = await world.client(quota={"max_datasets": 2, "max_dataset_bytes": 1000})

    async def post(name: str, count: int = 1, who: str = "ada") -> httpx.Response:
        return await client.post(DATASETS, json=dataset({"rows": questions(count)}, name), headers=by(who))

    answers = await asyncio.gather(*(post(f"d{number}") for number in range(6)))
    made = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert len(made) == 2
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert "You may keep 2 datasets" in refusal(refused, 429)
    assert refused.json()["error"]["code"] == "max_datasets_reached"
    assert (await post(f"d{made[0]}")).status_code == 200  # it is there
    assert (await post("other", who="bob")).status_code == 200
    await client.delete(f"{DATASETS}/d{made[0]}", headers=ADA)
    large = await post("large", 30)
    assert "You may keep 1000 bytes" in refusal(large, 413)
    assert (await post("small", 5)).status_code == 200
    more = await client.post(f"{APPEND}/small", json={"rows": questions(20)}, headers=ADA)
    assert "1000 bytes" in refusal(more, 413)
    uri = world.source("large.jsonl", jsonl(questions(30_000)))
    await client.delete(f"{DATASETS}/small", headers=ADA)
    await register(client, {"uri": uri}, "import")
    async with world.working(quota={"max_datasets": 2, "max_dataset_bytes": 1000}), asyncio.timeout(60):
        while (answer := await client.get(f"{ROWS}/import", headers=ADA)).status_code == 409:
            pass
    assert "1000 bytes" in refusal(answer)
    await client.delete(f"{DATASETS}/import", headers=ADA)
    assert (await post("again")).status_code == 200


async def test_declared_datasets_are_there_for_all(world: DatasetWorld) -> None:
    def declared(rows: list[Json], **more: Any) -> list[Json]:
        source = {"type": "rows", "rows": rows}
        return [{"dataset_id": "basics", "purpose": "eval/question-answer", "source": source, **more}]

    client = await world.client(datasets=declared(questions(3)))
    listed = (await client.get(DATASETS, headers=ADA)).json()["data"]
    assert [(entry["identifier"], entry["provider_id"]) for entry in listed] == [("basics", "localfs")]
    assert "owner" not in listed[0]
    assert numbers(await rows_of(client, "basics", "bob", limit=2)) == [0, 1]
    assert "run config" in refusal(
        await client.post(DATASETS, json=dataset({"rows": questions(3)}, "basics"), headers=ADA), 409
    )
    assert "is declared in the run config; remove it there." in refusal(
        await client.delete(f"{DATASETS}/basics", headers=ADA), 409
    )
    later = await world.client(datasets=declared(questions(4)))  # another source by now
    assert numbers(await rows_of(later, "basics")) == [0, 1, 2, 3]
    uri = world.source("declared.jsonl", jsonl(questions(30_000)))
    source: Json = {"uri": uri}
    large = [{"dataset_id": "large", "purpose": "eval/question-answer", "source": source}]
    client = await world.client(datasets=large)
    async with world.working(datasets=large):
        assert numbers(await rows_of(client, "large", start_index=29_999)) == [29_999]
