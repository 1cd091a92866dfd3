"""`ogx-client` 1.5.0."""

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


def client(url: str) -> Any:
    import ogx_client

    return ogx_client.OgxClient(base_url=url)


def list_models(url: str) -> None:
    listing = client(url).models.list().actual_instance
    assert {CHAT, ALIAS, EMBEDDING} <= {model.id for model in listing.data}


def get_model(url: str) -> None:
    found = client(url).models.retrieve(CHAT).actual_instance
    assert (found.identifier, found.id, found.provider_id) == (CHAT, CHAT, "chat")


def chat(url: str) -> None:
    answer = client(url).chat_completions.create(model=CHAT, messages=MESSAGES, **SHORT)
    assert (answer.model, bool(answer.choices[0].message.content)) == (CHAT, True)
    assert answer.choices[0].finish_reason in {"length", "stop"}


def streamed_chat(url: str) -> None:
    chunks = list(client(url).chat_completions.create(model=CHAT, messages=MESSAGES, stream=True, **SHORT))
    assert said(chunks)
    assert len(finishes(chunks)) == 1
    assert all(chunk.usage is None for chunk in chunks)


def streamed_usage_when_asked(url: str) -> None:
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}, **SHORT}
    chunks = list(client(url).chat_completions.create(model=CHAT, messages=MESSAGES, **asked))
    assert said(chunks)
    assert chunks[-1].usage.completion_tokens > 0


def completions(url: str) -> None:
    create = client(url).completions.create
    assert create(model=CHAT, prompt="Once upon a time", **SHORT).choices[0].text
    chunks = create(model=CHAT, prompt="Once upon a time", stream=True, **SHORT)
    assert "".join(chunk.choices[0].text for chunk in chunks)


def embeddings(url: str) -> None:
    answer = client(url).embeddings.create(model=EMBEDDING, input="one")
    assert answer.model == EMBEDDING
    assert len(answer.to_dict()["data"][0]["embedding"]) == DIMENSION


def unknown_model(url: str) -> None:
    from ogx_client.exceptions import NotFoundException

    stack = client(url)
    for call in (
        lambda: stack.models.retrieve("team/nope"),
        lambda: stack.chat_completions.create(model="nope", messages=MESSAGES),
        lambda: stack.chat_completions.create(model="nope", messages=MESSAGES, stream=True),
        lambda: stack.completions.create(model="nope", prompt="Once"),
        lambda: stack.embeddings.create(model="nope", input="one"),
    ):
        assert "GET /v1/models" in str(refusal(NotFoundException, call))


def model_of_the_wrong_type(url: str) -> None:
    from ogx_client.exceptions import BadRequestException

    create = client(url).chat_completions.create
    assert "embedding model" in str(refusal(BadRequestException, lambda: create(model=EMBEDDING, messages=MESSAGES)))


def health_and_version(url: str) -> None:
    stack = client(url)
    assert stack.inspect.health().status.value == "OK"
    assert stack.admin.health().status.value == "OK"
    assert stack.inspect.version().version == stack.admin.version().version


def providers(url: str) -> None:
    stack = client(url)
    assert {provider.provider_id for provider in stack.providers.list()} == {"chat", "embed"}
    assert {provider.provider_id for provider in stack.admin.list_providers()} == {"chat", "embed"}
    assert stack.providers.retrieve("chat").provider_type == "remote::vllm"
    assert stack.admin.inspect_provider("chat").health["status"] == "OK"


def routes(url: str) -> None:
    stack = client(url)
    assert "/v1/models" in {row.route for row in stack.routes.list()}
    assert "/v1/models" in {row.route for row in stack.admin.list_routes()}


SCENARIOS = (
    list_models,
    get_model,
    chat,
    streamed_chat,
    streamed_usage_when_asked,
    completions,
    embeddings,
    unknown_model,
    model_of_the_wrong_type,
    health_and_version,
    providers,
    routes,
)

if __name__ == "__main__":
    run(SCENARIOS)
