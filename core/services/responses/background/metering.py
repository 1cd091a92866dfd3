"""The quota of a run that a worker does: its request was counted when it came, its tokens are taken for each round as the model is asked."""

from collections.abc import Callable
from typing import Any, Final

from core.apis.inference import ChatRequest
from core.errors import ApiError, PermissionDenied, QuotaExceeded, QuotaUnavailable
from core.frame.callers import Call
from core.frame.types import JsonStream, Wire
from core.services.jobs.admission import Admission, Ticket, order_of
from core.services.jobs.rows import QUOTA_DOWN_SECONDS

LEAST_PAUSE: Final = 1


class RunPaused(Exception):
    """The quota is used up, for so many `seconds`: no failure of the run."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the quota is used up for {seconds} s")
        self.seconds = seconds


class Meter:
    """What the `call` of one worker uses, by rounds; `note` gets the tokens of each."""

    def __init__(
        self, admission: Admission, call: Call, bound: int, note: Callable[[int], None], request: Wire | None = None
    ) -> None:
        """`bound` is the bound of tokens that the `request` sets itself, 0 for none; limits of money and of models go by it."""
        self._request = request
        self._refusal: ApiError | None = None
        self._admission = admission
        self._call = call
        self._bound = bound
        self._note = note
        self._ticket: Ticket | None = None
        self._is_fresh = False

    async def begin(self, model: str = "") -> None:
        """For what comes before the first round of `model`, and that; what will never be admitted is told by `require`. Raises RunPaused."""
        try:
            await self._begin(model, self._request)
        except (PermissionDenied, QuotaExceeded) as refusal:
            self._refusal = refusal

    def require(self) -> None:
        """Raise what the run was refused for as it began: it ends it, and no window's end would help."""
        if self._refusal is not None:
            raise self._refusal

    async def _begin(self, model: str, request: Wire | None) -> None:
        order = None if request is None else order_of(self._admission, model, request)
        try:
            self._ticket = await self._admission.admit(self._call, self._bound, 0, order)
        except (QuotaExceeded, QuotaUnavailable) as refusal:
            if isinstance(refusal, QuotaExceeded) and refusal.final:
                raise
            raise RunPaused(_pause_of(refusal)) from None
        self._call.ledger.most = self._call.ledger.most_nanos = (
            None  # one who has used it up waits before the next round: nothing fails for it
        )
        self._is_fresh = True

    async def next_round(self, request: ChatRequest) -> None:
        """Raises RunPaused, or what says that this round will never be admitted."""
        if not self._is_fresh:
            await self.end()
            await self._begin(request.model, request)
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
        await self._meter.next_round(request)
        stream: JsonStream = await self._inference.stream_chat_completion(request)
        return stream


def _pause_of(refusal: ApiError) -> int:
    text = refusal.headers.get("retry-after", "")
    return max(LEAST_PAUSE, int(text)) if text.isdecimal() else QUOTA_DOWN_SECONDS
