"""What the run config says of responses: the settings of a provider of the API `responses`, as services read them."""

from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from core.apis.responses import DEFAULT_ROUNDS

DAY: Final = 86_400
MONTH: Final = 30 * DAY
MOST_CONTEXT: Final = 64_000_000
"""Bytes of a context as JSON: a function of 1 GB has room for what is made of it on the way to a model."""


@dataclass(frozen=True, slots=True)
class CompactionSettings:
    """How a context is made shorter; what is "" or None is the stack's own way.

    `prompt` asks for the summary and `prefix` tells of it; `model` makes it instead of the request's; `threshold` is in tokens, for requests
    that name none. Summaries are sealed with the KMS key `kms_key_id`.
    """

    prompt: str = ""
    prefix: str = ""
    model: str = ""
    threshold: int | None = None
    kms_key_id: str = ""


@dataclass(frozen=True, slots=True)
class ResponseSettings:
    """`response_seconds` after it was made a response is gone, with its turn; `conversation_seconds` after its last item a conversation. None is never.

    `max_rounds` is how often a model is asked in one response whose request does not say. With `background` a stored response whose request does not
    say goes on by a worker, as `auto` does, where the call's time is up, or after `foreground_seconds`. Of what was said before at most
    `most_context` bytes are read.
    """

    response_seconds: int | None = MONTH
    conversation_seconds: int | None = None
    max_rounds: int = DEFAULT_ROUNDS
    background: bool = False
    foreground_seconds: int | None = None
    most_context: int = MOST_CONTEXT
    compaction: CompactionSettings = CompactionSettings()


@runtime_checkable
class HasResponseSettings(Protocol):
    @property
    def settings(self) -> ResponseSettings: ...
