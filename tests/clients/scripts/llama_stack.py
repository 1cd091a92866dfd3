"""What `llama-stack-client` 0.2.12 and 0.7.5 have in common."""

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
    import llama_stack_client

    return llama_stack_client.LlamaStackClient(base_url=url, max_retries=0)


def name_of(model: Any) -> str:
    """0.2 calls it identifier, 0.7 id."""
    name: str = getattr(model, "identifier", None) or model.id
    return name


def list_models(url: str) -> None:
    assert {CHAT, ALIAS, EMBEDDING} <= {name_of(model) for model in client(url).models.list()}


def get_model(url: str) -> None:
    found = client(url).models.retrieve(CHAT)
    assert (found.identifier, found.provider_id) == (CHAT, "chat")


def chat(url: str) -> None:
    answer = client(url).chat.completions.create(model=CHAT, messages=MESSAGES, **SHORT)
    assert (answer.model, bool(answer.choices[0].message.content)) == (CHAT, True)
    assert answer.choices[0].finish_reason in {"length", "stop"}


def streamed_chat(url: str) -> None:
    chunks = list(client(url).chat.completions.create(model=CHAT, messages=MESSAGES, stream=True, **SHORT))
    assert said(chunks)
    assert len(finishes(chunks)) == 1
    assert all(getattr(chunk, "usage", None) is None for chunk in chunks)


def streamed_usage_when_asked(url: str) -> None:
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}, **SHORT}
    chunks = list(client(url).chat.completions.create(model=CHAT, messages=MESSAGES, **asked))
    assert said(chunks)
    usage = chunks[-1].usage  # 0.2 does not know it, and hands on what the server sent
    assert (usage["completion_tokens"] if isinstance(usage, dict) else usage.completion_tokens) > 0


def completions(url: str) -> None:
    create = client(url).completions.create
    assert create(model=CHAT, prompt="Once upon a time", **SHORT).choices[0].text
    chunks = create(model=CHAT, prompt="Once upon a time", stream=True, **SHORT)
    assert "".join(chunk.choices[0].text for chunk in chunks)


def embeddings(url: str) -> None:
    answer = client(url).embeddings.create(model=EMBEDDING, input=["one", "two"])
    assert [len(row.embedding) for row in answer.data] == [DIMENSION, DIMENSION]


def unknown_model(url: str) -> None:
    from llama_stack_client import NotFoundError

    stack = client(url)
    for call in (
        lambda: stack.models.retrieve("team/nope"),
        lambda: stack.chat.completions.create(model="nope", messages=MESSAGES),
        lambda: stack.chat.completions.create(model="nope", messages=MESSAGES, stream=True),
        lambda: stack.completions.create(model="nope", prompt="Once"),
        lambda: stack.embeddings.create(model="nope", input="one"),
    ):
        assert "GET /v1/models" in str(refusal(NotFoundError, call))


def model_of_the_wrong_type(url: str) -> None:
    from llama_stack_client import BadRequestError

    create = client(url).chat.completions.create
    assert "embedding model" in str(refusal(BadRequestError, lambda: create(model=EMBEDDING, messages=MESSAGES)))


def health_and_version(url: str) -> None:
    assert client(url).inspect.health().status == "OK"
    assert client(url).inspect.version().version


def providers(url: str) -> None:
    assert {provider.provider_id for provider in client(url).providers.list()} == {"chat", "embed"}
    one = client(url).providers.retrieve("chat")
    assert (one.provider_type, one.health["status"]) == ("remote::vllm", "OK")


def unknown_provider(url: str) -> None:
    from llama_stack_client import NotFoundError

    assert "Known: chat, embed" in str(refusal(NotFoundError, lambda: client(url).providers.retrieve("nope")))


def routes(url: str) -> None:
    assert "/v1/models" in {row.route for row in client(url).routes.list()}


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
    unknown_provider,
    routes,
)

if __name__ == "__main__":
    run(SCENARIOS)
