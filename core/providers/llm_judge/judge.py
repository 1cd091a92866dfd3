"""A model as judge: it is asked by a prompt with a row's columns, and its answer is searched for the score.

Source: the provider inline::llm-as-judge of Llama Stack 0.2.12 and 0.7.3.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
import math
import re
from typing import Any, Final, Protocol

from core.apis.answers.scoring import ScoreRow
from core.apis.inference import ChatRequest, refusal_in
from core.apis.scoring import refused_judgement
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.platform.linear_regex import compile_regex, search_first
from core.platform.per_loop import PerLoop
from core.providers.llm_judge.prompts import NAMES, fill

NUMBER: Final = re.compile(r"[+-]?\d{1,30}(?:\.\d{0,30})?")
ANY_NUMBER: Final = r"[+-]?\d+(?:\.\d+)?"
MOST_FEEDBACK: Final = 20_000
"""Characters of a judge's answer that are kept."""
MOST_SCORE: Final = 1_000
NO_JUDGE: Final = "judge_model: name the model that judges, in the request's params or in those of the function."
NO_TEMPLATE: Final = "prompt_template: give the prompt, with the columns in braces: {columns}."


class Chat(Protocol):
    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        """As Inference has it."""
        ...


class Judge:
    """Asks models; a function is its params: `judge_model`, `prompt_template`, `judge_score_regexes`."""

    def __init__(self, inference: Chat, options: Mapping[str, Any], at_once: int) -> None:
        """`options` are fields of the chat requests; at most `at_once` are under way in this process."""
        self._inference = inference
        self._options = dict(options)

        @asynccontextmanager
        async def places(_: str) -> AsyncGenerator[asyncio.Semaphore]:
            yield asyncio.Semaphore(at_once)

        self._places = PerLoop(places)

    async def score_row(self, function: Resource, row: JsonObject, params: JsonObject) -> ScoreRow:
        """`{"score", "judge_feedback"}`; an answer in which there is no score has an `error` too.

        Raises:
            NotFound: there is no such model for this caller.
            InvalidRequest: it was not judged: a shield, or the model itself, refuses what is in the row or what was said of it.
            UpstreamFailed: the model did not answer with a text.
        """
        request = ChatRequest.model_validate(
            {
                "model": params["judge_model"],
                "messages": [{"role": "user", "content": fill(params["prompt_template"], row)}],
                **self._options,
            }
        )
        async with await self._places.get():
            answer = _text_of(await self._inference.chat_completion(request))
        return read_score(answer, params.get("judge_score_regexes") or (), function.attributes["return_type"]["type"])

    async def close(self) -> None:
        await self._places.close()


def check_params(params: JsonObject, *, is_complete: bool) -> None:
    """Raise InvalidRequest where nothing can be judged by them; `is_complete` where no request names more."""
    if is_complete and not params.get("judge_model"):
        raise InvalidRequest(NO_JUDGE, param="judge_model")
    if not params.get("prompt_template"):
        columns = ", ".join(f"{{{name}}}" for name in NAMES)
        raise InvalidRequest(NO_TEMPLATE.format(columns=columns), param="prompt_template")
    for regex in params.get("judge_score_regexes") or ():
        _compile(regex)


def read_score(answer: str, regexes: Sequence[str], kind: str) -> ScoreRow:
    """What the first of the `regexes` that is in the answer has as its group 1. Without regexes the first number is the score of a `number`, and all of the answer is else."""
    feedback = answer[:MOST_FEEDBACK]
    patterns = [_compile(regex) for regex in regexes] or ([_compile(ANY_NUMBER)] if kind == "number" else [])
    text = search_first(patterns, feedback) if patterns else feedback.strip()
    if not text:
        return _nonsense(
            feedback,
            "The judge's answer has no score in it: none of `judge_score_regexes` finds one. Let `prompt_template` ask for it.",
        )
    if kind != "number":
        return {"score": text[:MOST_SCORE], "judge_feedback": feedback}
    number = _number(text)
    if number is None:
        return _nonsense(feedback, "What the judge gave as score is no number.")
    return {"score": number, "judge_feedback": feedback}


def _nonsense(feedback: str, error: str) -> ScoreRow:
    return {"score": None, "judge_feedback": feedback, "error": error}


def _number(text: str) -> float | int | None:
    """A finite one; a whole one stays whole."""
    if not NUMBER.fullmatch(text.strip()):
        return None
    number = float(text)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and "." not in text else number


def _compile(regex: str) -> Any:  # noqa: ANN401 - a LinearRegex
    try:
        return compile_regex(regex)
    except InvalidRequest as refused:
        refused.param = "judge_score_regexes"
        raise


def _text_of(reply: JsonObject) -> str:
    if refusal := refusal_in(reply):
        raise refused_judgement(refusal)  # asked again it would refuse again
    match reply:
        case {"choices": [{"message": {"content": str(text)}}, *_]}:
            return text
        case _:
            raise UpstreamFailed("The judge did not answer with a text.")
