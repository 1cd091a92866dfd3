"""A request that waits for a job."""

import asyncio
from typing import Final

from core.stores.jobs.port import ENDED, Job, JobStore

FIRST_PAUSE: Final = 0.05  # seconds between two looks
LONGEST_PAUSE: Final = 1.0


async def wait_for_end(jobs: JobStore, job: Job, limit: float) -> Job:
    """The job once it has ended, or as it is shortly before `limit`, in seconds of the loop's clock."""
    loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
    while job.status not in ENDED and loop.time() + pause < limit:
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, 1.5 * pause)
        job = await jobs.get(job.id) or job
    return job
