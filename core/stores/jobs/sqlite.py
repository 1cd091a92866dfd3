"""Jobs in one SQLite file, shared by the processes of one machine.

Each change is one transaction, which takes the file before it reads: what it answers is what it wrote. A job and its
shards are deleted by later ones, some time after they have expired.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
import json
from pathlib import Path
import sqlite3
import time
from typing import Any, Final

from core.errors import StateUnavailable
from core.frame.types import JsonObject
from core.platform.sqlite_connection import SqliteConnection
from core.platform.sqlite_file import BUSY_SECONDS
from core.platform.sqlite_schema import Schema
from core.stores.jobs import codec
from core.stores.jobs.port import Counts, Job, JobPage, JobStore, Outcome, Shard

OWNER: Final = "The jobs'"
VERSION_1: Final = (
    """CREATE TABLE IF NOT EXISTS jobs (
        namespace TEXT NOT NULL, owner TEXT NOT NULL, key TEXT,
        id TEXT NOT NULL, kind TEXT NOT NULL, principal TEXT NOT NULL, request TEXT NOT NULL, created REAL NOT NULL,
        deadline REAL NOT NULL, expires INTEGER NOT NULL, status TEXT NOT NULL, outcome TEXT, reason TEXT NOT NULL,
        plan TEXT NOT NULL, shards INTEGER NOT NULL, remaining INTEGER NOT NULL, rows INTEGER NOT NULL,
        holder TEXT NOT NULL, until REAL NOT NULL, attempts INTEGER NOT NULL, tick INTEGER NOT NULL, started REAL,
        ended REAL, counts TEXT, result TEXT, PRIMARY KEY (namespace, id), UNIQUE (namespace, owner, key))""",
    "CREATE INDEX IF NOT EXISTS jobs_by_kind ON jobs (namespace, kind, created, id)",
    "CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (namespace, kind, owner, created, id)",
    "CREATE INDEX IF NOT EXISTS jobs_by_expiry ON jobs (expires)",
    """CREATE TABLE IF NOT EXISTS job_shards (
        namespace TEXT NOT NULL, expires INTEGER NOT NULL,
        job TEXT NOT NULL, plan TEXT NOT NULL, number INTEGER NOT NULL, source TEXT NOT NULL, rows INTEGER NOT NULL,
        state TEXT NOT NULL, holder TEXT NOT NULL, until REAL NOT NULL, attempts INTEGER NOT NULL, done BLOB NOT NULL,
        parts TEXT NOT NULL, counts TEXT NOT NULL, PRIMARY KEY (namespace, job, plan, number))""",
    "CREATE INDEX IF NOT EXISTS job_shards_by_expiry ON job_shards (expires)",
)
VERSION_2: Final = ("ALTER TABLE jobs ADD COLUMN stopped REAL", "ALTER TABLE jobs ADD COLUMN finishing REAL")
SCHEMA: Final = Schema("jobs", (VERSION_1, VERSION_2))
JOB_FIELDS: Final = tuple(field.name for field in fields(Job))
SHARD_FIELDS: Final = tuple(field.name for field in fields(Shard))
JOB: Final = ", ".join(JOB_FIELDS).replace("left", "remaining")  # which is a word of SQL
SHARD: Final = ", ".join(SHARD_FIELDS)
THERE: Final = "namespace = :namespace AND id = :id AND expires > :clock"
HELD: Final = THERE + " AND holder = :holder AND holder != '' AND status IN ('queued', 'finishing')"

CREATE: Final = f"INSERT OR IGNORE INTO jobs VALUES ({', '.join('?' * 27)})"  # noqa: S608 - no values
REMOVE_EXPIRED: Final = """DELETE FROM jobs WHERE namespace = :namespace AND expires <= :clock
    AND (id = :id OR (owner = :owner AND key = :key))"""
GET: Final = f"SELECT {JOB} FROM jobs WHERE {THERE}"  # noqa: S608
GET_BY_KEY: Final = f"SELECT {JOB} FROM jobs WHERE namespace = :namespace AND owner = :owner AND key = :key"  # noqa: S608
PAGE: Final = f"""SELECT {JOB} FROM jobs WHERE namespace = :namespace AND kind = :kind AND expires > :clock
    AND (created, id) < (:created, :after)"""  # noqa: S608
NEWEST_FIRST: Final = " ORDER BY created DESC, id DESC LIMIT :limit"
LEASE: Final = f"""UPDATE jobs SET attempts = attempts + (holder != ''), holder = :holder, until = :until
    WHERE {THERE} AND status IN ('queued', 'finishing') AND (holder = '' OR until < :now)"""  # noqa: S608
RENEW: Final = f"UPDATE jobs SET until = :until WHERE {HELD}"  # noqa: S608
RELEASE: Final = f"UPDATE jobs SET holder = '', until = 0 WHERE {HELD}"  # noqa: S608
START: Final = f"""UPDATE jobs SET status = iif(:shards, 'running', 'finishing'), plan = :plan, shards = :shards,
    remaining = :shards, rows = :rows, started = :now, finishing = iif(:shards, NULL, :now), holder = '', until = 0, attempts = 0
    WHERE {HELD} AND status = 'queued'"""  # noqa: S608
STOP: Final = f"""UPDATE jobs SET status = iif(status = 'queued', 'finishing', 'stopping'), outcome = :outcome,
    reason = :reason, stopped = :clock, finishing = iif(status = 'queued', :clock, NULL), holder = '', until = 0, attempts = 0
    WHERE {THERE} AND status IN ('queued', 'running')"""  # noqa: S608
END: Final = f"""UPDATE jobs SET status = :status, outcome = :status, reason = :reason, counts = :counts, result = :result,
    ended = :now WHERE {HELD}"""  # noqa: S608
ADVANCE: Final = f"""UPDATE jobs SET tick = tick + 1 WHERE {THERE} AND tick = :tick
    AND status IN ('queued', 'running', 'stopping', 'finishing')"""  # noqa: S608
COUNT_DOWN: Final = f"""UPDATE jobs SET remaining = remaining - 1, status = iif(remaining = 1, 'finishing', status),
    finishing = iif(remaining = 1, :clock, finishing) WHERE {THERE} AND plan = :plan RETURNING remaining"""  # noqa: S608

NUMBER: Final = """namespace = :namespace AND job = :id AND plan = :plan AND number = :number AND expires > :clock"""
FREE: Final = "(state = 'waiting' OR (state = 'leased' AND until < :now))"
OURS: Final = NUMBER + " AND state = 'leased' AND holder = :holder"
WORK: Final = "done = :done, parts = :parts, counts = :counts, attempts = :attempts, until = :until"
ADD_SHARD: Final = f"INSERT OR REPLACE INTO job_shards VALUES ({', '.join('?' * 14)})"  # noqa: S608
SHARDS: Final = f"""SELECT {SHARD} FROM job_shards WHERE namespace = :namespace AND job = :id AND plan = :plan
    AND expires > :clock ORDER BY number"""  # noqa: S608
GET_SHARD: Final = f"SELECT {SHARD} FROM job_shards WHERE {NUMBER}"  # noqa: S608
LEASE_SHARD: Final = f"""UPDATE job_shards SET attempts = attempts + (state = 'leased'), state = 'leased',
    holder = :holder, until = :until WHERE {NUMBER} AND {FREE}"""  # noqa: S608
CHECKPOINT: Final = f"UPDATE job_shards SET {WORK} WHERE {OURS}"  # noqa: S608
RELEASE_SHARD: Final = f"UPDATE job_shards SET {WORK}, state = 'waiting', holder = '' WHERE {OURS}"  # noqa: S608
FINISH_SHARD: Final = f"UPDATE job_shards SET {WORK}, state = 'done' WHERE {OURS}"  # noqa: S608
CLOSE_SHARD: Final = f"UPDATE job_shards SET state = 'done', holder = '' WHERE {NUMBER} AND {FREE}"  # noqa: S608

# Each job makes one row, and `start` its shards, so that these keep up, and none waits long for them.
TIDY_JOBS: Final = "DELETE FROM jobs WHERE rowid IN (SELECT rowid FROM jobs WHERE expires <= ? LIMIT 20)"
TIDY_SHARDS: Final = "DELETE FROM job_shards WHERE rowid IN (SELECT rowid FROM job_shards WHERE expires <= ? LIMIT ?)"
SPARE: Final = 100  # shards
DELETE: Final = "DELETE FROM jobs WHERE namespace = :namespace AND id = :id"
DELETE_SHARDS: Final = "DELETE FROM job_shards WHERE namespace = :namespace AND job = :id"

type Values = Mapping[str, Any]
type Row = tuple[Any, ...]


class SqliteJobs:
    """A namespace of the file behind `connection`; `clock` says what has expired."""

    def __init__(self, connection: SqliteConnection, *, namespace: str, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._namespace = namespace
        self._clock = clock

    async def create(self, job: Job, *, key: str = "") -> Job:
        codec.check_id(job)
        owner, digest = codec.digest(job.owner), codec.digest(key) if key else ""
        row = (self._namespace, owner, digest or None, *_to_row(job))
        values = self._values(job.id, owner=owner, key=digest)

        def creating(connection: sqlite3.Connection) -> Job:
            connection.execute(REMOVE_EXPIRED, values)
            connection.execute(TIDY_JOBS, (values["clock"],))
            if connection.execute(CREATE, row).rowcount:
                return job
            there = _fetch_job(connection, GET_BY_KEY, values) or _fetch_job(connection, GET, values)
            return there or job

        return await self._write(creating)

    async def get(self, job_id: str) -> Job | None:
        if not codec.is_possible(job_id):
            return None
        values = self._values(job_id)
        return await self._connection.run(lambda connection: _fetch_job(connection, GET, values))

    async def page(self, kind: str, *, owner: str | None, after: str | None, limit: int) -> JobPage:
        last = None if after is None else await self.get(after)
        codec.check_cursor(after, last, kind, owner)
        statement = PAGE + ("" if owner is None else " AND owner = :owner") + NEWEST_FIRST
        values = self._values(
            "",
            kind=kind,
            owner=codec.digest(owner or ""),
            created=float("inf") if last is None else last.created,
            after=after or "",
            limit=limit + 1,
        )
        rows = await self._connection.run(lambda connection: connection.execute(statement, values).fetchall())
        return JobPage([_to_job(row) for row in rows[:limit]], has_more=len(rows) > limit)

    async def lease(self, job_id: str, holder: str, *, now: float, until: float) -> Job | None:
        return await self._change_job(LEASE, self._values(job_id, holder=holder, now=now, until=until))

    async def renew(self, job: Job, *, until: float) -> bool:
        return await self._change(RENEW, self._values(job.id, holder=job.holder, until=until))

    async def release(self, job: Job) -> None:
        await self._change(RELEASE, self._values(job.id, holder=job.holder))

    async def start(self, job: Job, shards: Sequence[Shard], *, now: float) -> bool:
        plan = shards[0].plan if shards else ""
        rows = [(self._namespace, job.expires, *_to_shard_row(shard)) for shard in shards]
        values = self._values(
            job.id, holder=job.holder, plan=plan, shards=len(shards), rows=sum(shard.rows for shard in shards), now=now
        )

        def starting(connection: sqlite3.Connection) -> bool:
            if not connection.execute(START, values).rowcount:
                return codec.is_started(_fetch_job(connection, GET, values), plan, now)
            connection.execute(TIDY_SHARDS, (values["clock"], len(rows) + SPARE))
            connection.executemany(ADD_SHARD, rows)
            return True

        return await self._write(starting)

    async def stop(self, job_id: str, outcome: Outcome, reason: str = "") -> Job | None:
        values = self._values(job_id, outcome=outcome, reason=codec.clean_reason(reason))
        return await self._change_job(STOP, values)

    async def end(
        self, job: Job, status: Outcome, *, reason: str, counts: Counts, result: JsonObject, now: float
    ) -> bool:
        values = self._values(
            job.id,
            holder=job.holder,
            status=status,
            reason=codec.clean_reason(reason),
            counts=codec.encode_counts(counts),
            result=codec.encode("A job's result", result),
            now=now,
        )
        there = await self._change_job(END, values)
        return codec.is_ended(there, job.holder, now)

    async def advance_tick(self, job_id: str, tick: int) -> bool:
        return await self._change(ADVANCE, self._values(job_id, tick=tick))

    async def shards(self, job: Job) -> list[Shard]:
        values = self._values(job.id, plan=job.plan)
        rows = await self._connection.run(lambda connection: connection.execute(SHARDS, values).fetchall())
        return [_to_shard(row) for row in rows]

    async def lease_shard(self, job: Job, number: int, holder: str, *, now: float, until: float) -> Shard | None:
        values = self._values(job.id, plan=job.plan, number=number, holder=holder, now=now, until=until)

        def leasing(connection: sqlite3.Connection) -> Shard | None:
            connection.execute(LEASE_SHARD, values)
            return _fetch_shard(connection, values)

        return await self._write(leasing)

    async def checkpoint(self, shard: Shard) -> bool:
        return await self._change(CHECKPOINT, self._work_values(shard))

    async def release_shard(self, shard: Shard) -> bool:
        values = self._work_values(shard)

        def releasing(connection: sqlite3.Connection) -> bool:
            released = connection.execute(RELEASE_SHARD, values).rowcount
            return bool(released) or codec.is_released(_fetch_shard(connection, values), shard)

        return await self._write(releasing)

    async def finish_shard(self, shard: Shard) -> int | None:
        values = self._work_values(shard)

        def finishing(connection: sqlite3.Connection) -> int | None:
            if connection.execute(FINISH_SHARD, values).rowcount:
                return _count_down(connection, values)
            there, job = _fetch_shard(connection, values), _fetch_job(connection, GET, values)
            return job.left if job and there and there.state == "done" and there.holder == shard.holder else None

        return await self._write(finishing)

    async def close_shard(self, shard: Shard, *, now: float) -> int | None:
        values = self._work_values(shard) | {"now": now}

        def closing(connection: sqlite3.Connection) -> int | None:
            closed = connection.execute(CLOSE_SHARD, values).rowcount
            return _count_down(connection, values) if closed else None

        return await self._write(closing)

    async def delete(self, job: Job) -> None:
        def deleting(connection: sqlite3.Connection) -> None:
            for statement in (DELETE_SHARDS, DELETE):
                connection.execute(statement, self._values(job.id))

        await self._write(deleting)

    def warm(self) -> None:
        """Nothing takes long here."""

    async def close(self) -> None:
        await self._connection.close()

    def _values(self, job_id: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - SQLite's own types
        return {"namespace": self._namespace, "id": job_id, "clock": self._clock(), **more}

    def _work_values(self, shard: Shard) -> dict[str, Any]:
        return self._values(
            shard.job,
            plan=shard.plan,
            number=shard.number,
            holder=shard.holder,
            until=shard.until,
            attempts=shard.attempts,
            done=codec.encode_rows(shard.done),
            parts=json.dumps(shard.parts),
            counts=codec.encode_counts(shard.counts),
        )

    async def _change(self, statement: str, values: Values) -> bool:
        return bool(await self._connection.run(lambda connection: connection.execute(statement, values).rowcount))

    async def _change_job(self, statement: str, values: Values) -> Job | None:
        """The job after a change that may not have been due."""

        def changing(connection: sqlite3.Connection) -> Job | None:
            connection.execute(statement, values)
            return _fetch_job(connection, GET, values)

        return await self._write(changing) if codec.is_possible(values["id"]) else None

    async def _write[Outcome](self, work: Callable[[sqlite3.Connection], Outcome]) -> Outcome:
        """`work` in one transaction, which no other writer comes between; an error inside undoes it."""

        def writing(connection: sqlite3.Connection) -> Outcome:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                return work(connection)

        return await self._connection.run(writing)


def _count_down(connection: sqlite3.Connection, values: Values) -> int | None:
    row: Row | None = connection.execute(COUNT_DOWN, values).fetchone()
    return None if row is None else row[0]


def _fetch_job(connection: sqlite3.Connection, statement: str, values: Values) -> Job | None:
    row = connection.execute(statement, values).fetchone()
    return None if row is None else _to_job(row)


def _fetch_shard(connection: sqlite3.Connection, values: Values) -> Shard | None:
    row = connection.execute(GET_SHARD, values).fetchone()
    return None if row is None else _to_shard(row)


def _to_row(job: Job) -> Row:
    values = {name: getattr(job, name) for name in JOB_FIELDS}
    values["principal"] = codec.encode_principal(job.principal)
    values["request"] = codec.encode("A job's request", job.request)
    values["reason"] = codec.clean_reason(job.reason)
    values["counts"] = None if job.counts is None else codec.encode_counts(job.counts)
    values["result"] = None if job.result is None else codec.encode("A job's result", job.result)
    return tuple(values.values())


def _to_job(row: Row) -> Job:
    values = dict(zip(JOB_FIELDS, row, strict=True))
    values["principal"] = codec.decode_principal(values["principal"])
    values["request"] = json.loads(values["request"])
    values["counts"] = None if values["counts"] is None else codec.decode_counts(values["counts"])
    values["result"] = None if values["result"] is None else json.loads(values["result"])
    return Job(**values)


def _to_shard_row(shard: Shard) -> Row:
    values = {name: getattr(shard, name) for name in SHARD_FIELDS}
    values["source"] = codec.encode("A shard's source", shard.source)
    values["done"] = codec.encode_rows(shard.done)
    values["parts"] = json.dumps(shard.parts)
    values["counts"] = codec.encode_counts(shard.counts)
    return tuple(values.values())


def _to_shard(row: Row) -> Shard:
    values = dict(zip(SHARD_FIELDS, row, strict=True))
    values["source"] = json.loads(values["source"])
    values["done"] = codec.decode_rows(values["done"])
    values["parts"] = tuple(json.loads(values["parts"]))
    values["counts"] = codec.decode_counts(values["counts"])
    return Shard(**values)


def connect(db_path: str, *, namespace: str | None = None, patience: float = BUSY_SECONDS) -> JobStore:
    """The jobs in the file `db_path` (`~` is the home directory), made at its first use with mode 0600."""
    path = Path(db_path).expanduser()
    connection = SqliteConnection(path, SCHEMA, owner=OWNER, unavailable=StateUnavailable, patience=patience)
    return SqliteJobs(connection, namespace=namespace or "")
