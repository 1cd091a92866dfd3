"""Batches by every client, as OGX's own tests use them: what they look for in answers and refusals is looked for here."""

from functools import partial
from importlib import import_module
import json
import time
from typing import Any
import uuid

from tests.clients.scripts import files
from tests.clients.scripts.files import content_of, is_ogx
from tests.clients.scripts.guarded import package
from tests.clients.scripts.harness import refusal, run

CHAT = "/v1/chat/completions"
ENDED = {"completed", "failed", "cancelled", "expired"}
SECONDS = 120


def batches(url: str) -> Any:
    module, make = package()
    return make(module, url, "none").batches


def error(status: int) -> type[Exception]:
    if status != 409:
        return files.error(status)
    module: Any = package()[0]
    if is_ogx():
        found: type[Exception] = import_module("ogx_client.exceptions").ConflictException
        return found
    conflict: type[Exception] = module.ConflictError
    return conflict


def text_of(refused: Exception) -> str:
    return f"{refused} {getattr(refused, 'body', '')}".lower()


def line(custom_id: str, model: str = "local/m", **fields: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body} | fields


def upload(url: str, *lines: Any) -> str:
    content = b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in lines)
    file: Any = files.upload(url, content, "rows.jsonl", "batch")
    return str(file.id)


def make(url: str, file_id: str, **more: Any) -> Any:
    wanted = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h", **more}
    key = wanted.pop("idempotency_key", None)
    if key is not None and package()[0].__name__ == "openai":  # a field of the reference alone
        return batches(url).create(**wanted, extra_body={"idempotency_key": key})
    return batches(url).create(**wanted, **({} if key is None else {"idempotency_key": key}))


def end_of(url: str, batch: Any) -> Any:
    until = time.monotonic() + SECONDS
    while batch.status not in ENDED and time.monotonic() < until:
        time.sleep(0.2)
        batch = batches(url).retrieve(batch.id)
    return batch


def listed(url: str, **query: Any) -> list[str]:
    """The ids of all pages, as the client's own pager gives them where it has one."""
    page = batches(url).list(**query)
    assert page.object == "list"
    if is_ogx():
        ids = [batch.id for batch in page.data]
        while page.has_more:
            page = batches(url).list(**query, after=page.last_id)
            ids += [batch.id for batch in page.data]
        return ids
    return [batch.id for batch in page]


def a_batch_is_answered_and_what_was_refused_is_in_the_error_file(url: str) -> None:
    refused = line(
        "c1", body={"model": "local/m", "messages": [{"role": "user", "content": "Hi"}], "temperature": "hot"}
    )
    batch = make(url, upload(url, line("c0"), refused, line("c2")), metadata={"test": "e2e"})
    assert (batch.object, batch.endpoint, batch.completion_window) == ("batch", CHAT, "24h")
    assert batch.status in {"validating", "in_progress", "finalizing", "completed"}
    batch = end_of(url, batch)
    assert (batch.status, batch.metadata) == ("completed", {"test": "e2e"})
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (3, 2, 1)
    assert batch.completed_at >= batch.in_progress_at >= batch.created_at
    assert batch.usage.total_tokens == batch.usage.input_tokens + batch.usage.output_tokens
    answers = [json.loads(one) for one in content_of(url, batch.output_file_id).decode().splitlines()]
    assert [one["custom_id"] for one in answers] == ["c0", "c2"]
    for one in answers:
        assert one["id"].startswith("batch_req_")
        assert (one["response"]["status_code"], one["error"]) == (200, None)
        assert one["response"]["body"]["choices"][0]["message"]["content"] == "Hello"
    [one] = [json.loads(each) for each in content_of(url, batch.error_file_id).decode().splitlines()]
    assert one["custom_id"] == "c1"
    assert one["error"]["code"] or one["error"]["message"]
    refusal(error(409), partial(batches(url).cancel, batch.id))
    assert "cannot cancel" in text_of(refusal(error(409), partial(batches(url).cancel, batch.id)))


def every_fault_is_told_with_its_line(url: str) -> None:
    broken = [
        b"{no json",
        b'["an", "array"]',
        {name: value for name, value in line("c3").items() if name != "method"},
        line("c4", body="text"),
        line("c5", url="/v1/completions"),
        line("c6", body={"model": "local/m", "messages": [], "stream": True}),
        line("c7", model="nobody"),
        line("c8", body={"model": "local/m"}),
    ]
    batch = end_of(url, make(url, upload(url, *broken)))
    assert (batch.status, batch.output_file_id) == ("failed", None)
    faults = {fault.line: (fault.code, fault.param, str(fault.message).lower()) for fault in batch.errors.data}
    expected = {
        1: ("invalid_json_line", None, "valid json"),
        2: ("invalid_request", None, "object"),
        3: ("missing_required_parameter", "method", "missing"),
        4: ("invalid_request", "body", "body"),
        5: ("invalid_url", "url", "does not match"),
        6: ("streaming_unsupported", "body.stream", "not supported"),
        7: ("model_not_found", "body.model", "not supported"),
        8: ("invalid_request", "body.messages", "messages"),
    }
    assert faults.keys() == expected.keys(), faults
    for number, (code, param, words) in expected.items():
        assert (code, True) == (faults[number][0], words in faults[number][2]), faults[number]
        assert param in {None, faults[number][1]}, faults[number]
    gone = end_of(url, make(url, "file-00000000000000000000000000000000"))
    assert "cannot find file" in gone.errors.data[0].message.lower()


def batches_are_listed_and_stopped(url: str) -> None:
    file_id = upload(url, *(line(f"c{number}") for number in range(50)))
    made = [make(url, file_id).id for _ in range(3)]
    ids = listed(url, limit=2)
    assert [each for each in ids if each in made] == made[::-1]
    assert len(ids) == len(set(ids))
    stopped = batches(url).cancel(make(url, file_id).id)
    assert stopped.status in {"cancelling", "cancelled"}
    ended = end_of(url, stopped)
    assert ended.status == "cancelled"
    assert ended.cancelled_at >= ended.cancelling_at
    assert batches(url).cancel(ended.id).status == "cancelled"
    refusal(error(404), partial(batches(url).retrieve, "batch_00000000000000000000000"))


def a_key_makes_one_batch(url: str) -> None:
    key, file_id = uuid.uuid4().hex, upload(url, line("c0"))
    first = make(url, file_id, metadata={"a": "1", "b": "2"}, idempotency_key=key)
    assert make(url, file_id, metadata={"b": "2", "a": "1"}, idempotency_key=key).id == first.id
    assert make(url, file_id, metadata={"a": "1", "b": "2"}).id != first.id
    refused = refusal(error(409), partial(make, url, file_id, metadata={"a": "2"}, idempotency_key=key))
    assert "conflict" in text_of(refused)


def what_is_wrong_is_named(url: str) -> None:
    refused = text_of(refusal(error(400), partial(make, url, "file-1", endpoint="/v1/invalid/endpoint")))
    for words in ("invalid endpoint", "/v1/invalid/endpoint", "supported values", "invalid_value", "endpoint"):
        assert words in refused, refused
    if not is_ogx():  # whose own model refuses it
        refused = text_of(refusal(error(400), partial(make, url, "file-1", completion_window="12h")))
        assert "completion_window" in refused


if __name__ == "__main__":
    run(
        [
            a_batch_is_answered_and_what_was_refused_is_in_the_error_file,
            every_fault_is_told_with_its_line,
            batches_are_listed_and_stopped,
            a_key_makes_one_batch,
            what_is_wrong_is_named,
        ]
    )
