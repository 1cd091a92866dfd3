"""How much of an upstream's answer is taken, by providers over HTTP and of AWS."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

MIB: Final = 1024 * 1024
LEAST_EVENT: Final = 256  # bytes that an event counts as: a stream has no more of them than its bytes allow

type Size = Annotated[int, Field(ge=1024, le=2**40, strict=True)]


class AnswerLimits(BaseModel):
    """Bytes are counted after decompression, an event of a stream as 256 at least; seconds are for a whole answer.

    The default of a whole answer is the embedding of 2048 texts in 1536 dimensions, as numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # it is a part of configs alone

    max_bytes: Size = 64 * MIB
    max_event_bytes: Size = 8 * MIB
    max_stream_bytes: Size = 256 * MIB
    max_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3600.0


type Limits = Annotated[
    AnswerLimits,
    Field(
        description="How much of the upstream's answer is taken: bytes, bytes of an event, of a stream, and seconds."
    ),
]
