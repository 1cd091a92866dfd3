"""Whatever a row says that an operation carries reaches its method, and whatever the method returns the client."""

import asyncio
from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import httpx
from openapi_spec_validator import OpenAPIV31SpecValidator
import pytest

from core.config.security import IdempotencyConfig
from core.errors import PermissionDenied, QuotaExceeded, StaleRevision, UpstreamThrottled
from core.frame.api import route_rows
from core.frame.callers import CURRENT_CALL, Call, Charge, Principal
from core.frame.openapi import document
from core.frame.types import EventSource, NamedEvent
from core.web.observed import RequestRecord
from core.web.sse import EventFrames
from tests.parts.notebook import NOTEBOOK, NewRun, ServedNotebook, notebook_app, served_notebook
from tests.unit.web.fakes import MemoryAnswers

NOTES = "/v1/folders/a%20b/notes"
JSON = {"content-type": "application/json"}


class Doorkeeper:
    """Knows everybody, or nobody."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    async def authenticate(self, _: object) -> Principal:
        if self.failure is not None:
            raise self.failure
        return Principal("ada", {})

    def token_of(self, _: object) -> str:
        return ""


class Counter:
    """A quota of `left` requests, and what was settled of them."""

    def __init__(self, left: int = 9) -> None:
        self.left = left
        self.reserved: list[int | None] = []
        self.settled: list[int | None] = []
        self.headers: dict[str, str] = {"ratelimit-limit": "9"}

    async def admit(self, _: Call, tokens: int | None, requests: int = 1, order: object = None) -> "Counter":
        assert (requests, order is None) == (1, tokens is None)
        self.reserved.append(tokens)
        if len(self.reserved) > self.left:
            raise QuotaExceeded(retry_after=1)
        return self

    async def settle(self, charge: Charge) -> None:
        self.settled.append(charge.tokens)
        assert not charge.further + charge.least


@pytest.fixture
def served(tmp_path: Path) -> ServedNotebook:
    return served_notebook(tmp_path / "blobs")


@pytest.fixture
async def client(served: ServedNotebook) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(served) as client:
        yield client
    assert CURRENT_CALL.get() is None


def client_of(served: ServedNotebook, records: list[RequestRecord] | None = None) -> httpx.AsyncClient:
    app = notebook_app(served, None if records is None else records.append)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://t")


def error(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    return found


async def test_path_query_and_body_reach_one_method(client: httpx.AsyncClient) -> None:
    query = "limit=7&order=desc&include[]=a&include=b&exact=true&filter[who]=me&nobody=knows"
    answer = await client.post(f"{NOTES}?{query}", json={"text": "t"})
    assert answer.status_code == 201
    told = {"limit": 7, "order": "desc", "include": ["a", "b"], "exact": True, "filter": {"who": "me"}}
    assert answer.json() == {"folder_id": "a b", "text": "t", "query": told}


async def test_a_query_has_defaults_and_the_last_of_what_is_no_list_counts(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{NOTES}?limit=3&limit=4&include=x", json={"text": "t"})
    query = answer.json()["query"]
    assert (query["limit"], query["order"], query["include"], query["exact"]) == (4, "asc", ["x"], False)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("order=up", "order"),
        ("exact=perhaps", "exact"),
        ("filter=x", "filter"),
    ],
)
async def test_a_wrong_query_is_a_400_that_names_the_parameter(
    client: httpx.AsyncClient, query: str, param: str
) -> None:
    answer = await client.post(f"{NOTES}?{query}", json={"text": "t"})
    assert (answer.status_code, error(answer)["param"]) == (400, param)


async def test_put_patch_and_an_empty_answer(client: httpx.AsyncClient) -> None:
    assert (await client.patch("/v1/notes/n", json={"text": "t"})).json() == {"folder_id": "n", "text": "t"}
    answer = await client.delete("/v1/notes/n")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers
    assert "content-length" not in answer.headers
    answer = await client.post("/v1/notes/n", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, PATCH, PUT")


async def test_an_error_with_more_than_the_usual_keys_is_printed_as_it_is(client: httpx.AsyncClient) -> None:
    answer = await client.put("/v1/notes/n", json={"text": "mine"})
    assert answer.status_code == 409
    said = answer.json()
    assert said["error"].pop("request_id") == answer.headers["x-request-id"]
    assert said == StaleRevision("Note n", {"text": "mine"}).body()
    assert error(answer)["current"] == {"text": "mine"}


def _split(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name, value


def events(text: str) -> list[dict[str, str]]:
    blocks = text.removesuffix("\n\n").split("\n\n")
    return [dict(_split(line) for line in block.split("\n")) for block in blocks]


async def test_named_events_have_names_ids_and_no_done(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/runs", json={"count": 2, "stream": True})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text == (
        'event: run.step\nid: 0\ndata: {"sequence_number":0}\n\nevent: run.step\nid: 1\ndata: {"sequence_number":1}\n\n'
    )
    assert (await client.post("/v1/runs", json={"count": 2})).json()["text"] == "2"


@pytest.mark.parametrize("failure", [UpstreamThrottled("slow down"), ValueError("secret")])
async def test_a_broken_stream_of_named_events_ends_as_its_row_says(
    client: httpx.AsyncClient, served: ServedNotebook, failure: Exception
) -> None:
    async def opened(request: NewRun) -> EventSource:
        del request
        served.notebook.fails = failure
        return served.notebook._events(0, 2)

    served.notebook.stream_run = opened  # type: ignore[method-assign]
    last = events((await client.post("/v1/runs", json={"stream": True})).text)[-1]
    code = "upstream_rate_limit_exceeded" if isinstance(failure, UpstreamThrottled) else "internal_error"
    assert (last["event"], last["id"]) == ("run.failed", "2")
    assert json.loads(last["data"]) == {"code": code, "sequence_number": 2}


async def test_a_broken_stream_without_a_word_of_its_row_ends_with_an_event_error(
    client: httpx.AsyncClient, served: ServedNotebook
) -> None:
    served.notebook.fails = UpstreamThrottled("slow down")
    last = events((await client.get("/v1/runs/r?stream=true")).text)[-1]
    assert (last["event"], "id" in last) == ("error", False)
    assert json.loads(last["data"])["error"]["message"] == "slow down"


@pytest.mark.parametrize(
    ("query", "headers", "numbers"),
    [
        ("stream=true", {}, [0, 1, 2]),
        ("stream=true&starting_after=0", {}, [1, 2]),
        ("stream=true", {"last-event-id": "1"}, [2]),
        ("stream=true&starting_after=0&last_event_id=0", {"last-event-id": "1"}, [2]),
        ("stream=true&last_event_id=0", {}, [1, 2]),
    ],
)
async def test_a_stream_is_resumed_by_get(
    client: httpx.AsyncClient, query: str, headers: dict[str, str], numbers: list[int]
) -> None:
    answer = await client.get(f"/v1/runs/r?{query}", headers=headers)
    assert [json.loads(event["data"])["sequence_number"] for event in events(answer.text)] == numbers


async def test_a_get_opens_a_stream_by_its_query_alone(client: httpx.AsyncClient, served: ServedNotebook) -> None:
    assert (await client.get("/v1/runs/r?starting_after=4")).json() == {"folder_id": "r", "text": "4"}
    assert (await client.get("/v1/runs/r?starting_after=x")).status_code == 400
    await client.head("/v1/runs/r?stream=true")
    assert served.notebook.closed == 0


def test_line_breaks_cannot_leave_a_name_or_an_id() -> None:
    event = EventFrames().event(NamedEvent("a\nb", {"x": "1\n2"}, "c\r\0d"))
    assert event == b'event: ab\nid: cd\ndata: {"x":"1\\n2"}\n\n'


async def test_the_current_call_is_the_callers_in_methods_and_in_streams(served: ServedNotebook) -> None:
    served.authenticator = Doorkeeper()
    async with client_of(served) as client:
        await client.delete("/v1/notes/n")
        await client.post(NOTES, json={"text": "t"})
        await client.post("/v1/runs", json={"stream": True})
    principals = [None if call is None else call.principal.id for call in served.notebook.calls]
    assert principals == ["ada"] * 7  # two methods, one more that opens, three events, the end
    assert CURRENT_CALL.get() is None


async def test_two_calls_at_once_have_each_their_own(served: ServedNotebook) -> None:
    served.notebook.waits = asyncio.Event()
    async with client_of(served) as client:
        asking = [asyncio.create_task(client.post(NOTES, json={"text": "t"})) for _ in range(2)]
        while len(served.notebook.calls) < 2:  # noqa: ASYNC110 - it is what another task does that is waited for
            await asyncio.sleep(0)
        served.notebook.waits.set()
        await asyncio.gather(*asking)
    first, second = served.notebook.calls
    assert first is not second


async def test_a_refused_caller_costs_nothing_further(served: ServedNotebook) -> None:
    served.authenticator, served.admission = Doorkeeper(PermissionDenied("no")), Counter()
    async with client_of(served) as client:
        assert (await client.post(NOTES, content=b"{", headers=JSON)).status_code == 403
    assert served.admission.reserved == []


async def test_a_body_that_is_wrong_is_counted(served: ServedNotebook) -> None:
    served.admission = Counter()
    async with client_of(served) as client:
        answer = await client.post(NOTES, content=b"{", headers=JSON)
    assert (answer.status_code, answer.headers["ratelimit-limit"]) == (400, "9")
    assert (served.admission.reserved, served.admission.settled) == ([None], [0])


async def test_a_stream_of_named_events_is_answered_again_under_its_key(served: ServedNotebook) -> None:
    store = {"type": "sqlite", "db_path": "x"}
    served.answers, served.server = (
        MemoryAnswers(),
        {"idempotency": IdempotencyConfig.model_validate({"kvstore": store})},
    )
    async with client_of(served) as client:
        headers = {"idempotency-key": "k"}
        first, again = [
            await client.post("/v1/runs", json={"stream": True}, headers=headers, timeout=10) for _ in range(2)
        ]
        created, replayed = [await client.post(NOTES, json={"text": "t"}, headers=headers) for _ in range(2)]
    assert again.headers["idempotent-replayed"] == "true"
    assert first.text == again.text
    assert "[DONE]" not in again.text
    assert served.notebook.closed == 1
    assert (created.status_code, replayed.status_code) == (201, 201)
    assert replayed.headers["idempotent-replayed"] == "true"


async def test_every_request_is_told_of_under_its_operation(served: ServedNotebook) -> None:
    records: list[RequestRecord] = []
    async with client_of(served, records) as client:
        await client.put("/v1/notes/n", json={"text": "t"})
        await client.get("/v1/runs/r?stream=true")
    told = [(record.observed.api, record.observed.operation, record.status) for record in records]
    assert told == [("notebook", "replace", 409), ("notebook", "show_run", 200)]


def test_the_document_describes_all_of_it() -> None:
    assert NOTEBOOK.streams
    assert NOTEBOOK.takes_uploads
    made = document("1", list(route_rows(NOTEBOOK)))
    OpenAPIV31SpecValidator(made).validate()
    create = made["paths"]["/v1/folders/{folder_id}/notes"]["post"]
    parameters = {parameter["name"]: parameter for parameter in create["parameters"]}
    assert parameters["limit"]["schema"]["maximum"] == 100
    assert parameters["order"]["schema"]["enum"] == ["asc", "desc"]
    assert parameters["include"]["schema"]["type"] == "array"
    assert set(create["responses"]) >= {"201", "400", "404", "413", "default"}
    upload = made["paths"]["/v1/folders/{folder_id}/files"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert upload["schema"]["allOf"][1]["properties"]["file"]["format"] == "binary"
    download = made["paths"]["/v1/files/{file_id}"]["get"]["responses"]
    assert set(download) >= {"200", "206", "302", "304", "416"}
    assert "content" not in made["paths"]["/v1/notes/{note_id}"]["delete"]["responses"]["204"]
    stream = made["paths"]["/v1/runs"]["post"]["responses"]["200"]["content"]["text/event-stream"]
    assert (stream["x-frames"], stream["x-item-schema"]) == ("events", {"$ref": "#/components/schemas/Note"})
