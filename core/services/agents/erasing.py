"""What a principal keeps of agents, with all that is below them; its sessions are conversations, which go with those."""

from functools import partial

from core.routing.policy import owner_list
from core.services.agents.collection import tally_id
from core.services.agents.records import AGENT, show_agent
from core.services.agents.removal import remove_agent
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.extracts import Read, extract_json, path_of
from core.services.parts import Parts
from core.services.responses.state.place import STORE, StatePlace
from core.stores.documents.port import Document
from core.stores.documents.walking import walk_pages


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for documents."""
    has_place = parts.stores.find_collection(STORE) is not None
    return partial(_pieces, StatePlace.of(parts, None)) if has_place else None


async def _pieces(state: StatePlace, estate: Estate) -> Pieces:
    owner = owner_list(estate.principal)
    async for documents in walk_pages(state.store, AGENT, owner):
        yield [Piece("agents", partial(_remove, state, document), read=_reading(document)) for document in documents]
    yield [Piece("", partial(_forget_tally, state, owner))]


def _reading(agent: Document) -> Read:
    return partial(extract_json, path_of("agents", f"{agent.id}.json"), show_agent(agent))


async def _remove(state: StatePlace, agent: Document) -> bool:
    await remove_agent(state, agent)
    return True


async def _forget_tally(state: StatePlace, owner: str) -> bool:
    """Unless the principal has made one meanwhile, which is counted."""
    if not (await state.store.page(AGENT, owner, limit=1)).documents:
        await state.store.drop_tallies(AGENT, tally_id(owner))
    return True
