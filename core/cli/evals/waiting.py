"""Waiting for an evaluation of a running stack, also while the stack is started again."""

from functools import partial
from secrets import token_hex
import sys
from time import sleep
from typing import TYPE_CHECKING, Final
from urllib.error import URLError

from core.cli.evals import output
from core.cli.jobs.output import Progress
from core.cli.jobs.waiting import insist

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from core.apis.answers.evals import EvalJob
    from core.client.api import Client

FIRST_POLL: Final = 0.5  # seconds, between two looks at an evaluation
LONGEST_POLL: Final = 5.0
WHAT: Final = "evaluation"


def begin(client: "Client", benchmark: str, config: "Mapping[str, Any]") -> "EvalJob":
    """Make an evaluation, and only one where the stack is started again before it has answered."""
    from core.client.failures import Unreachable

    ask = partial(client.evals.run, benchmark, config, key=token_hex(16))
    try:
        return ask()
    except Unreachable as failure:
        if isinstance(failure.__cause__, URLError):  # it was not there, so that nothing has begun
            raise
    return insist(ask, WHAT)


def wait_for(client: "Client", benchmark: str, job: "EvalJob") -> "EvalJob":
    """The evaluation, when it has ended; meanwhile its progress is on the standard error."""
    progress = Progress(sys.stderr)
    pause = FIRST_POLL
    while job["status"] not in output.ENDED:
        progress.show(output.progress_of(job))
        sleep(pause)
        pause = min(1.2 * pause, LONGEST_POLL)
        job = insist(lambda id_=job["job_id"]: client.evals.get(benchmark, id_), WHAT)  # type: ignore[misc]
    progress.close()
    return job
