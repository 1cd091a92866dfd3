"""Stored chat completions by every client: OpenAI's has all of their calls, Llama Stack's of mid-2025 lists and retrieves."""

from typing import Any
from uuid import uuid4

from tests.clients.scripts.guarded import package
from tests.clients.scripts.harness import refusal, run

MODEL = "p/m"


def completions(url: str) -> Any:
    module, make = package()
    return make(module, url, "none").chat.completions


def is_openai() -> bool:
    name: str = package()[0].__name__
    return name == "openai"


def kept(url: str, text: str, **more: Any) -> str:
    """The id of one that is kept."""
    body = {"store": True, "metadata": {"text": text}} if is_openai() else {"extra_body": {"store": True}}
    answer = completions(url).create(model=MODEL, messages=[{"role": "user", "content": text}], **body, **more)
    chunks = list(answer) if more.get("stream") else [answer]
    [identifier] = {chunk.id for chunk in chunks}
    return str(identifier)


def one_that_is_kept_is_listed_and_retrieved(url: str) -> None:
    for more in ({}, {"stream": True}):
        identifier = kept(url, "hello", **more)
        listed = [row.id for row in completions(url).list(limit=100, order="desc").data]
        assert listed[0] == identifier, listed
        shown = completions(url).retrieve(identifier)
        assert (shown.id, shown.choices[0].message.content) == (identifier, "Hello"), shown


def pages_are_walked_and_filtered(url: str) -> None:
    if not is_openai():
        return
    texts = [uuid4().hex for _ in range(3)]
    names = [kept(url, text) for text in texts]
    walked = [row.id for row in completions(url).list(limit=2)]
    assert walked[-3:] == names, walked
    [found] = completions(url).list(metadata={"text": texts[1]}, model=MODEL)
    assert found.id == names[1]


def messages_metadata_and_deletion(url: str) -> None:
    if not is_openai():
        return
    identifier = kept(url, "asked")
    [message] = completions(url).messages.list(identifier)
    assert (message.role, message.content) == ("user", "asked"), message
    changed = completions(url).update(identifier, metadata={"other": "1"})
    assert changed.metadata == {"other": "1"}, changed
    gone = completions(url).delete(identifier)
    assert (gone.id, gone.deleted, gone.object) == (identifier, True, "chat.completion.deleted"), gone
    refusal(package()[0].NotFoundError, lambda: completions(url).retrieve(identifier))


if __name__ == "__main__":
    run([one_that_is_kept_is_listed_and_retrieved, pages_are_walked_and_filtered, messages_metadata_and_deletion])
