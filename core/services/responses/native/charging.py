"""What an answer of a package has used: what it asked of the stack's models was charged as they answered, all else is what it reports."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Self

from core.apis.native_responses import LAST
from core.apis.usage import note_report
from core.frame.callers import ActingFor, Call
from core.frame.types import JsonStream
from core.platform.json_values import is_object
from core.services.responses.contract import Usage
from core.services.responses.native.members import usage_of


@dataclass(frozen=True, slots=True)
class PackageMeter:
    """Of one answer for `model` by a provider, from when that is asked on; no call is one that nobody pays for."""

    call: Call | None
    model: str = ""
    provider: str = ""
    charged: int = 0
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def begin(cls, call: Call | None, model: str, provider: str) -> Self:
        """`provider` is its id."""
        if call is None:
            return cls(None)
        return cls(call, model, provider, call.ledger.further, {**call.observed.tokens})

    def charge(self, reported: Usage | None) -> Usage:
        """The usage of the answer, once; of one that reports nothing, and asked none of the stack's models, what was reserved stays taken."""
        if self.call is None:
            return reported or Usage()
        if self.call.ledger.further > self.charged:
            self.call.add_tokens(0)
            return reported or self._noted(self.call)
        if reported is None:
            return Usage()
        self.call.add_tokens(reported.input_tokens + reported.output_tokens)
        counts = {"prompt_tokens": reported.input_tokens, "completion_tokens": reported.output_tokens}
        self.call.observed.add_usage(counts)
        details = {"cached_tokens": reported.cached_tokens, "reasoning_tokens": reported.reasoning_tokens}
        parts = {"prompt_tokens_details": details, "completion_tokens_details": details}
        note_report(self.call, self.model, self.provider, {**counts, **parts})
        return reported

    def _noted(self, call: Call) -> Usage:
        """What the models have reported that were asked meanwhile."""
        counts = {name: count - self.tokens.get(name, 0) for name, count in call.observed.tokens.items()}
        return Usage(input_tokens=counts.get("prompt", 0), output_tokens=counts.get("completion", 0))


async def acting(events: JsonStream, call: Call | None) -> JsonStream:
    """The events; each step of the package's code runs for the call."""
    acting_for = ActingFor(call)
    try:
        while True:
            with acting_for:
                event = await anext(events, None)
            if event is None:
                return
            yield event
    finally:
        with acting_for:
            await events.aclose()


async def charging(events: JsonStream, meter: PackageMeter) -> JsonStream:
    """The events of a response, whose usage is in the last of them."""
    usage: Usage | None = None
    try:
        async with aclosing(events):
            async for event in events:
                response = event.get("response") if event.get("type") in LAST else None
                if is_object(response) and response.get("usage"):
                    usage = usage_of(response)
                yield event
    finally:
        meter.charge(usage)
