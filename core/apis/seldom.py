"""The operations that few call: their types are imported for the first of them, and not at every cold start."""

from typing import Any, Final

from core.frame.operations import Operation


def _native() -> Any:  # noqa: ANN401 - a module
    from core.apis import native

    return native


def _configurations() -> Any:  # noqa: ANN401 - a module
    from core.apis import configurations

    return configurations


NATIVE: Final = (
    Operation(
        "POST",
        ("/v1/inference/chat-completion",),
        "native_chat_completion",
        "Answer a conversation (0.2).",
        request=lambda: _native().NativeChatRequest,
        stream="native_stream_chat_completion",
        tokens=lambda request: _native().most_tokens(request),
        idempotent=True,
    ),
    Operation(
        "POST",
        ("/v1/inference/completion",),
        "native_completion",
        "Continue a content (0.2).",
        request=lambda: _native().NativeCompletionRequest,
        stream="native_stream_completion",
        tokens=lambda request: _native().most_tokens(request),
        idempotent=True,
    ),
    Operation(
        "POST",
        ("/v1/inference/embeddings",),
        "native_embeddings",
        "Embed contents (0.2).",
        request=lambda: _native().NativeEmbeddingsRequest,
        tokens=lambda _: 0,
        idempotent=True,
    ),
    Operation(
        "POST",
        ("/v1/inference/batch-chat-completion",),
        "native_batch_chat_completion",
        "Answer several conversations (0.2).",
        request=lambda: _native().NativeChatBatchRequest,
        tokens=lambda request: _native().most_tokens(request),
        idempotent=True,
    ),
    Operation(
        "POST",
        ("/v1/inference/batch-completion",),
        "native_batch_completion",
        "Continue several contents (0.2).",
        request=lambda: _native().NativeCompletionBatchRequest,
        tokens=lambda request: _native().most_tokens(request),
        idempotent=True,
    ),
)

_ONE: Final = ("/v1/configurations/{configuration_id}",)
CONFIGURATIONS: Final = (
    Operation(
        "GET",
        ("/v1/inspect/configurations",),
        "inspect",
        "What is in force, as far as users may set it.",
        counted=False,
    ),
    Operation(
        "POST",
        ("/v1/configurations", "/v1/configurations/register"),
        "register",
        "Register a configuration over the running one.",
        request=lambda: _configurations().RegisterConfiguration,
    ),
    Operation(
        "GET", ("/v1/configurations",), "index", "List the registered configurations.", query=("before", "limit")
    ),
    Operation("GET", _ONE, "get", "Show one registered configuration."),
    Operation("DELETE", _ONE, "unregister", "Unregister a configuration."),
    Operation(
        "POST",
        ("/v1/providers",),
        "register_provider",
        "Register a provider.",
        request=lambda: _configurations().RegisterProvider,
    ),
    Operation("DELETE", ("/v1/providers/{provider_id}",), "unregister_provider", "Unregister a provider."),
)
