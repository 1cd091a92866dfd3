"""What a chat's fields become on Bedrock's wire, and what an answer is without: stop sequences, fences."""

from base64 import b64encode
from typing import Any

import pytest

from core.errors import InvalidRequest
from tests.parts.bedrock import EVENTS, HELLO, MODEL, chat, collected, events, frames, serving, text_of
from tests.parts.upstream import status

GPT_OSS = "openai.gpt-oss-120b-1:0"
NOVA = "us.amazon.nova-pro-v1:0"


def says(text: str, **more: Any) -> dict[str, Any]:
    return HELLO | {"output": {"message": {"role": "assistant", "content": [{"text": text}]}}, **more}


def streamed(*pieces: str) -> list[tuple[str, dict[str, Any]]]:
    deltas = [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}) for piece in pieces]
    return [EVENTS[0], *deltas, *EVENTS[3:]]


@pytest.mark.parametrize(("model", "sent"), [(GPT_OSS, None), (NOVA, ["\nObservation:"])])
async def test_a_stop_sequence_stops_whatever_the_model_makes_of_it(model: str, sent: list[str] | None) -> None:
    more = {"model": model, "stop": ["\nObservation:"]}
    async with serving() as (fake, bedrock):
        fake.replies["converse"] = status(200, says("I look.\nObservation: rain", stopReason="max_tokens"))
        fake.replies["converse-stream"] = frames(events(streamed("I look.\nObs", "ervation: ra", "in")))
        answer = await bedrock.chat_completion(chat(**more))
        chunks = await collected(bedrock, stream_options={"include_usage": True}, **more)
    for seen in fake.seen:
        assert seen.body.get("inferenceConfig", {}).get("stopSequences") == sent
    assert answer["choices"][0]["message"]["content"] == text_of(chunks) == "I look."
    assert answer["choices"][0]["finish_reason"] == chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == chunks[-1]["usage"]["total_tokens"] == 5


async def test_json_by_best_effort_is_asked_for_in_words_and_comes_without_a_fence() -> None:
    more = {"model": NOVA, "response_format": {"type": "json_object"}}
    async with serving() as (fake, bedrock):
        fake.replies["converse"] = status(200, says('```json\n{"a": 1}\n```'))
        fake.replies["converse-stream"] = frames(events(streamed("``", '`json\n{"a"', ": 1}", "\n`", "``\n")))
        answer = await bedrock.chat_completion(chat(**more))
        chunks = await collected(bedrock, **more)
    assert all("JSON" in seen.body["system"][-1]["text"] for seen in fake.seen)
    assert answer["choices"][0]["message"]["content"] == text_of(chunks) == '{"a": 1}'


async def test_a_model_with_structured_output_is_held_to_the_schema() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}}
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    async with serving() as (fake, bedrock):
        await bedrock.chat_completion(chat(model=MODEL, response_format=form))
    (seen,) = fake.seen
    assert "system" not in seen.body
    assert seen.body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["name"] == "person"


async def test_an_image_is_what_its_bytes_are_and_a_document_has_a_text() -> None:
    jpeg = b64encode(b"\xff\xd8\xff\xe0").decode()
    pdf = b64encode(b"%PDF-1.7").decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{jpeg[:3]}\n{jpeg[3:]}"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:;base64,{pdf}"}},
    ]
    async with serving() as (fake, bedrock):
        await bedrock.chat_completion(chat(messages=[{"role": "user", "content": content}]))
    image, document, text = fake.seen[0].body["messages"][0]["content"]
    assert image == {"image": {"format": "jpeg", "source": {"bytes": jpeg}}}
    assert document == {"document": {"format": "pdf", "name": "a", "source": {"bytes": pdf}}}
    assert text["text"]


async def test_tiers_metadata_and_effort_are_bedrocks_own_fields() -> None:
    tier = {"serviceTier": {"type": "flex"}}
    async with serving() as (fake, bedrock):
        fake.replies["converse"] = status(200, HELLO | tier)
        fake.replies["converse-stream"] = frames(events([*EVENTS[:-1], ("metadata", EVENTS[-1][1] | tier)]))
        more = {"model": GPT_OSS, "service_tier": "flex", "metadata": {"team": "a"}, "reasoning_effort": "low"}
        answer = await bedrock.chat_completion(chat(**more))
        chunks = await collected(bedrock, stream_options={"include_usage": True}, **more)
    for seen in fake.seen:
        assert seen.body["serviceTier"] == {"type": "flex"}
        assert seen.body["requestMetadata"] == {"team": "a"}
        assert seen.body["additionalModelRequestFields"] == {"reasoning_effort": "low"}
    assert answer["service_tier"] == chunks[-1]["service_tier"] == "flex"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 1.5}, "temperature"),
        ({"stop": [1]}, "stop[0]"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"model": NOVA, "reasoning_effort": "high"}, "reasoning_effort"),
    ],
)
async def test_what_would_mean_something_else_is_refused_before_bedrock_is_asked(fields: Any, param: str) -> None:
    async with serving() as (fake, bedrock):
        for ask in (bedrock.chat_completion, bedrock.stream_chat_completion):
            with pytest.raises(InvalidRequest) as refusal:
                await ask(chat(**fields))
            assert refusal.value.param == param
    assert fake.seen == []
