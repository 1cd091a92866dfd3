"""The record of a run that has not ended: whose it is, and what is needed to end it for whoever died.

    response_run   id resp_HEX   parent OWNER, or the conversation that it is in   RunRecord

It comes with the first batch of the log, and goes as the response is kept, in the same transactions. Readers leave out what they do not know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, override

from core.frame.types import JsonObject
from core.services.responses.contract import Item
from core.services.responses.state.records import Place
from core.stores.documents.bodies import TolerantBody

RUN: Final = "response_run"


@dataclass(frozen=True, slots=True)
class RunRecord(TolerantBody):
    """A run: its `response` object as it began, and its own `input` items. `owner_list` is the list that the response will be in.

    `path` is that of the response that it follows, as in ResponseRecord; with `background` it was queued as it began. `job` is the id of the job that
    has it, "" for none; `request` is what a worker needs to go on, sealed. `counted` are the tallies that it is in, as the response will be that takes
    its place.
    """

    response: JsonObject
    owner_list: str
    input: Sequence[Item] = ()
    path: Sequence[Sequence[str | int]] = ()
    streams: bool = True
    background: bool = False
    durable: bool = False
    job: str = ""
    request: str = ""
    counted: Sequence[str] = ()

    @property
    def places(self) -> list[Place]:
        return [Place(str(thread), int(number)) for thread, number in self.path]

    @property
    def conversation(self) -> str | None:
        """The id of the one that it is in."""
        conversation = self.response.get("conversation")
        return None if conversation is None else str(conversation["id"])

    @override
    def body(self) -> JsonObject:  # `asdict` would copy every item
        return {
            "response": self.response,
            "owner_list": self.owner_list,
            "input": [*self.input],
            "path": [[*place] for place in self.path],
            "streams": self.streams,
            "background": self.background,
            "durable": self.durable,
            "job": self.job,
            "request": self.request,
            "counted": [*self.counted],
        }
