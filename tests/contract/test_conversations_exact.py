"""64 callers on one conversation, in processes of their own: each turn whole, every other caller told to wait; and 10,000 items."""

import asyncio
from pathlib import Path
import random
import time
import tracemalloc

import pytest

from core.apis.responses import MOST_ITEMS
from core.errors import Conflict, ConversationLocked
from core.services.responses.output import make_id
from core.services.responses.state.records import TURN, Place, Turn, tail_of
from core.stores.documents.port import Document
from tests.contract.crew import Crew, together
from tests.contract.documents import KINDS, LEAST, Documenting
from tests.parts.response_stack import MODEL, RESPONSES, response_world
from tests.parts.thread_state import Caller, Kept, texts, user

pytestmark = pytest.mark.exact
CALLERS = 64


@pytest.fixture(params=KINDS)
def documenting(request: pytest.FixtureRequest, tmp_path: Path) -> Documenting:
    blobs = str(tmp_path / "blobs")
    return Documenting.fresh(request, request.param, tmp_path, "state_table", blobs=blobs, least=LEAST)


def speak(documenting: Documenting, conversation: str, numbers: range) -> tuple[int, int]:
    """In a process of a crew: each number is said once; how many tries were refused, and how many leases were lost."""
    return asyncio.run(_speak(documenting, conversation, numbers))


async def _speak(documenting: Documenting, conversation: str, numbers: range) -> tuple[int, int]:
    async with documenting.opened(clock=time.time) as store:
        ada = Caller(Kept(store), clock=time.time)
        await ada.context(conversation=conversation)
        await together()
        refused, lost = 0, 0

        async def say(number: int) -> None:
            nonlocal refused, lost
            while True:
                try:
                    if number % 4:
                        await ada.respond(f"t{number}", conversation=conversation)
                    else:
                        await ada.add(conversation, f"t{number}", f"T{number}")
                except ConversationLocked:
                    refused += 1
                    await asyncio.sleep(random.uniform(0, 0.2))  # noqa: S311
                except Conflict:
                    lost += 1
                else:
                    return

        await asyncio.gather(*map(say, numbers))
        return refused, lost


async def test_of_64_callers_each_adds_a_whole_turn_or_is_told_to_wait(documenting: Documenting, crew: Crew) -> None:
    async with documenting.opened(clock=time.time) as store:
        ada = Caller(Kept(store), clock=time.time)
        conversation = await ada.converse("begin")
        shares = [range(number, CALLERS, crew.size) for number in range(crew.size)]
        counts = await crew.work(speak, *((documenting, conversation, share) for share in shares))
        session = await ada.open(conversation=conversation, store=False)
        said = texts(session.context)[1:]
        items = await ada.items(conversation, limit=100, order="asc")
    turns = list(zip(said[::2], said[1::2], strict=True))
    assert sorted(turns) == sorted((f"t{number}", f"T{number}") for number in range(CALLERS))
    ids = [item["id"] for item in items["data"]]
    assert [item_id[-8:] for item_id in ids[1:]] == [tail_of(1 + place // 2) for place in range(len(ids) - 1)]
    assert sum(lost for _, lost in counts) == 0
    print(f"{sum(refused for refused, _ in counts)} tries were told to wait")


async def test_10_000_items_are_a_context_and_a_page_of_them_takes_as_much_as_of_20(documenting: Documenting) -> None:
    async with documenting.opened(clock=time.time) as store:
        ada = Caller(Kept(store), clock=time.time)
        conversation = await ada.converse()
        text = "x" * 100

        async def add(number: int) -> None:
            items = [{**user(text), "id": make_id("msg_", tail_of(number))} for _ in range(20)]
            place = Place(conversation, number)
            await store.create(Document(TURN, place.id, Turn(items, 20).body(), conversation))

        for start in range(0, MOST_ITEMS // 20 + 10, 30):
            await asyncio.gather(*map(add, range(start, min(start + 30, MOST_ITEMS // 20 + 10))))
        session = await ada.open(conversation=conversation)
        assert len(session.context) == MOST_ITEMS
        await ada.end(session, "new")
        await session.close()
        tracemalloc.start()
        page = await ada.items(conversation, limit=20)
        for _ in range(3):
            page = await ada.items(conversation, limit=20, after=page["last_id"])
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (len(page["data"]), page["has_more"]) == (20, True)
    assert most < 8 * 2**20


async def test_64_requests_at_once_are_answered_whole_or_told_to_wait(tmp_path: Path) -> None:
    async with response_world(tmp_path) as world:
        client = await world.client()
        path = f"/v1/conversations/{(await client.post('/v1/conversations', json={})).json()['id']}"
        asked = {"model": MODEL, "conversation": path.rpartition("/")[2]}

        async def ask(number: int) -> int:
            answer = await client.post(RESPONSES, json={**asked, "input": f"Say {number}"})
            if answer.status_code == 409:
                error = answer.json()["error"]
                assert (error["code"], error["param"]) == ("conversation_locked", "conversation")
                assert answer.headers["retry-after"] == "2"
            else:
                assert answer.json()["status"] == "completed", answer.text
            return answer.status_code

        statuses = [status for _ in range(3) for status in await asyncio.gather(*map(ask, range(CALLERS)))]
        items = (await client.get(f"{path}/items", params={"limit": "100", "order": "asc"})).json()["data"]
        assert set(statuses) == {200, 409}
        assert [item["role"] for item in items] == ["user", "assistant"] * statuses.count(200)
        for item in items:
            assert (await client.get(f"{path}/items/{item['id']}")).json() == item
        assert len(world.model.chats) == statuses.count(200)
        deleted = await client.delete(path)
        assert deleted.json()["deleted"]
        assert (await client.get(RESPONSES)).json()["data"] == []
