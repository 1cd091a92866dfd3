"""The lines of Bedrock's evaluations: what a row is asked as, and what its results say. Pure.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-evaluation-prompt-datasets-custom.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-evaluation-report-s3.html.
"""

from collections import deque
from collections.abc import Mapping
import json
from math import fsum
from typing import Any, Final, cast

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_values import is_list, to_object

PROMPTS: Final = ("question", "input_query", "prompt", "completion_input", "chat_completion_input", "messages")
ANSWERS: Final = ("answer", "expected_answer", "referenceResponse")
CATEGORY: Final = "category"
GENERATED: Final = "generated_answer"

type Key = tuple[str, str]
"""By which a result is known: Bedrock gives records no ids. Those that are alike are in the order in which they come."""


def to_line(row: Mapping[str, Any], number: int) -> bytes:
    """`{prompt, referenceResponse?, category?}`; raises InvalidRequest for a row without a text to ask."""
    prompt = next((text for name in PROMPTS if (text := _text(row.get(name)))), "")
    if not prompt:
        raise InvalidRequest(f"Row {number} of the dataset has no prompt: one of the columns {', '.join(PROMPTS)}.")
    line = {"prompt": prompt}
    reference = next((text for name in ANSWERS if (text := _text(row.get(name)))), "")
    if reference:
        line["referenceResponse"] = reference
    if category := _text(row.get(CATEGORY)):
        line["category"] = category
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _text(cell: object) -> str:
    """Of messages, or their JSON, what a user said last."""
    if isinstance(cell, str) and cell[:1] in "[{" and cell:
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return str(cell)
    if isinstance(cell, str | int | float):
        return str(cell)
    if is_list(cell):
        users = [to_object(message) for message in cell if to_object(message).get("role") == "user"]
        return _text(users[-1].get("content")) if users else "".join(map(_part, cell))
    return _text(to_object(cell).get("content")) if to_object(cell) else ""


def _part(part: object) -> str:
    return str(to_object(part).get("text") or "")


class Results:
    """What the output files of a job come to, in the order of the input; of a dataset of Bedrock's own, in that of the first file.

    A file has the scores of one metric or of several; each has every record once.
    """

    def __init__(self) -> None:
        self._generations: list[JsonObject] = []
        self._places: dict[Key, list[int]] = {}
        self._left: dict[Key, deque[int]] = {}
        self._scores: dict[str, dict[int, JsonObject]] = {}

    def expect(self, line: bytes) -> None:
        """A line of the input."""
        self._add_place(_key(to_object(_json(line))))

    def begin_file(self) -> None:
        self._left = {key: deque(places) for key, places in self._places.items()}

    def add(self, line: bytes) -> None:
        """A line of the output; one of another shape tells nothing."""
        record = to_object(_json(line))
        result = to_object(record.get("automatedEvaluationResult"))
        if not record or not result:
            return
        key = _key(to_object(record.get("inputRecord")))
        queue = self._left.get(key)
        place = queue.popleft() if queue else self._add_place(key)
        responses = record.get("modelResponses")
        if is_list(responses) and responses:
            self._generations[place][GENERATED] = to_object(responses[0]).get("response")
        scores = result.get("scores")
        for entry in cast("list[object]", scores) if is_list(scores) else []:
            score = to_object(entry)
            more = {name: score[name] for name in ("evaluatorDetails",) if name in score}
            self._scores.setdefault(str(score.get("metricName")), {})[place] = {"score": score.get("result"), **more}

    def answer(self) -> JsonObject:
        """An EvalResult."""
        places = range(len(self._generations))
        return {
            "generations": self._generations,
            "scores": {
                name: {
                    "score_rows": [rows.get(place, {"score": None}) for place in places],
                    "aggregated_results": {"average": {"average": _mean(rows)}},
                }
                for name, rows in self._scores.items()
            },
        }

    def _add_place(self, key: Key) -> int:
        place = len(self._generations)
        self._generations.append({GENERATED: None})
        self._places.setdefault(key, []).append(place)
        return place


def _key(record: Mapping[str, Any]) -> Key:
    return (str(record.get("prompt")), str(record.get("referenceResponse")))


def _mean(rows: Mapping[int, JsonObject]) -> float | None:
    numbers = [row["score"] for row in rows.values() if isinstance(row["score"], int | float)]
    return fsum(numbers) / len(numbers) if numbers else None


def _json(line: bytes) -> Any:  # noqa: ANN401 - whatever it is
    try:
        return json.loads(line)
    except ValueError:
        return None
