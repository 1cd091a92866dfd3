"""`inline::basic`: scoring functions that ask no model. They compute at once, in microseconds a row."""

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from core.apis.answers.scoring import ScoreRow
from core.apis.scoring import ScoringFunctionOffer, ScoringProvider
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject

LONGEST: Final = 0.01  # seconds without a look at what else the event loop has to do


class Config(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BasicScoring:
    """The functions are imported when they are first listed or called: an overview needs none."""

    def __init__(self) -> None:
        """Nothing is made before it is used."""
        self._resumed = 0.0

    def functions(self) -> Sequence[ScoringFunctionOffer]:
        from core.providers.scoring_basic.functions import ROWS

        return [row.offer() for row in ROWS]

    async def check_function(self, function: Resource, params: JsonObject | None = None) -> None:
        from core.providers.scoring_basic.functions import find_function

        settings: JsonObject = params if params is not None else function.attributes.get("params") or {}
        find_function(function, settings).check(settings)

    async def score_row(self, function: Resource, row: JsonObject, params: JsonObject) -> ScoreRow:
        from core.providers.scoring_basic.functions import find_function

        if monotonic() - self._resumed > LONGEST:  # a thousand rows are no reason for others to wait
            await asyncio.sleep(0)
            self._resumed = monotonic()
        return find_function(function, params).score(row, params)

    def columns(self, function: Resource, params: JsonObject) -> Sequence[str]:
        """Those of the function that it is registered as."""
        from core.providers.scoring_basic.functions import find_function

        return find_function(function, params).columns

    async def health(self) -> Health:
        return Health(status="OK")

    async def close(self) -> None:
        """It has nothing open."""


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> ScoringProvider:
    """It depends on no other API."""
    del provider_id, config, deps
    return BasicScoring()
