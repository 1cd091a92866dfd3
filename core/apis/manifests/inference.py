"""Inference: OpenAI's chat completions, completions and embeddings, those of Llama Stack 0.2, reranking, and the models."""

from typing import Final

from core.frame.api import Api, Deployment, Eraser, Surface
from core.frame.operations import Operation, openai_paths
from core.frame.resources import Kind

MODEL: Final = Kind(
    name="model",
    api="inference",
    path="/v1/models",
    section="models",
    id_field="model_id",
    provider_id_field="provider_model_id",
    body="core.apis.models:RegisterModel",
    fields={"metadata": {}, "model_type": "llm"},
    listing="list_models",
    present="core.apis.models:present_model",
    response="core.apis.answers.inference:Model",
    aliases=("/v1/openai/v1/models",),
    alternates="core.routing.targets:alternates",
    alike=("model_type",),
    beside="core.apis.models:missing_guards",
    granted=("price",),
)

ONE_CHAT: Final = openai_paths("/chat/completions/{completion_id}")
CHAT_ANSWERS: Final = "core.apis.answers.chats"
CHATS: Final = (
    Operation(
        "POST",
        openai_paths("/chat/completions"),
        "chat_completion",
        "Answer a conversation.",
        response="core.apis.answers.inference:ChatCompletion",
        request="core.apis.inference:ChatRequest",
        stream="stream_chat_completion",
        event="core.apis.answers.inference:ChatCompletionChunk",
        tokens="core.apis.inference:most_tokens",
        model="model",
        idempotent=True,
    ),
    Operation(
        "GET",
        openai_paths("/chat/completions"),
        "index",
        "List your stored chat completions.",
        query="core.apis.chats:ChatsQuery",
        response=f"{CHAT_ANSWERS}:ChatList",
    ),
    Operation("GET", ONE_CHAT, "get", "Show a stored chat completion.", response=f"{CHAT_ANSWERS}:StoredChat"),
    Operation(
        "POST",
        ONE_CHAT,
        "update",
        "Change the metadata of a stored chat completion.",
        request="core.apis.chats:ChangedChat",
        response=f"{CHAT_ANSWERS}:StoredChat",
    ),
    Operation("DELETE", ONE_CHAT, "delete", "Delete a stored chat completion.", response=f"{CHAT_ANSWERS}:ChatDeleted"),
    Operation(
        "GET",
        openai_paths("/chat/completions/{completion_id}/messages"),
        "messages",
        "List the messages of a stored chat completion.",
        query="core.apis.chats:ChatMessagesQuery",
        response=f"{CHAT_ANSWERS}:ChatMessageList",
    ),
)

OPENAI: Final = (
    Operation(
        "POST",
        openai_paths("/completions"),
        "completion",
        "Continue a prompt.",
        response="core.apis.answers.inference:Completion",
        request="core.apis.inference:CompletionRequest",
        stream="stream_completion",
        event="core.apis.answers.inference:Completion",
        tokens="core.apis.inference:most_tokens",
        model="model",
        parts="core.apis.inference:count_prompts",
        idempotent=True,
    ),
    Operation(
        "POST",
        openai_paths("/embeddings"),
        "embeddings",
        "Embed texts.",
        response="core.apis.answers.inference:EmbeddingList",
        request="core.apis.inference:EmbeddingsRequest",
        tokens="core.apis.inference:no_bound",
        model="model",
        parts="core.apis.inference:count_inputs",
        idempotent=True,
    ),
)

NATIVE: Final = (
    Operation(
        "POST",
        ("/v1/inference/chat-completion",),
        "native_chat_completion",
        "Answer a conversation (0.2).",
        response="core.apis.answers.native:NativeChatCompletion",
        request="core.apis.native:NativeChatRequest",
        stream="native_stream_chat_completion",
        event="core.apis.answers.native:NativeChatChunk",
        tokens="core.apis.native:most_tokens",
        model="model_id",
        idempotent=True,
    ),
    Operation(
        "POST",
        ("/v1/inference/completion",),
        "native_completion",
        "Continue a content (0.2).",
        response="core.apis.answers.native:NativeCompletion",
        request="core.apis.native:NativeCompletionRequest",
        stream="native_stream_completion",
        event="core.apis.answers.native:NativeCompletionChunk",
        tokens="core.apis.native:most_tokens",
        model="model_id",
        idempotent=True,
    ),
    Operation(
        "POST",
        ("/v1/inference/embeddings",),
        "native_embeddings",
        "Embed contents (0.2).",
        response="core.apis.answers.native:NativeEmbeddings",
        request="core.apis.native:NativeEmbeddingsRequest",
        tokens="core.apis.inference:no_bound",
        model="model_id",
        parts="core.apis.native:count_contents",
        idempotent=True,
    ),
    Operation(
        "POST",
        ("/v1/inference/batch-chat-completion",),
        "native_batch_chat_completion",
        "Answer several conversations (0.2).",
        response="core.apis.answers.native:NativeChatBatch",
        request="core.apis.native:NativeChatBatchRequest",
        tokens="core.apis.native:most_tokens",
        model="model_id",
        parts="core.apis.native:count_batch",
        idempotent=True,
    ),
    Operation(
        "POST",
        ("/v1/inference/batch-completion",),
        "native_batch_completion",
        "Continue several contents (0.2).",
        response="core.apis.answers.native:NativeCompletionBatch",
        request="core.apis.native:NativeCompletionBatchRequest",
        tokens="core.apis.native:most_tokens",
        model="model_id",
        parts="core.apis.native:count_batch",
        idempotent=True,
    ),
)

RERANK: Final = (
    Operation(
        "POST",
        ("/v1/rerank", "/v2/rerank"),
        "rerank",
        "Rank documents (Cohere's, Jina's).",
        response="core.apis.answers.rerank:Ranking",
        request="core.apis.rerank:RerankRequest",
        tokens="core.apis.inference:no_bound",
        model="model",
        parts="core.apis.rerank:count_searches",
        idempotent=True,
    ),
    Operation(
        "POST",
        ("/v1alpha/inference/rerank",),
        "native_rerank",
        "Rank items (0.7, OGX).",
        response="core.apis.answers.rerank:NativeRanking",
        request="core.apis.rerank:NativeRerankRequest",
        tokens="core.apis.inference:no_bound",
        model="model",
        parts="core.apis.rerank:count_native_searches",
        idempotent=True,
    ),
)

KEPT: Final = ("chat_completion",)

API: Final = Api(
    "inference",
    surfaces=(
        Surface("chats", "core.apis.chats:Chats", CHATS),
        Surface("inference", "core.apis.inference:Inference", OPENAI),
        Surface("native_inference", "core.apis.native:NativeInference", NATIVE),
        Surface("rerank", "core.apis.rerank:Reranking", RERANK),
    ),
    assemble="core.services.inference.assemble:assemble",
    kinds=(MODEL,),
    provider="core.apis.inference:InferenceProvider",
    depends=("safety",),  # models are guarded by shields
    optional_stores=("documents", "blobs"),  # of chats that are kept
    collections=KEPT,
    eraser=Eraser("core.services.inference.chats.erasing:erase", KEPT),
    deployment=Deployment(rights=("State", "CallModels", "CallModelsBehindProfiles", "Rerank", "ApplyGuardrails")),
)
