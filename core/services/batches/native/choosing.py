"""Which lines of a batch run at their model's own provider: what the model's metadata wants, and what its engine takes."""

from dataclasses import dataclass
from typing import Final

from pydantic_core import from_json

from core.apis.answers.batches import BatchFault
from core.apis.batch_engine import NativeBatches, NativePlace
from core.errors import NotFound
from core.services.batches.job import faults
from core.services.batches.job.lines import Line
from core.services.batches.job.planning import QUEUE, Lane

MOST_BYTES: Final = 48 * 1024 * 1024
"""Of the lines of one native shard: where its engine fails, one worker has them all in memory."""
MOST_LANES: Final = 20


@dataclass(slots=True)
class _Model:
    place: NativePlace
    lane: Lane
    rows: int = 0


class NativeLanes:
    """The lanes of one batch."""

    def __init__(self, natives: NativeBatches, endpoint: str) -> None:
        """`natives` are those of the batch's owner."""
        self._natives = natives
        self._endpoint = endpoint
        self._models: dict[str, _Model | None] = {}

    async def lane_of(self, line: Line, name: str) -> Lane | BatchFault:
        """For a line of the model `name`; the fault of one that may run nowhere else, and cannot run there."""
        model = await self._model(name)
        if model is None:
            return QUEUE
        place = model.place
        if place.engine is None:
            return faults.not_native(line.number, name, place.fault)
        reason = place.engine.refusal(self._endpoint, place.model, from_json(line.content or b"{}").get("body"))
        if reason is not None:
            return QUEUE if place.mode == "auto" else faults.not_native(line.number, name, reason)
        model.rows += 1
        return model.lane

    def shortages(self) -> list[BatchFault]:
        """Of models that run nowhere else, and have too few lines for a batch at their provider."""
        return [
            faults.too_few(name, model.rows, model.lane.least_rows)
            for name, model in self._models.items()
            if model is not None and model.place.mode == "native" and 0 < model.rows < model.lane.least_rows
        ]

    async def _model(self, name: str) -> _Model | None:
        if name not in self._models:
            self._models[name] = await self._find(name)
        return self._models[name]

    async def _find(self, name: str) -> _Model | None:
        try:
            place = await self._natives.find(name)
        except NotFound:  # which is a fault already
            return None
        if place is None:
            return None
        lanes = sum(model is not None for model in self._models.values())
        if place.engine is None or lanes >= MOST_LANES:
            fault = place.fault or f"A batch has at most {MOST_LANES} models that run so"
            return None if place.mode == "auto" else _Model(NativePlace(place.mode, fault=fault), QUEUE)
        limits = place.engine.limits
        lane = Lane(
            lanes + 1,
            {"provider_id": place.provider_id, "model": place.model, "public": name},
            limits.least_rows,
            limits.most_rows,
            min(MOST_BYTES, limits.most_bytes),
        )
        return _Model(place, lane)
