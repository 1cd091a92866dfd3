"""Waiting for a job of a running stack, also while the stack is started again, and showing how far it is."""

from collections.abc import Callable
from functools import partial
import sys
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from core.cli.jobs import output
from core.cli.terminal import clean, say

if TYPE_CHECKING:
    from core.apis.answers.jobs import JobView
    from core.client.api import Client
    from core.client.failures import ApiFailed, Unreachable

FIRST_POLL: Final = 0.5  # seconds, between two looks at a job
LONGEST_POLL: Final = 5.0
PATIENCE: Final = 900.0  # seconds without an answer
SERVER_ERROR: Final = 500
THROTTLED: Final = 429


def wait_for(client: "Client", job: str) -> "JobView":
    """The job, when it has ended; meanwhile its progress is on the standard error."""
    progress = output.Progress(sys.stderr)
    pause, status = FIRST_POLL, ""
    view = client.jobs.get(job)
    while view["status"] not in output.ENDED:
        progress.show(view)
        pause = FIRST_POLL if view["status"] != status else min(1.2 * pause, LONGEST_POLL)
        status = view["status"]
        sleep(pause)
        view = insist(partial(client.jobs.get, job), "job")
    progress.close()
    return view


def insist[T](ask: Callable[[], T], what: str) -> T:
    """What `ask` gives; while the stack cannot be reached, or is not well, it is asked again. `what` goes on meanwhile."""
    from core.client.failures import ApiFailed, Unreachable

    begin, pause, has_noted = monotonic(), FIRST_POLL, False
    while True:
        try:
            return ask()
        except (ApiFailed, Unreachable) as failure:
            status, reason = _reason_of(failure)
            if (status < SERVER_ERROR and status != THROTTLED) or monotonic() - begin > PATIENCE:
                raise
            if not has_noted:
                say(clean(f"note: {reason} The {what} goes on without this command, which asks again."))
                has_noted = True
        sleep(pause)
        pause = min(1.5 * pause, LONGEST_POLL)


def _reason_of(failure: "ApiFailed | Unreachable") -> tuple[int, str]:
    """Its status, and what it says."""
    from core.client.failures import Unreachable

    if isinstance(failure, Unreachable):
        return SERVER_ERROR, f"{failure.url}: {failure.reason}."
    return failure.status, f"{failure.message} (HTTP {failure.status})"
