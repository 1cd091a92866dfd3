"""Waiting for a job of a running stack, and showing how far it is."""

import sys
from time import sleep
from typing import TYPE_CHECKING, Final

from core.cli.jobs import output

if TYPE_CHECKING:
    from core.apis.answers.jobs import JobView
    from core.client.api import Client

FIRST_POLL: Final = 0.5  # seconds, between two looks at a job
LONGEST_POLL: Final = 5.0


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
        view = client.jobs.get(job)
    progress.close()
    return view
