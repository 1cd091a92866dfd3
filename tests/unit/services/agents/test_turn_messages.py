"""What a turn puts in, as items: which message has its documents, and how much they and a client tool's answers may be."""

from typing import Any

import pytest

from core.apis.agents import ToolAnswer, TurnDocument, TurnMessage
from core.apis.rag import Fetched
from core.errors import InvalidRequest
from core.services.agents.turns.messages import Documents, read_answer, read_messages

PICTURE = "data:image/png;base64,aGk="
IMAGE = {"type": "image", "image": {"url": {"uri": PICTURE}}}
MOST = 1_048_576  # bytes of an answer
MB = 1024 * 1024


def document(content: Any, mime_type: str = "text/plain") -> TurnDocument:
    return TurnDocument.model_validate({"content": content, "mime_type": mime_type})


def message(content: Any, **more: Any) -> TurnMessage:
    return TurnMessage.model_validate({"role": "user", "content": content, **more})


def text(content: str) -> dict[str, str]:
    return {"type": "input_text", "text": content}


async def add(items: list[dict[str, Any]], *documents: TurnDocument, size: int = 0) -> list[dict[str, Any]]:
    """What is fetched has this many bytes, of which no text is made."""

    async def fetch(url: str, path: str) -> Fetched:
        del url, path
        return Fetched(bytes(size), "application/pdf")

    return await Documents(fetch).add(items, documents)


async def test_the_last_message_of_the_users_has_the_documents_at_its_end() -> None:
    items = read_messages([message("One."), message("Two."), message("4", role="tool", call_id="c")])
    picture = {"type": "input_image", "image_url": PICTURE, "detail": "auto"}
    found = await add(items, document("A."), document([{"type": "text", "text": "B."}, IMAGE]), document("C."))
    assert found[0] == {"role": "user", "content": [text("One.")]}
    assert found[1] == {"role": "user", "content": [text("Two.A.\nB."), picture, text("C.")]}
    assert found[2:] == [{"type": "function_call_output", "call_id": "c", "output": "4"}]
    assert items[1]["content"] == [text("Two.")]
    assert await add(items[2:], document("A.")) == [items[2], {"role": "user", "content": [text("A.")]}]
    assert await add(items) == items


async def test_documents_that_are_fetched_have_a_bound_together() -> None:
    documents = [document({"uri": f"https://host/{name}"}, "application/pdf") for name in "ab"]
    with pytest.raises(InvalidRequest, match="more than 32 MB together") as refused:
        await add([], *documents, size=16 * MB + 1)
    assert refused.value.param == "documents"
    with pytest.raises(InvalidRequest) as unread:
        await add([], documents[0], size=32 * MB)
    assert unread.value.param == "documents[0].content"


@pytest.mark.parametrize("parts", [1, 2])
def test_what_a_client_tool_answers_has_a_bound(parts: int) -> None:
    def answer(more: str) -> dict[str, Any]:
        pieces = ["x" * (MOST // parts)] * (parts - 1) + ["x" * (MOST // parts) + more]
        content = [{"type": "text", "text": piece} for piece in pieces]
        whole = content if parts > 1 else pieces[0]
        return read_answer(
            ToolAnswer.model_validate({"call_id": "c", "tool_name": "t", "content": whole}), "answers[0]"
        )

    pieces = [text("x" * (MOST // parts))] * parts
    assert answer("")["output"] == (pieces if parts > 1 else pieces[0]["text"])
    with pytest.raises(InvalidRequest, match="and a client tool may answer 1,048,576") as refused:
        answer("x")
    assert refused.value.param == "answers[0].content"
