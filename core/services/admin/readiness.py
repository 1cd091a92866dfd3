"""Whether a stack can do its work: its stores and its configuration answer. Upstreams are not asked, whose failures are their own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
import logging
import time
from typing import Final, override

from core.errors import ApiError, JsonBody
from core.frame.types import JsonObject

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 1.0
KEPT_SECONDS: Final = 1.0

type Check = Callable[[], Awaitable[object]]


class NotReady(ApiError):
    status = 503
    code = "not_ready"

    def __init__(self, parts: Mapping[str, Mapping[str, str]]) -> None:
        """`parts` are `{name: {status, reason}}`, in words that anybody may read."""
        bad = "; ".join(f"{name} {part['reason']}" for name, part in parts.items() if "reason" in part)
        super().__init__(f"Not ready: {bad}.", headers={"retry-after": "1"})
        self.parts = parts

    @override
    def body(self) -> JsonBody:
        return {**super().body(), "parts": dict(self.parts)}


class Readiness:
    """`parts` are asked all at the same time, at most once in a second: whoever asks in between shares the answer."""

    def __init__(
        self,
        parts: Mapping[str, Check],
        *,
        patience: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience` is in seconds, for each part."""
        self._parts = dict(parts)
        self._patience = patience
        self._clock = clock
        self._due = float("-inf")
        self._reasons: dict[str, str] = {}
        self._asking = asyncio.Lock()

    async def show(self) -> JsonObject:
        """`{"status": "OK", "parts": {NAME: {"status": "OK"}}}`; raises NotReady."""
        async with self._asking:
            if self._clock() >= self._due:
                reasons = await asyncio.gather(*(self._reason(name, check) for name, check in self._parts.items()))
                self._reasons = dict(zip(self._parts, reasons, strict=True))
                self._due = self._clock() + KEPT_SECONDS
        parts = {
            name: {"status": "Error", "reason": reason} if reason else {"status": "OK"}
            for name, reason in self._reasons.items()
        }
        if any(self._reasons.values()):
            raise NotReady(parts)
        return {"status": "OK", "parts": parts}

    async def _reason(self, name: str, check: Check) -> str:
        """Why the part cannot be used, in words that anybody may read: the log has the store's own."""
        try:
            async with asyncio.timeout(self._patience):
                await check()
        except TimeoutError:
            log.warning("not ready: %s does not answer within %s s", name, self._patience)
            return f"does not answer within {self._patience:g} s"
        except ApiError as failure:
            log.warning("not ready: %s: %s", name, failure.message)
            return f"cannot be used ({failure.code})"
        return ""
