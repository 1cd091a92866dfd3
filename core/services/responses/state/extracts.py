"""Responses and conversations as files, with the sessions of agents that conversations are."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from core.services.agents.records import SESSION, SessionRecord, TurnRecord
from core.services.agents.records import TURN as AGENT_TURN
from core.services.erasure import Estate
from core.services.extracts import Extract, extract_json, extract_lines, path_of, show_document
from core.services.responses.recording.log import LOG
from core.services.responses.recording.records import RUN, RunRecord
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import ConversationRecord, ResponseRecord, Turn, live, show_conversation
from core.stores.documents.port import Document
from core.stores.documents.walking import walk_pages


async def read_response(state: StatePlace, document: Document) -> Extract:
    """With what was put in, and with its output."""
    record = ResponseRecord.read(document.body)
    turn = await state.threads.get(record.places[-1], document.id)
    texts = {} if turn is None else _show_turn(turn)
    async for file in extract_json(path_of("responses", f"{document.id}.json"), {**record.response, **texts}):
        yield file


async def read_run(state: StatePlace, document: Document) -> Extract:
    """Of a response that has not ended: as it began, and the log of what it has said so far. What a worker goes on with is sealed, and left out."""
    record = RunRecord.read(document.body)
    facts = {**record.response, "input": [*record.input]}
    async for file in extract_json(path_of("responses", document.id, "response.json"), facts):
        yield file
    async for documents in walk_pages(state.store, LOG, document.id):
        for batch in documents:
            async for file in extract_json(path_of("responses", document.id, "log.jsonl"), batch.body):
                yield file


async def read_conversation(state: StatePlace, document: Document) -> Extract:
    """With all that is in it, as its owner may see it, whoever said it."""
    folder = ("conversations", document.id)
    async for file in extract_json(path_of(*folder, "conversation.json"), show_conversation(document)):
        yield file
    async for file in extract_lines(path_of(*folder, "turns.jsonl"), _turns(state, document.id, None)):
        yield file
    async for file in _read_runs(state, document.id, None):
        yield file
    if ConversationRecord.read(document.body).agent:
        async for file in _read_session(state, document.id):
            yield file


async def read_share(state: StatePlace, estate: Estate, guest: Document) -> Extract:
    """What somebody has added to a conversation of another's."""
    conversation_id = guest.id.partition(":")[0]
    folder = ("conversations_of_others", conversation_id)
    async for file in extract_lines(path_of(*folder, "turns.jsonl"), _turns(state, conversation_id, estate)):
        yield file
    turns = _agent_turns(state, conversation_id, estate)
    async for file in extract_lines(path_of(*folder, "agent_turns.jsonl"), turns):
        yield file
    async for file in _read_runs(state, conversation_id, estate):
        yield file


async def _read_session(state: StatePlace, session_id: str) -> Extract:
    session = await state.store.get(SESSION, session_id)
    if session is not None:
        facts = show_document(session, {"agent_id": session.parent, "name": SessionRecord.read(session.body).name})
        async for file in extract_json(path_of("conversations", session_id, "session.json"), facts):
            yield file
    turns = _agent_turns(state, session_id, None)
    async for file in extract_lines(path_of("conversations", session_id, "agent_turns.jsonl"), turns):
        yield file


async def _read_runs(state: StatePlace, conversation_id: str, estate: Estate | None) -> Extract:
    """Those in a conversation that have not ended: the principal's, without one all."""
    async for documents in walk_pages(state.store, RUN, conversation_id):
        for run in documents:
            if estate is None or estate.has(run.owner):
                async for file in read_run(state, run):
                    yield file


async def _turns(state: StatePlace, conversation_id: str, estate: Estate | None) -> AsyncGenerator[object]:
    """Those that the principal has added to it; without one all."""
    async with aclosing(state.threads.walk(conversation_id, order="asc")) as turns:
        async for document in turns:
            turn = Turn.read(document.body)
            if turn.items and (estate is None or estate.has(turn.owner)):
                yield {"response": turn.response, **_show_turn(turn)}


async def _agent_turns(state: StatePlace, session_id: str, estate: Estate | None) -> AsyncGenerator[object]:
    """The turns of a session with what resumes have added: those in which the principal has a part; without one all."""
    async for documents in walk_pages(state.store, AGENT_TURN, session_id):
        for document in documents:
            parts = [document, *[p async for page in walk_pages(state.store, AGENT_TURN, document.id) for p in page]]
            if estate is None or any(estate.has(part.owner) for part in parts):
                for part in parts:
                    record = TurnRecord.read(part.body)
                    yield {"id": part.id, "status": record.status, "turn": record.turn}


def _show_turn(turn: Turn) -> dict[str, object]:
    before = {"context": live(turn.context)} if turn.context else {}
    return {**before, "input": turn.input, "output": turn.output}
