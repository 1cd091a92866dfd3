"""The quota of a run that a worker does: its request was counted when it came, its tokens are taken for each round as the model is asked."""

from collections.abc import Callable
from typing import Any, Final

from core.apis.inference import ChatRequest
from core.errors import ApiError, QuotaExceeded, QuotaUnavailable
from core.frame.callers import Call
from core.frame.types import JsonStream
from core.services.jobs.admission import Admission, Ticket
from core.services.jobs.rows import QUOTA_DOWN_SECONDS

LEAST_PAUSE: Final = 1


class RunPaused(Exception):
    """The quota is used up, for so many `seconds`: no failure of the run."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the quota is used up for {seconds} s")
        self.seconds = seconds


class Meter:
    """What the `call` of one worker uses, by rounds; `note` gets the tokens of each."""

    def __init__(self, admission: Admission, call: Call, bound: int, note: Callable[[int], None]) -> None:
        """`bound` is the bound of tokens that the request sets itself, 0 for none."""
        self._admission = admission
        self._call = call
        self._bound = bound
        self._note = note
        self._ticket: Ticket | None = None
        self._is_fresh = False

    async def begin(self) -> None:
        """For what comes before the first round, and that. Raises RunPaused."""
        try:
            self._ticket = await self._admission.admit(self._call, self._bound, 0)
        except (QuotaExceeded, QuotaUnavailable) as refusal:
            raise RunPaused(_pause_of(refusal)) from None
        self._call.ledger.most = self._call.ledger.most_nanos = (
            None  # one who has used it up waits before the next round: nothing fails for it
        )
        self._is_fresh = True

    async def next_round(self) -> None:
        """Raises RunPaused."""
        if not self._is_fresh:
            await self.end()
            await self.begin()
        self._is_fresh = False

    async def end(self) -> None:
        """Settle what was used since `begin`: nothing where no model was asked."""
        ticket, self._ticket = self._ticket, None
        if ticket is None:
            return
        charge = self._call.end_part(failed=True)
        self._note((charge.tokens if charge.tokens is not None else charge.least) + charge.further)
        await ticket.settle(charge)


class MeteredInference:
    """The surface of inference as an engine asks it, for each round of which the meter takes tokens."""

    def __init__(self, inference: Any, meter: Meter) -> None:  # noqa: ANN401 - as surface_for gives it
        self._inference = inference
        self._meter = meter

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        await self._meter.next_round()
        stream: JsonStream = await self._inference.stream_chat_completion(request)
        return stream


def _pause_of(refusal: ApiError) -> int:
    text = refusal.headers.get("retry-after", "")
    return max(LEAST_PAUSE, int(text)) if text.isdecimal() else QUOTA_DOWN_SECONDS
