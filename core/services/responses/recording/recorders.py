"""What writes the log of a run that begins now."""

from collections.abc import Sequence

from core.services.responses.contract import Item
from core.services.responses.recording.codec import Beginning
from core.services.responses.recording.log import RunLog
from core.services.responses.recording.writing import Recorder
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE, Place
from core.stores.documents.port import Document


def open_recorder(
    state: StatePlace, beginning: Beginning, new_items: Sequence[Item], path: Sequence[Place] = (), request: str = ""
) -> Recorder:
    """Of a run of the caller's, which follows the response at the end of `path`, or is in a conversation; `request` is sealed."""
    counted = state.keeper.tallies_of(RESPONSE, state.log_end())

    async def begin(batch: Document) -> Document:
        from core.services.responses.recording.opening import begin_run  # late: most have ended before
        from core.services.responses.recording.records import RunRecord

        record = RunRecord(
            beginning.response,
            state.owner,
            new_items,
            path,
            streams=beginning.streams,
            durable=beginning.durable,
            request=request,
            counted=counted,
        )
        return await begin_run(state, record, batch)

    run_log = RunLog(state.store, beginning.response["id"], state.log_end(), clock=state.clock)
    return Recorder(run_log, beginning, begin)
