"""What is around an answer is OpenAI's, whoever gave it."""

from collections.abc import Iterable
from typing import Any

import pytest

from core.apis.inference import ChatRequest, CompletionRequest
from core.services.inference.envelope import Envelope

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
SO_FAR = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "upstreams-own"}


def request(**more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **more})


def piece(text: str, **more: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [{"index": 0, "delta": {"content": text}}], **more}


def streamed(chunks: Iterable[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    envelope = Envelope(request(stream=True, stream_options=options or None), streams=True)
    filled = [chunk for chunk in map(envelope.fill_chunk, chunks) if chunk is not None]
    return filled + ([envelope.report] if envelope.report else [])


EVERYWHERE = [piece("a", usage=SO_FAR), piece("b", usage=USAGE)]
AT_THE_END = [piece("a", usage=None), piece("b"), {**HEAD, "choices": [], "usage": USAGE, "timings": {}}]


@pytest.mark.parametrize("chunks", [EVERYWHERE, AT_THE_END])
def test_the_usage_of_a_stream_comes_once_and_at_the_end(chunks: list[dict[str, Any]]) -> None:
    *texts, report = streamed(map(dict, chunks), include_usage=True)
    assert [text["choices"][0]["delta"]["content"] for text in texts] == ["a", "b"]
    assert [text.get("usage") for text in texts] == [None, None]
    assert {name: report[name] for name in ("id", "model", "choices", "usage")} == {
        "id": "chatcmpl-1",
        "model": "m",
        "choices": [],
        "usage": USAGE,
    }


@pytest.mark.parametrize("chunks", [EVERYWHERE, AT_THE_END])
def test_who_did_not_ask_for_the_usage_gets_none(chunks: list[dict[str, Any]]) -> None:
    filled = streamed(map(dict, chunks))
    assert len(filled) == 2
    assert not any("usage" in chunk for chunk in filled)


def test_who_asks_for_the_usage_with_every_chunk_gets_it_so() -> None:
    filled = streamed(map(dict, EVERYWHERE), include_usage=True, continuous_usage_stats=True)
    assert [chunk["usage"] for chunk in filled] == [SO_FAR, USAGE]


def test_a_stream_without_an_id_gets_one_for_all_its_chunks() -> None:
    """openai for Node takes no usage from a chunk whose id is empty, as TGI's are."""
    bare = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
    first, second = streamed([{"id": "", **bare}, dict(bare)])
    assert first["id"].startswith("chatcmpl-")
    assert (first["id"], first["created"], first["object"]) == (
        second["id"],
        second["created"],
        "chat.completion.chunk",
    )


@pytest.mark.parametrize("name", ["id", "object", "created"])
def test_each_that_is_missing_alone_is_put_in(name: str) -> None:
    answer = {key: value for key, value in HEAD.items() if key != name}
    filled = Envelope(request(), streams=False).fill(dict(answer))
    assert filled[name]
    assert answer.items() - {("model", "upstreams-own")} <= filled.items()


def test_whole_answers_are_filled_too_and_what_is_said_is_kept() -> None:
    chat = Envelope(request(), streams=False)
    assert chat.fill({**HEAD, "created": 0}) == {**HEAD, "created": 0, "model": "m"}
    assert chat.fill({"id": None})["object"] == "chat.completion"
    completion = Envelope(CompletionRequest(model="m", prompt="Hi"), streams=False)
    assert completion.fill({})["object"] == "text_completion"
