"""What keeps jobs moving: a tick per live job, which sends what nobody works on again, and the messages that stop one."""

from dataclasses import replace

from core.services.jobs import messages
from core.services.jobs.engine import Engine
from core.services.jobs.messages import DONE, Again, Outcome, Task
from core.services.jobs.shard_run import EXPIRED
from core.services.jobs.shards import is_free
from core.services.jobs.telling import tell
from core.stores.jobs.port import ENDED, Job, Shard
from core.stores.queue.port import MOST_DELAY


async def tick(engine: Engine, task: Task) -> Outcome:
    """Send the next tick, then look after the job: a chain that breaks in between is mended by the same message.

    Of ticks that come twice, the one that is late finds that the job's next is another, and goes.
    """
    job = await engine.jobs.get(task.job)
    if job is None:  # it is made after its first tick is sent, and may be a moment late; or never, or is forgotten
        return Again(task.again(), "", engine.timing.tick) if task.number == 0 and task.tries < 2 else DONE  # noqa: PLR2004
    if job.status in ENDED or task.number < job.tick:
        return DONE
    await engine.send(job, [messages.tick(job, task.number + 1)], delay=_delay(engine, job))
    for number in range(job.tick, task.number + 1):
        await engine.jobs.advance_tick(job.id, number)
    await look_after(engine, job, task.number)
    return DONE


def _delay(engine: Engine, job: Job) -> int:
    left = int(job.deadline - engine.clock()) + 1
    return max(1, min(MOST_DELAY, engine.timing.tick, left if left > 0 else engine.timing.tick))


async def look_after(engine: Engine, job: Job, number: int) -> None:
    """Stop what is past its deadline, and send on what nobody has."""
    now = engine.clock()
    if now >= job.deadline and job.status in {"queued", "running"}:
        await engine.stop(job, "expired", EXPIRED)
    elif job.status == "running":
        shards = await engine.jobs.shards(job)
        numbers = [shard.number for shard in shards if shard.state == "leased" and shard.until < now]
        idle = not any(shard.state == "leased" and shard.until >= now for shard in shards)
        if idle and number and number % engine.timing.sweep == 0:
            # Messages may wait for their turn, so that this is not for every tick; or be among the dead letters.
            numbers += [shard.number for shard in shards if shard.state == "waiting"]
        await engine.send(job, [messages.work(job, shard) for shard in numbers])
    elif job.status == "stopping" or not job.holder or job.until < now:
        await engine.send_on(job)


async def close_shards(engine: Engine, task: Task) -> Outcome:
    """Close the shards of a job that is stopped as soon as nobody has them; their holders see it at a checkpoint."""
    job = await engine.jobs.get(task.job)
    if job is None or job.status not in {"stopping", "finishing"}:
        return DONE
    winding = list[Shard]()
    if job.status == "stopping":
        if not task.number:
            await tell(engine, job)
        winding = await _close_free(engine, job)
        job = await engine.jobs.get(task.job)
    if job is None:
        return DONE
    if job.status != "stopping":
        await engine.send_on(job)
        return DONE
    if not winding:
        return Again(replace(task, number=1), job.owner, engine.timing.stop)
    if not task.tries:  # once: they come back by themselves
        await engine.send(job, [messages.work(job, shard.number) for shard in winding])
    return Again(replace(task.again(), number=1), job.owner, engine.timing.tick)


async def _close_free(engine: Engine, job: Job) -> list[Shard]:
    """Close what nobody has; but for those whose work goes on elsewhere, which are returned."""
    kind = engine.kind_of(job)
    free = [shard for shard in await engine.jobs.shards(job) if is_free(shard, engine.clock())]
    winding = [shard for shard in free if kind is not None and kind.winds_up(shard)]
    for shard in free:
        if shard not in winding:
            await engine.jobs.close_shard(shard, now=engine.clock())
    return winding
