"""Jobs and shards as items of DynamoDB, whose keys are the strings `pk` and `sk`.

    head      pk = [namespace#]job#ID           sk = job                         the job, but for its request and result
    request   the same                          sk = job#request                 body
    result    the same                          sk = job#result#HOLDER#TIME      body; the head's are in force
    shard     the same                          sk = shard#PLAN#00042            those of the head's plan are in force
    listing   pk = [namespace#]jobs#KIND        sk = TIME#ID                     for every owner
    listing   pk = [namespace#]jobs#KIND#OWNER  sk = TIME#ID                     for one, by a digest
    key       pk = [namespace#]jobkey#OWNER     sk = KEY                         job: its id; both as digests

All have `expires`, their TTL. A head and a shard have `held`, the number 1, for as long as somebody has their lease: a
lease that is taken over then counts itself, in the write that takes it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
import json
from typing import Any, Final
from urllib.parse import quote

from core.platform.dynamodb_values import from_attributes, to_attributes
from core.stores.jobs import codec
from core.stores.jobs.port import Counts, Job, Shard

HEAD: Final = "job"
REQUEST: Final = "job#request"
HEAD_FIELDS: Final = frozenset(field.name for field in fields(Job)) - {"request", "result"}
SHARD_FIELDS: Final = frozenset(field.name for field in fields(Shard))

type Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of items; `prefix` is the namespace's."""

    prefix: str

    def job(self, job_id: str, sort: str = HEAD) -> dict[str, Any]:
        return to_attributes({"pk": f"{self.prefix}job#{job_id}", "sk": sort})

    def shard(self, job_id: str, plan: str, number: int) -> dict[str, Any]:
        return self.job(job_id, f"{plan_prefix(plan)}{number:05}")

    def listing(self, job: Job, owner: str | None) -> dict[str, Any]:
        """Times have seven digits after the point, for all that a float of today has."""
        return to_attributes({"pk": self.partition(job.kind, owner), "sk": f"{_time(job.created)}#{job.id}"})

    def partition(self, kind: str, owner: str | None) -> str:
        suffix = "" if owner is None else f"#{codec.digest(owner)}"
        return f"{self.prefix}jobs#{quote(kind, safe='')}{suffix}"

    def key(self, owner: str, key: str) -> dict[str, Any]:
        return to_attributes({"pk": f"{self.prefix}jobkey#{codec.digest(owner)}", "sk": codec.digest(key)})


def plan_prefix(plan: str) -> str:
    return f"shard#{quote(plan, safe='')}#"


def result_sort(holder: str, ended: float) -> str:
    return f"job#result#{holder}#{_time(ended)}"


def _time(seconds: float) -> str:
    return f"{seconds:018.7f}"


def head_values(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in HEAD_FIELDS} | {
        "principal": codec.encode_principal(job.principal),
        "reason": codec.clean_reason(job.reason),
        "counts": None if job.counts is None else asdict(job.counts),
    }


def to_job(items: list[Item]) -> Job | None:
    """The job that the items of its partition make, head first; None while one of them is not to be seen yet."""
    bodies: dict[str, str] = {values["sk"]: values["body"] for values in map(from_attributes, items[1:])}
    values = from_attributes(items[0])
    ended = values.get("ended")
    sorts = [REQUEST] if ended is None else [REQUEST, result_sort(values["holder"], ended)]
    if not all(sort in bodies for sort in sorts):
        return None
    texts = [bodies[sort] for sort in sorts]
    values = {name: value for name, value in values.items() if name in HEAD_FIELDS}
    values["principal"] = codec.decode_principal(values["principal"])
    values["counts"] = Counts(**values["counts"]) if "counts" in values else None
    values["request"], values["result"] = json.loads(texts[0]), None if ended is None else json.loads(texts[1])
    return Job(**values)


def work_values(shard: Shard) -> dict[str, Any]:
    """What a checkpoint writes."""
    return {
        "done": codec.encode_rows(shard.done),
        "parts": shard.parts,
        "counts": asdict(shard.counts),
        "attempts": shard.attempts,
        "until": shard.until,
    }


def shard_values(shard: Shard) -> dict[str, Any]:
    values = {name: getattr(shard, name) for name in SHARD_FIELDS} | work_values(shard)
    return values | {"source": codec.encode("A shard's source", shard.source)}


def to_shard(item: Item) -> Shard:
    values = {name: value for name, value in from_attributes(item).items() if name in SHARD_FIELDS}
    values["source"] = json.loads(values["source"])
    values["done"] = codec.decode_rows(values["done"])
    values["parts"] = tuple(values["parts"])
    values["counts"] = Counts(**values["counts"])
    return Shard(**values)
