"""What `llama-stack-client` 0.2.12 and 0.7.5 have in common."""

from collections.abc import Callable
from typing import Any

from tests.clients.scripts.harness import ALIAS, CHAT, DIMENSION, EMBEDDING, MESSAGES, run


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
    answer = client(url).chat.completions.create(model=CHAT, messages=MESSAGES, max_tokens=8)
    assert (answer.model, bool(answer.choices[0].message.content)) == (CHAT, True)


def streamed_chat(url: str) -> None:
    chunks = list(client(url).chat.completions.create(model=CHAT, messages=MESSAGES, max_tokens=8, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason in {"length", "stop"}


def completions(url: str) -> None:
    assert client(url).completions.create(model=CHAT, prompt="Once", max_tokens=8).choices[0].text


def embeddings(url: str) -> None:
    answer = client(url).embeddings.create(model=EMBEDDING, input="one")
    assert len(answer.data[0].embedding) == DIMENSION


def unknown_model(url: str) -> None:
    import llama_stack_client

    calls: tuple[Callable[[], Any], ...] = (
        lambda: client(url).models.retrieve("nope"),
        lambda: client(url).chat.completions.create(model="nope", messages=MESSAGES),
    )
    for call in calls:
        try:
            call()
        except llama_stack_client.NotFoundError as missing:
            assert "GET /v1/models" in str(missing)  # noqa: PT017 - the client's environment has no pytest
        else:
            raise AssertionError


def health_and_version(url: str) -> None:
    assert client(url).inspect.health().status == "OK"
    assert client(url).inspect.version().version


def providers(url: str) -> None:
    assert {provider.provider_id for provider in client(url).providers.list()} == {"chat", "embed"}
    one = client(url).providers.retrieve("chat")
    assert (one.provider_type, one.health["status"]) == ("remote::vllm", "OK")


def routes(url: str) -> None:
    assert "/v1/models" in {row.route for row in client(url).routes.list()}


SCENARIOS = (
    list_models,
    get_model,
    chat,
    streamed_chat,
    completions,
    embeddings,
    unknown_model,
    health_and_version,
    providers,
    routes,
)

if __name__ == "__main__":
    run(SCENARIOS)
