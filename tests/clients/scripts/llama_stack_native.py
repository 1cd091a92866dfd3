"""What only `llama-stack-client` 0.2.12 has: registration and the native inference routes."""

from typing import Any

from tests.clients.scripts.harness import CHAT, DIMENSION, EMBEDDING, refusal, run
from tests.clients.scripts.llama_stack import client

USER = [{"role": "user", "content": "Say hello."}]
SAMPLING: dict[str, Any] = {"strategy": {"type": "greedy"}, "max_tokens": 8}
SERVED = CHAT.split("/", 1)[1]


def register_and_unregister(url: str) -> None:
    stack = client(url)
    wanted = {"model_id": "team/mine", "provider_id": "chat", "provider_model_id": SERVED}
    assert stack.models.register(**wanted).identifier == "team/mine"
    assert stack.models.register(**wanted).identifier == "team/mine"  # the same again is no conflict
    assert stack.models.retrieve("team/mine").provider_resource_id == SERVED
    assert stack.models.unregister("team/mine") is None
    assert "team/mine" not in {model.identifier for model in stack.models.list()}


def registered_embedding_model(url: str) -> None:
    stack = client(url)
    name = stack.models.retrieve(EMBEDDING).provider_resource_id
    stack.models.register(
        model_id="vectors",
        provider_id="embed",
        provider_model_id=name,
        model_type="embedding",
        metadata={"embedding_dimension": DIMENSION},
    )
    assert len(stack.embeddings.create(model="vectors", input="one").data[0].embedding) == DIMENSION
    stack.models.unregister("vectors")


def refused_registrations(url: str) -> None:
    from llama_stack_client import BadRequestError, ConflictError, NotFoundError

    models = client(url).models
    unserved = refusal(
        BadRequestError, lambda: models.register(model_id="m", provider_id="chat", provider_model_id="x")
    )
    assert SERVED in str(unserved)
    assert "chat, embed" in str(refusal(BadRequestError, lambda: models.register(model_id="m")))
    models.register(model_id="taken", provider_id="chat", provider_model_id=SERVED)
    other = {"model_id": "taken", "provider_id": "chat", "provider_model_id": SERVED, "metadata": {"a": 1}}
    assert "taken" in str(refusal(ConflictError, lambda: models.register(**other)))
    models.unregister("taken")
    refusal(NotFoundError, lambda: models.unregister("taken"))


def native_chat(url: str) -> None:
    answer = client(url).inference.chat_completion(model_id=CHAT, messages=USER, sampling_params=SAMPLING)
    assert answer.completion_message.content
    assert answer.completion_message.stop_reason in {"end_of_turn", "out_of_tokens"}
    assert {metric.metric for metric in answer.metrics} >= {"prompt_tokens", "completion_tokens", "total_tokens"}


def native_conversation(url: str) -> None:
    """Every role, content in parts, a shape for the answer and log probabilities."""
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}
    answer = client(url).inference.chat_completion(
        model_id=CHAT,
        messages=[
            {"role": "system", "content": "You know the world."},
            {"role": "user", "content": [{"type": "text", "text": "Hello."}]},
            {"role": "assistant", "content": "Hello!", "stop_reason": "end_of_turn"},
            {"role": "user", "content": "Where is the Louvre?"},
        ],
        response_format={"type": "json_schema", "json_schema": schema},
        sampling_params=SAMPLING | {"max_tokens": 100},
        logprobs={"top_k": 1},
    )
    assert "Paris" in answer.completion_message.content
    assert answer.logprobs


def native_streamed_chat(url: str) -> None:
    stream = client(url).inference.chat_completion(model_id=CHAT, messages=USER, sampling_params=SAMPLING, stream=True)
    events = [chunk.event for chunk in stream]
    assert [events[0].event_type, events[-1].event_type] == ["start", "complete"]
    assert {event.event_type for event in events[1:-1]} == {"progress"}
    assert "".join(event.delta.text for event in events)
    assert events[-1].stop_reason in {"end_of_turn", "out_of_tokens"}


def native_completion(url: str) -> None:
    inference = client(url).inference
    assert inference.completion(model_id=CHAT, content="Once upon a time", sampling_params=SAMPLING).content
    stream = inference.completion(model_id=CHAT, content="Once upon a time", sampling_params=SAMPLING, stream=True)
    assert "".join(chunk.delta for chunk in stream)


def native_embeddings(url: str) -> None:
    answer = client(url).inference.embeddings(model_id=EMBEDDING, contents=["one", "two"])
    assert [len(row) for row in answer.embeddings] == [DIMENSION, DIMENSION]


def native_batches(url: str) -> None:
    inference = client(url).inference
    chats = inference.batch_chat_completion(model_id=CHAT, messages_batch=[USER, USER], sampling_params=SAMPLING)
    assert [bool(answer.completion_message.content) for answer in chats.batch] == [True, True]
    prompts = ["Once upon a time", "The sea is"]
    texts = inference.batch_completion(model_id=CHAT, content_batch=prompts, sampling_params=SAMPLING)
    assert [bool(answer.content) for answer in texts.batch] == [True, True]


def native_unknown_model(url: str) -> None:
    from llama_stack_client import NotFoundError

    inference = client(url).inference
    for call in (
        lambda: inference.chat_completion(model_id="nope", messages=USER),
        lambda: inference.chat_completion(model_id="nope", messages=USER, stream=True),
        lambda: inference.completion(model_id="nope", content="Once"),
        lambda: inference.embeddings(model_id="nope", contents=["one"]),
        lambda: inference.batch_chat_completion(model_id="nope", messages_batch=[USER]),
    ):
        assert "GET /v1/models" in str(refusal(NotFoundError, call))


SCENARIOS = (
    register_and_unregister,
    registered_embedding_model,
    refused_registrations,
    native_chat,
    native_conversation,
    native_streamed_chat,
    native_completion,
    native_embeddings,
    native_batches,
    native_unknown_model,
)

if __name__ == "__main__":
    run(SCENARIOS)
