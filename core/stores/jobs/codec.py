"""How a job and its shards are written down, alike in every store, and what can be written down at all.

The limits are those of the narrowest store, a DynamoDB item of at most 400 KB: what is larger belongs in blobs.
"""

from dataclasses import asdict
import hashlib
import json
from typing import Any, Final

from core.errors import InvalidRequest, NotFound
from core.frame.callers import Principal
from core.frame.types import JsonObject
from core.stores.jobs.port import Counts, Job, Shard

MOST_BODY: Final = 300_000
"""Bytes as JSON of a request, of a result, and of a shard's source."""
MOST_ID: Final = 512
MOST_REASON: Final = 2_000


def is_possible(job_id: str) -> bool:
    """Whether a job could have this id: 1 to 512 printable ASCII characters. No other id is in a store."""
    return 0 < len(job_id) <= MOST_ID and job_id.isascii() and job_id.isprintable()


def check_id(job: Job) -> None:
    """Raises InvalidRequest."""
    if not is_possible(job.id):
        raise InvalidRequest("A job's id must be 1 to 512 printable ASCII characters.")


def check_cursor(after: str | None, last: Job | None, kind: str, owner: str | None) -> None:
    """`last` is the job `after`, or None where there is none; raises NotFound if it is not in the list."""
    if after is not None and (last is None or last.kind != kind or owner not in (None, last.owner)):
        raise NotFound(f"There is no job `{after}` in this list.", param="after")


def encode(title: str, value: JsonObject) -> str:
    """`value` as ASCII JSON; `title` says of what, as "A job's request".

    Raises:
        InvalidRequest: it is too large, or not JSON.
    """
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as failure:
        raise InvalidRequest(f"{title} cannot be stored as JSON: {failure}.") from failure
    if len(text) > MOST_BODY:
        raise InvalidRequest(
            f"{title} takes {len(text)} bytes as JSON; at most {MOST_BODY} can be stored. Upload large inputs as a file."
        )
    return text


def encode_principal(principal: Principal) -> str:
    return json.dumps([principal.id, dict(principal.attributes), principal.vouched_by], separators=(",", ":"))


def decode_principal(text: str) -> Principal:
    name, attributes, vouched_by = json.loads(text)
    return Principal(name, {category: tuple(names) for category, names in attributes.items()}, vouched_by)


def encode_counts(counts: Counts) -> str:
    return json.dumps(asdict(counts), separators=(",", ":"))


def decode_counts(text: str) -> Counts:
    values: dict[str, Any] = json.loads(text)
    return Counts(values["completed"], values["failed"], values["tokens"])


def encode_rows(done: int) -> bytes:
    """A bit per row, the first in the first byte's lowest."""
    return done.to_bytes((done.bit_length() + 7) // 8, "little")


def decode_rows(value: bytes) -> int:
    return int.from_bytes(value, "little")


def clean_reason(reason: str) -> str:
    """The first 2,000 characters, without what UTF-8 cannot hold: an upstream may have written it."""
    return reason[:MOST_REASON].encode(errors="replace").decode()


def digest(text: str) -> str:
    """What stands in a key for a text of any length, as an owner's name."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def is_released(there: Shard | None, shard: Shard) -> bool:
    """Whether `there` is what `release_shard` made of it: parts have the names of those who wrote them."""
    return there is not None and there.state == "waiting" and (there.done, there.parts) == (shard.done, shard.parts)


def is_started(job: Job | None, plan: str, now: float) -> bool:
    """Whether the job is what `start` with this plan at this time made of it: an answer was lost on the way."""
    return job is not None and job.plan == plan and job.started == now


def is_ended(job: Job | None, holder: str, now: float) -> bool:
    """Whether the job is what `end` by this holder at this time made of it."""
    return job is not None and job.holder == holder and job.ended == now
