"""How an API tells its callers' webhooks that a job of theirs has ended: one event for each job and type, however often it is told."""

import logging
from typing import Final

from core.errors import Conflict
from core.routing.policy import owner_list
from core.services.jobs.service import job_service
from core.services.parts import Parts
from core.services.webhooks.collection import endpoints_for
from core.services.webhooks.events import event_of
from core.services.webhooks.sending import find_provider
from core.stores.connect import DOCUMENTS
from core.stores.jobs.port import Job

log = logging.getLogger(__name__)

KIND: Final = "webhook_delivery"
SECONDS: Final = 72 * 3600.0
"""For which a delivery is tried."""


async def announce(parts: Parts, job: Job, event_type: str, subject: str) -> None:
    """Have the endpoints of the job's owner told that `subject`, as a batch, has come to what the type says.

    For `JobKind.ended`. Nothing where webhooks are not served, or nobody wants to know.

    Raises:
        StateUnavailable: it is not certain that they will be; tell it again.
    """
    store = parts.stores.find(DOCUMENTS)
    if store is None or find_provider(parts) is None:
        return
    if not await endpoints_for(store, owner_list(job.principal), event_type):
        return
    event = event_of(job.id, event_type, subject, created=int(job.ended or job.created))
    try:
        await job_service(parts).create_for(
            job.principal, KIND, {"event": dict(event)}, key=f"{KIND}:{event['id']}", seconds=SECONDS
        )
    except Conflict:  # the owner has used this very key for something else
        log.warning("job %s: its webhooks are not told", job.id)
