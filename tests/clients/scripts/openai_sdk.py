"""`openai` 2 and 3, under both prefixes."""

import asyncio
from functools import partial
from typing import Any

from tests.clients.scripts.harness import (
    ALIAS,
    CHAT,
    DIMENSION,
    EMBEDDING,
    MESSAGES,
    SHORT,
    finishes,
    refusal,
    run,
    said,
)

PREFIXES = ("/v1", "/v1/openai/v1")


def clients(url: str) -> list[Any]:
    import openai

    return [openai.OpenAI(base_url=url + prefix, api_key="none", max_retries=0) for prefix in PREFIXES]


def list_models(url: str) -> None:
    for client in clients(url):
        assert {CHAT, ALIAS, EMBEDDING} <= {model.id for model in client.models.list()}


def get_model(url: str) -> None:
    for client in clients(url):
        found = client.models.retrieve(CHAT)
        assert (found.id, found.object, found.owned_by) == (CHAT, "model", "chat")


def chat(url: str) -> None:
    for client in clients(url):
        for model in (CHAT, ALIAS):
            answer = client.chat.completions.create(model=model, messages=MESSAGES, **SHORT)
            assert answer.model == model
            assert answer.choices[0].message.content
            assert answer.choices[0].finish_reason in {"length", "stop"}
            assert answer.usage.completion_tokens > 0


def chat_with_parameters(url: str) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    for client in clients(url):
        create = client.chat.completions.create
        answer = create(model=CHAT, messages=MESSAGES, response_format=wanted, max_tokens=100, temperature=0)
        assert "Paris" in answer.choices[0].message.content
        answer = create(
            model=CHAT, messages=MESSAGES, max_completion_tokens=2, logprobs=True, top_logprobs=2, temperature=0
        )
        assert (answer.usage.completion_tokens, len(answer.choices[0].logprobs.content)) == (2, 2)


def streamed_chat(url: str) -> None:
    for client in clients(url):
        chunks = list(client.chat.completions.create(model=CHAT, messages=MESSAGES, stream=True, **SHORT))
        assert said(chunks)
        assert len(finishes(chunks)) == 1
        assert all(chunk.usage is None and chunk.model == CHAT for chunk in chunks)


def streamed_usage_when_asked(url: str) -> None:
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}, **SHORT}
    for client in clients(url):
        chunks = list(client.chat.completions.create(model=CHAT, messages=MESSAGES, **asked))
        assert said(chunks)
        assert not chunks[-1].choices
        assert chunks[-1].usage.completion_tokens > 0


def streamed_chat_without_waiting(url: str) -> None:
    """The asynchronous client."""
    import openai

    async def chunks(prefix: str) -> list[Any]:
        async with openai.AsyncOpenAI(base_url=url + prefix, api_key="none", max_retries=0) as client:
            stream = await client.chat.completions.create(model=CHAT, messages=MESSAGES, stream=True, **SHORT)
            return [chunk async for chunk in stream]

    for prefix in PREFIXES:
        assert said(asyncio.run(chunks(prefix)))


def completions(url: str) -> None:
    for client in clients(url):
        answer = client.completions.create(model=CHAT, prompt="Once upon a time", **SHORT)
        assert (answer.model, bool(answer.choices[0].text)) == (CHAT, True)
        chunks = list(client.completions.create(model=CHAT, prompt="Once upon a time", stream=True, **SHORT))
        assert "".join(chunk.choices[0].text for chunk in chunks)


def embeddings(url: str) -> None:
    """In both encodings: the client asks for base64 unless told otherwise."""
    for client in clients(url):
        answer = client.embeddings.create(model=EMBEDDING, input=["one", "two"])
        assert [len(row.embedding) for row in answer.data] == [DIMENSION, DIMENSION]
        assert answer.model == EMBEDDING
        plain = client.embeddings.create(model=EMBEDDING, input="one", encoding_format="float")
        assert len(plain.data[0].embedding) == DIMENSION


def unknown_model(url: str) -> None:
    from openai import NotFoundError

    for client in clients(url):
        refused = [
            refusal(NotFoundError, partial(client.chat.completions.create, model="nope", messages=MESSAGES)),
            refusal(NotFoundError, partial(client.completions.create, model="nope", prompt="Once")),
            refusal(NotFoundError, partial(client.embeddings.create, model="nope", input="one")),
        ]
        for error in refused:
            assert "GET /v1/models" in error.message
            assert (error.code, error.param) == ("not_found", "model")
        assert "GET /v1/models" in refusal(NotFoundError, partial(client.models.retrieve, "team/nope")).message


def unknown_model_in_a_stream(url: str) -> None:
    """Refused before the stream opens: an exception from `create`, not from the first chunk."""
    from openai import NotFoundError

    for client in clients(url):
        create = client.chat.completions.create
        refusal(NotFoundError, partial(create, model="nope", messages=MESSAGES, stream=True))


def model_of_the_wrong_type(url: str) -> None:
    from openai import BadRequestError

    for client in clients(url):
        create = client.chat.completions.create
        refused = refusal(BadRequestError, partial(create, model=EMBEDDING, messages=MESSAGES))
        assert "embedding model" in refused.message


def bad_request(url: str) -> None:
    from openai import BadRequestError

    for client in clients(url):
        create = client.chat.completions.create
        assert refusal(BadRequestError, partial(create, model=CHAT, messages=[])).param == "messages"


def request_ids(url: str) -> None:
    import openai

    for client in clients(url):
        answers = [client.chat.completions.create(model=CHAT, messages=MESSAGES, **SHORT) for _ in range(2)]
        missing = refusal(
            openai.NotFoundError, partial(client.chat.completions.create, model="nothing", messages=MESSAGES)
        )
        identities = [*(answer._request_id for answer in answers), missing.request_id]
        assert all(identity.startswith("req_") for identity in identities)
        assert len({*identities}) == 3
        assert missing.body["request_id"] == identities[-1]


SCENARIOS = (
    request_ids,
    list_models,
    get_model,
    chat,
    chat_with_parameters,
    streamed_chat,
    streamed_usage_when_asked,
    streamed_chat_without_waiting,
    completions,
    embeddings,
    unknown_model,
    unknown_model_in_a_stream,
    model_of_the_wrong_type,
    bad_request,
)

if __name__ == "__main__":
    run(SCENARIOS)
