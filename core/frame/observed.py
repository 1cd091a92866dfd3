"""What a request turned out to be: noted by every layer on its way, read when its answer has ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

USAGE: Final = {"prompt": "prompt_tokens", "completion": "completion_tokens"}
"""OpenAI's names in a usage, by what they count."""


class Stopwatch:
    """Seconds in which it was held by at least one: what several wait for at once is counted once."""

    __slots__ = ("_holders", "_since", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self._holders = 0
        self._since = 0.0

    def __enter__(self) -> None:
        if not self._holders:
            self._since = perf_counter()
        self._holders += 1

    def __exit__(self, *_: object) -> None:
        self._holders -= 1
        if not self._holders:
            self.seconds += perf_counter() - self._since


@dataclass(slots=True, eq=False)
class Observed:
    """Nothing of what was said, nor who said it: it is logged.

    `model` is the id that the caller used, once it was found: what there is not is never noted, so that there are no more of
    these than there are resources. `provider` was asked last, for its own `provider_model`. `upstream` is held while a
    provider is waited for, in a stream between its chunks too. `failure` is the status of what ended a stream. `replayed`: it
    was answered before, under the same Idempotency-Key.
    """

    api: str = ""
    operation: str = ""
    model: str = ""
    provider: str = ""
    provider_model: str = ""
    failure: int = 0
    replayed: bool = False
    tokens: dict[str, int] = field(default_factory=dict[str, int])
    upstream: Stopwatch = field(default_factory=Stopwatch)

    def used(self, usage: Mapping[str, object]) -> None:
        """Add what a provider reports, in OpenAI's names; what is no count is ignored."""
        for name, reported in USAGE.items():
            count = usage.get(reported)
            if isinstance(count, int) and count >= 0:
                self.tokens[name] = self.tokens.get(name, 0) + count
