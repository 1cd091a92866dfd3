"""`ogx-client` 1.5.0."""

from collections.abc import Callable
from typing import Any

from tests.clients.scripts.harness import ALIAS, CHAT, DIMENSION, EMBEDDING, MESSAGES, run


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
    answer = client(url).chat_completions.create(model=CHAT, messages=MESSAGES, max_tokens=8)
    assert (answer.model, bool(answer.choices[0].message.content)) == (CHAT, True)


def streamed_chat(url: str) -> None:
    chunks = list(client(url).chat_completions.create(model=CHAT, messages=MESSAGES, max_tokens=8, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def completions(url: str) -> None:
    assert client(url).completions.create(model=CHAT, prompt="Once", max_tokens=8).choices[0].text


def embeddings(url: str) -> None:
    answer = client(url).embeddings.create(model=EMBEDDING, input="one")
    assert answer.model == EMBEDDING
    assert len(answer.to_dict()["data"][0]["embedding"]) == DIMENSION


def unknown_model(url: str) -> None:
    from ogx_client.exceptions import NotFoundException

    calls: tuple[Callable[[], Any], ...] = (
        lambda: client(url).models.retrieve("nope"),
        lambda: client(url).chat_completions.create(model="nope", messages=MESSAGES),
    )
    for call in calls:
        try:
            call()
        except NotFoundException as missing:
            assert "GET /v1/models" in str(missing)  # noqa: PT017 - the client's environment has no pytest
        else:
            raise AssertionError


def health_and_version(url: str) -> None:
    assert client(url).inspect.health().status.value == "OK"
    assert client(url).inspect.version().version
    assert client(url).admin.health().status.value == "OK"


def providers(url: str) -> None:
    assert {provider.provider_id for provider in client(url).providers.list()} == {"chat", "embed"}
    assert client(url).providers.retrieve("chat").provider_type == "remote::vllm"
    assert len(client(url).admin.list_providers()) == len({"chat", "embed"})


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
