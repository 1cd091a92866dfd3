"""An evaluation is finished: its result becomes a blob of the job, in the order of the dataset, and where it is more than one answer holds, a file too."""

from collections.abc import AsyncIterator, Sequence
import hashlib
import json
from typing import Any, Final

from core.apis.files import MadeFile
from core.apis.scoring import Scorers
from core.errors import ApiError
from core.frame.callers import Call
from core.frame.content import MOST_IN_ANSWER
from core.frame.types import JsonObject
from core.services.evals.evaluating import error_of, scorers_for
from core.services.evals.job.kind import forget_candidate
from core.services.evals.job.results import Line, result_json
from core.services.evals.rows import GENERATED
from core.services.jobs.failures import WorkerLost
from core.services.jobs.kind import FinishRun
from core.services.parts import Parts, surface_for

RESULT: Final = "result.json"
MEDIA_TYPE: Final = "application/json"
PURPOSE: Final = "evals"
SERVER_ERROR: Final = 500


class NotEvaluated(ApiError):
    code = "not_evaluated"

    def __init__(self, outcome: str) -> None:
        super().__init__(f"The row was not evaluated: the job was {outcome} before.")


async def finish(parts: Parts, run: FinishRun) -> JsonObject:
    """The job's result. Who finishes it again makes the same."""
    call = Call(run.job.principal)
    functions = list(run.job.request["functions"])
    scorers = await _scorers(parts, run, call)

    def aggregate(name: str, rows: Sequence[JsonObject]) -> JsonObject:
        return {} if scorers is None else scorers.aggregate(name, rows)

    blob = await run.files.put(RESULT, result_json(_lines(run, functions), functions, aggregate), media_type=MEDIA_TYPE)
    result: JsonObject = {"result": RESULT, "bytes": blob.size}
    if blob.size > MOST_IN_ANSWER and (file_id := await _keep_file(parts, run, call)):
        result["result_file_id"] = file_id
    await forget_candidate(parts, run.job)
    return result


async def _scorers(parts: Parts, run: FinishRun, call: Call) -> Scorers | None:
    """None where a function is gone by now: its rows stay as they were scored."""
    if not run.job.request["functions"]:
        return None
    try:
        return await scorers_for(parts, run.job.request["functions"], call)
    except ApiError as failure:
        if failure.status >= SERVER_ERROR:
            raise
        return None


async def _keep_file(parts: Parts, run: FinishRun, call: Call) -> str:
    """Its id; "" where the stack has no files."""
    files: Any = surface_for(parts, "files", call)
    if files is None:
        return ""
    digest = hashlib.sha256(f"{run.job.id}/result".encode()).hexdigest()
    file = MadeFile(f"file-{digest[:32]}", f"{run.job.id}_result.json", PURPOSE, MEDIA_TYPE)
    await files.keep(file, run.files.read(RESULT))
    return file.file_id


async def _lines(run: FinishRun, functions: Sequence[str]) -> AsyncIterator[Line]:
    """Of every row, in the order of the dataset; those that were not evaluated have an error."""
    outcome = run.job.outcome
    gap = WorkerLost() if outcome is None else NotEvaluated(outcome)
    missing = _error_line(error_of(gap), functions)
    places = ((shard.number, position) for shard in run.shards for position in range(shard.rows))
    async for number, position, content in run.lines():
        for place in places:
            if place == (number, position):
                break
            yield missing
        yield _read(content, functions)
    for _ in places:
        yield missing


def _read(content: bytes, functions: Sequence[str]) -> Line:
    match json.loads(content):
        case {"generation": generation, "scores": scores}:
            return generation, scores
        case {"error": error}:
            return _error_line(error, functions)
        case _:
            raise ValueError(f"no line of an evaluation: {len(content)} bytes")


def _error_line(error: JsonObject, functions: Sequence[str]) -> Line:
    score = {"score": None, "error": error["message"]}
    return {GENERATED: None, "error": error}, dict.fromkeys(functions, score)
