"""`openai` 2 and 3, under both prefixes."""

from typing import Any

from tests.clients.scripts.harness import ALIAS, CHAT, DIMENSION, EMBEDDING, MESSAGES, run


def clients(url: str) -> list[Any]:
    import openai

    return [openai.OpenAI(base_url=url + path, api_key="none", max_retries=0) for path in ("/v1", "/v1/openai/v1")]


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
            answer = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=8)
            assert answer.model == model
            assert answer.choices[0].message.content
            assert answer.usage.completion_tokens > 0


def streamed_chat(url: str) -> None:
    for client in clients(url):
        stream = client.chat.completions.create(model=CHAT, messages=MESSAGES, max_tokens=8, stream=True)
        chunks = list(stream)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert chunks[-1].choices[0].finish_reason in {"length", "stop"}
        assert all(chunk.usage is None and chunk.model == CHAT for chunk in chunks)


def streamed_usage_when_asked(url: str) -> None:
    for client in clients(url):
        options = {"include_usage": True}
        chunks = list(
            client.chat.completions.create(
                model=CHAT, messages=MESSAGES, max_tokens=8, stream=True, stream_options=options
            )
        )
        assert chunks[-1].usage.completion_tokens > 0
        assert not chunks[-1].choices


def completions(url: str) -> None:
    for client in clients(url):
        answer = client.completions.create(model=CHAT, prompt="Once upon a time", max_tokens=8)
        assert (answer.model, bool(answer.choices[0].text)) == (CHAT, True)
        chunks = list(client.completions.create(model=CHAT, prompt="Once", max_tokens=8, stream=True))
        assert "".join(chunk.choices[0].text for chunk in chunks)


def embeddings(url: str) -> None:
    for client in clients(url):
        answer = client.embeddings.create(model=EMBEDDING, input=["one", "two"])
        assert [len(row.embedding) for row in answer.data] == [DIMENSION, DIMENSION]
        assert answer.model == EMBEDDING


def unknown_model(url: str) -> None:
    import openai

    for client in clients(url):
        try:
            client.chat.completions.create(model="nope", messages=MESSAGES)
        except openai.NotFoundError as missing:
            assert "GET /v1/models" in missing.message  # noqa: PT017 - the client's environment has no pytest
            assert (missing.code, missing.param) == ("not_found", "model")  # noqa: PT017
        else:
            raise AssertionError


def bad_request(url: str) -> None:
    import openai

    for client in clients(url):
        try:
            client.chat.completions.create(model=EMBEDDING, messages=MESSAGES)
        except openai.BadRequestError as refused:
            assert "embedding model" in refused.message  # noqa: PT017
        else:
            raise AssertionError


SCENARIOS = (
    list_models,
    get_model,
    chat,
    streamed_chat,
    streamed_usage_when_asked,
    completions,
    embeddings,
    unknown_model,
    bad_request,
)

if __name__ == "__main__":
    run(SCENARIOS)
