"""What only `llama-stack-client` 0.2.12 has: registration and the native inference routes."""

from typing import Any

from tests.clients.scripts.harness import CHAT, DIMENSION, EMBEDDING, run
from tests.clients.scripts.llama_stack import client

USER = [{"role": "user", "content": "Say hello."}]
SAMPLING: dict[str, Any] = {"strategy": {"type": "greedy"}, "max_tokens": 8}


def register_and_unregister(url: str) -> None:
    stack = client(url)
    wanted = {"model_id": "team/mine", "provider_id": "chat", "provider_model_id": CHAT.split("/", 1)[1]}
    assert stack.models.register(**wanted).identifier == "team/mine"
    assert stack.models.retrieve("team/mine").provider_resource_id == wanted["provider_model_id"]
    assert stack.models.unregister("team/mine") is None
    assert "team/mine" not in {model.identifier for model in stack.models.list()}


def native_chat(url: str) -> None:
    answer = client(url).inference.chat_completion(model_id=CHAT, messages=USER, sampling_params=SAMPLING)
    assert answer.completion_message.content
    assert answer.completion_message.stop_reason in {"end_of_turn", "out_of_tokens"}
    assert {metric.metric for metric in answer.metrics} >= {"prompt_tokens", "completion_tokens", "total_tokens"}


def native_streamed_chat(url: str) -> None:
    stream = client(url).inference.chat_completion(model_id=CHAT, messages=USER, sampling_params=SAMPLING, stream=True)
    events = [chunk.event for chunk in stream]
    assert [events[0].event_type, events[-1].event_type] == ["start", "complete"]
    assert {event.event_type for event in events[1:-1]} == {"progress"}
    assert "".join(event.delta.text for event in events)


def native_completion(url: str) -> None:
    inference = client(url).inference
    assert inference.completion(model_id=CHAT, content="Once", sampling_params=SAMPLING).content
    stream = inference.completion(model_id=CHAT, content="Once", sampling_params=SAMPLING, stream=True)
    assert "".join(chunk.delta for chunk in stream)


def native_embeddings(url: str) -> None:
    answer = client(url).inference.embeddings(model_id=EMBEDDING, contents=["one", "two"])
    assert [len(row) for row in answer.embeddings] == [DIMENSION, DIMENSION]


def native_batches(url: str) -> None:
    inference = client(url).inference
    chats = inference.batch_chat_completion(model_id=CHAT, messages_batch=[USER, USER], sampling_params=SAMPLING)
    assert [bool(answer.completion_message.content) for answer in chats.batch] == [True, True]
    texts = inference.batch_completion(model_id=CHAT, content_batch=["One", "Two"], sampling_params=SAMPLING)
    assert [bool(answer.content) for answer in texts.batch] == [True, True]


SCENARIOS = (
    register_and_unregister,
    native_chat,
    native_streamed_chat,
    native_completion,
    native_embeddings,
    native_batches,
)

if __name__ == "__main__":
    run(SCENARIOS)
