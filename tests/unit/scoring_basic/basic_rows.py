"""Scores of single rows by `inline::basic`."""

from typing import Any

from core.frame.resources import Resource
from core.providers.scoring_basic.basic import BasicScoring

BASIC = BasicScoring()


def function_of(name: str, **attributes: Any) -> Resource:
    return Resource("scoring_function", f"basic::{name}", "basic", name, attributes)


async def score(name: str, row: dict[str, Any], params: dict[str, Any] | None = None) -> dict[str, Any]:
    return await BASIC.score_row(function_of(name), row, params or {})


async def score_pair(name: str, expected: object, generated: object) -> object:
    return (await score(name, {"expected_answer": expected, "generated_answer": generated}))["score"]
