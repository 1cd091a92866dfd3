"""A batch of a dataset on the wire: each row fills a template, is a line, and its answer may be a row again."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, override

import httpx
import pytest

from tests.parts.batch_stack import BATCHES, CHAT, BatchWorld, batch_world, end_of, lines_of
from tests.parts.job_tasks import job_worker
from tests.parts.response_stack import MODEL

TEMPLATE: dict[str, Any] = {
    "body": {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Answer: {{question}}"}],
        "max_tokens": "{{most}}",
    }
}
ROWS: list[dict[str, Any]] = [{"question": f"{number}?", "answer": str(number), "most": 9} for number in range(4)]


class World(BatchWorld):
    """Batches, and datasets."""

    @override
    def document(self, **how: Any) -> dict[str, Any]:
        document = super().document(**how)
        document["apis"] = [*document["apis"], "datasetio"]
        local = {"provider_id": "localfs", "provider_type": "inline::localfs", "config": {}}
        document["providers"]["datasetio"] = [local]
        return document


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with batch_world(tmp_path) as world:
        yield World(world.folder, world.model, world.server, world.engines, world.opened)


async def register(
    client: httpx.AsyncClient, rows: list[dict[str, Any]], dataset_id: str = "rows", **headers: str
) -> None:
    body = {"purpose": "eval/question-answer", "source": {"type": "rows", "rows": rows}, "dataset_id": dataset_id}
    answer = await client.post("/v1/datasets", json=body, headers=headers)
    assert answer.status_code == 200, answer.text


def of_dataset(template: Any = TEMPLATE, dataset_id: str = "rows", **more: Any) -> dict[str, Any]:
    body = {"input_dataset_id": dataset_id, "template": template, "endpoint": CHAT, "completion_window": "24h"}
    return {name: value for name, value in (body | more).items() if value is not None}


async def make(client: httpx.AsyncClient, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = await client.post(BATCHES, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    batch: dict[str, Any] = answer.json()
    return batch


async def rows_of(client: httpx.AsyncClient, dataset_id: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/datasetio/iterrows/{dataset_id}")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


async def test_each_row_is_a_line_and_its_answer_a_row(world: World) -> None:
    async with job_worker(world):
        client = await world.client()
        rows = [*ROWS[:2], ROWS[2] | {"most": "many"}, ROWS[3] | {"question": "{{answer}} ü"}]
        await register(client, rows)
        made = await make(client, of_dataset(output_dataset_id="answers"), **{"idempotency-key": "once"})
        assert (made["input_file_id"], made["input_dataset_id"], made["status"]) == (None, "rows", "validating")
        again = await make(client, of_dataset(output_dataset_id="answers"), **{"idempotency-key": "once"})
        assert again["id"] == made["id"]
        batch = await end_of(client, made["id"])
        assert (batch["status"], batch["output_dataset_id"]) == ("completed", "answers")
        assert batch["request_counts"] == {"total": 4, "completed": 3, "failed": 1}
        good = await lines_of(client, batch["output_file_id"])
        assert [line["custom_id"] for line in good] == ["0", "1", "3"]
        asked = [request["messages"][-1]["content"] for request in world.model.chats]
        assert sorted(asked) == ["Answer: 0?", "Answer: 1?", "Answer: {{answer}} ü"]
        answers = await rows_of(client, "answers")
        texts = [line["response"]["body"]["choices"][0]["message"]["content"] for line in good]
        assert [row["generated_answer"] for row in answers] == [texts[0], texts[1], None, texts[2]]
        assert [{name: row[name] for name in rows[0]} for row in answers] == rows
        assert [row["custom_id"] for row in answers] == ["0", "1", "2", "3"]
        assert "max_tokens" in answers[2]["error"]["message"]
        assert [row.get("error") for row in answers[:2]] == [None, None]


async def test_rows_are_asked_as_responses_and_as_turns_of_an_agent(world: World) -> None:
    config = {"model": MODEL, "instructions": "Answer.", "enable_session_persistence": False}
    async with job_worker(world):
        client = await world.client()
        await register(client, [{"question": "Hello?", "answer": "", "messages": [{"role": "user", "content": "Hi?"}]}])
        agent = (await client.post("/v1/agents", json={"agent_config": config})).json()["agent_id"]
        response = {"body": {"model": MODEL, "input": "{{question}}"}}
        turn = {"url": f"/v1/agents/{agent}/turn", "body": {"messages": "{{messages}}"}}
        texts: list[str] = []
        for endpoint, template in (("/v1/responses", response), ("/v1/agents/{agent_id}/turn", turn)):
            name = f"answers-{len(texts)}"
            made = await make(client, of_dataset(template, endpoint=endpoint, output_dataset_id=name))
            batch = await end_of(client, made["id"])
            assert batch["request_counts"]["completed"] == 1, batch
            texts.append((await rows_of(client, name))[0]["generated_answer"])
        assert ["Hello?" in texts[0], "Hi?" in texts[1]] == [True, True]


async def test_lines_are_what_they_were_whatever_becomes_of_the_dataset(world: World) -> None:
    client = await world.client()
    await register(client, ROWS)
    made = await make(client, of_dataset())
    async with job_worker(world):
        batch = await end_of(client, made["id"])
        assert batch["request_counts"]["completed"] == len(ROWS)
        assert "output_dataset_id" not in batch
        assert (await client.delete("/v1/datasets/rows")).status_code == 200
        gone = await end_of(client, (await make(client, of_dataset(metadata={"n": "2"})))["id"])
    [fault] = gone["errors"]["data"]
    message = "Cannot find dataset `rows`. Register it, and name its id."
    assert fault == {"code": "invalid_request", "line": None, "message": message, "param": "input_dataset_id"}


async def test_another_callers_dataset_is_not_there_and_none_is_written_over(world: World) -> None:
    async with job_worker(world, auth=True):
        client = await world.client(auth=True)
        ada, bob = {"authorization": "Bearer ada"}, {"authorization": "Bearer bob"}
        await register(client, ROWS, **ada)
        foreign = await make(client, of_dataset(), **bob)
        assert (await end_of(client, foreign["id"], **bob))["errors"]["data"][0]["param"] == "input_dataset_id"
        over = await make(client, of_dataset(output_dataset_id="rows"), **ada)
        [fault] = (await end_of(client, over["id"], **ada))["errors"]["data"]
        assert (fault["code"], fault["param"]) == ("dataset_exists", "output_dataset_id")


LARGE = {"body": {"model": MODEL, "messages": ["{{question}}" * 1000]}}
FAULTS: tuple[tuple[list[dict[str, Any]], dict[str, Any], tuple[Any, ...], str], ...] = (
    ([ROWS[0], {"question": "?", "answer": ""}], TEMPLATE, ("missing_column", 2, "template"), "The row has no column `most`"),
    ([], TEMPLATE, ("empty_file", None, "input_dataset_id"), "The dataset has no rows."),
    (ROWS[:1], {"body": {"model": "no", "messages": []}}, ("model_not_found", 1, "body.model"), "The model `no` does not"),
    (ROWS[:2], TEMPLATE | {"custom_id": "x"}, ("duplicate_custom_id", 2, "custom_id"), "The custom_id `x` is that of"),
    ([ROWS[0] | {"question": "x" * 2000}], LARGE, ("line_too_large", 1, None), "The line has 2000000 bytes"),
    (ROWS[:1], TEMPLATE | {"url": "/v1/responses"}, ("invalid_url", 1, "url"), "The url `/v1/responses` does not match"),
)  # fmt: skip


async def test_every_fault_of_a_row_has_its_line(world: World) -> None:
    async with job_worker(world):
        client = await world.client()
        for number, (rows, template, fault, words) in enumerate(FAULTS):
            await register(client, rows, f"d{number}")
            batch = await end_of(client, (await make(client, of_dataset(template, f"d{number}")))["id"])
            [only] = batch["errors"]["data"]
            assert (batch["status"], only["code"], only["line"], only["param"]) == ("failed", *fault)
            assert only["message"].startswith(words)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input_dataset_id": None, "template": None}, "input_file_id", "`input_dataset_id` with a `template`"),
        ({"input_file_id": "file-1"}, "input_dataset_id", "exclude each other"),
        ({"template": None}, "template", "`template` is missing"),
        ({"template": {"model": "m"}}, "template", "`template` has a field `model`"),
        ({"template": {"body": "{{x}}"}}, "template", "`template.body` must be an object"),
        ({"input_dataset_id": None, "input_file_id": "file-1"}, "template", "goes with `input_dataset_id`"),
        ({"endpoint": "/v1/files"}, "endpoint", "Invalid endpoint"),
        ({"input_dataset_id": ""}, "input_dataset_id", "at least 1 character"),
    ],
)
async def test_what_is_no_batch_of_a_dataset_is_refused(
    world: World, fields: dict[str, Any], param: str, words: str
) -> None:
    client = await world.client()
    answer = await client.post(BATCHES, json=of_dataset(**fields))
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    assert words in error["message"]
