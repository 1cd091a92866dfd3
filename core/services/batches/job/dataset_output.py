"""What a batch of a dataset came to, as a dataset: each row that was asked, with its answer beside its own columns.

row    its columns, `custom_id`, `generated_answer` (null where it was refused), and `error` where there is one
"""

from collections.abc import AsyncIterator
from typing import Any, Final

from pydantic_core import from_json, to_json

from core.apis.datasets import DatasetRows
from core.errors import ApiError, NotFound
from core.frame.callers import Call
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.services.batches.job.dataset_input import ROW
from core.services.batches.job.faults import unkept_dataset
from core.services.batches.job.lines import read_lines
from core.services.batches.job.spans import NO_LIMIT
from core.services.jobs.kind import FinishRun
from core.services.parts import Parts, surface_for

PURPOSE: Final = "eval/question-answer"
"""Where the dataset of the input is gone by now."""
FAULT: Final = 500  # and above: ours, and it is tried again


async def keep_dataset(parts: Parts, run: FinishRun, lines: AsyncIterator[bytes]) -> JsonObject:
    """What the job's result says of it; `lines` are those of the parts, in the order of the input, empty where nothing is."""
    name: str = run.job.request["output_dataset_id"]
    rows: DatasetRows | None = surface_for(parts, "dataset_rows", Call(run.job.principal))
    if rows is None or not run.shards:
        return {}
    try:
        purpose = await rows.purpose(run.job.request["input_dataset_id"])
    except NotFound:
        purpose = PURPOSE
    about: JsonObject = {"job": run.job.id, "input_dataset_id": run.job.request["input_dataset_id"]}
    try:
        await rows.create(name, purpose, _rows(run, lines), about)
    except ApiError as failure:  # the answers are there, in files
        if failure.status >= FAULT:
            raise
        return {"errors": [unkept_dataset(failure)]}
    return {"output_dataset_id": name}


async def _rows(run: FinishRun, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """As JSON; what was never asked is left out."""
    inputs = read_lines(run.files.read(run.shards[0].source["input"]), NO_LIMIT)
    async for line in lines:
        request = await anext(inputs)
        if line:
            yield to_json(_row_of(from_json(request.content or b""), from_json(line[1:])), inf_nan_mode="null")


def _row_of(request: JsonObject, line: JsonObject) -> JsonObject:
    row = {**to_object(request.get(ROW)), "custom_id": line["custom_id"]}
    if line["error"] is not None:
        return {**row, "generated_answer": None, "error": line["error"]}
    return {**row, "generated_answer": answer_of(to_object(to_object(line["response"]).get("body")))}


def answer_of(body: JsonObject) -> Any:  # noqa: ANN401 - JSON
    """The text of an answer, of whichever endpoint; of one without a text its data as they are."""
    if is_object(first := _first(body.get("choices"))):
        return to_object(first.get("message")).get("content") if "message" in first else first.get("text")
    if "output_message" in body:
        return _text_of(to_object(body["output_message"]).get("content"))
    if is_list(body.get("output")):
        messages = [to_object(item) for item in body["output"]]
        return "".join(_text_of(item.get("content")) for item in messages if item.get("type") == "message")
    if is_object(first := _first(body.get("data"))):
        return first.get("embedding")
    return body.get("results")


def _first(value: object) -> object:
    return value[0] if is_list(value) and value else None


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if is_list(content) else [content]
    texts = (to_object(part).get("text") for part in parts)
    return "".join(text for text in texts if isinstance(text, str))
