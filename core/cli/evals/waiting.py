"""Waiting for an evaluation of a running stack, also while the stack is started again."""

import sys
from time import sleep
from typing import TYPE_CHECKING, Final

from core.cli.batch.waiting import insist
from core.cli.evals import output
from core.cli.jobs.output import Progress

if TYPE_CHECKING:
    from core.apis.answers.evals import EvalJob
    from core.client.api import Client

FIRST_POLL: Final = 0.5  # seconds, between two looks at an evaluation
LONGEST_POLL: Final = 5.0


def wait_for(client: "Client", benchmark: str, job: "EvalJob") -> "EvalJob":
    """The evaluation, when it has ended; meanwhile its progress is on the standard error."""
    progress = Progress(sys.stderr)
    pause = FIRST_POLL
    while job["status"] not in output.ENDED:
        progress.show(output.progress_of(job))
        sleep(pause)
        pause = min(1.2 * pause, LONGEST_POLL)
        job = insist(lambda id_=job["job_id"]: client.evals.get(benchmark, id_))  # type: ignore[misc]
    progress.close()
    return job
