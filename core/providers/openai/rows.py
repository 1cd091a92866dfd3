"""The remotes that speak OpenAI's HTTP API, a row each. Data alone: no model, no client is made by importing it.

Sources: the vendors' documentation and, for the names of fields and provider data, Llama Stack 0.2.12 and OGX 1.5.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from core.apis.embedding_options import NO_WORDS, Vocabulary
from core.apis.inference import ModelType
from core.platform.urls import without_query

BEARER: Final = {"authorization": "Bearer {key}"}
TOGETHER_TYPES: Final[Mapping[str, ModelType]] = {
    "chat": "llm",
    "language": "llm",
    "code": "llm",
    "embedding": "embedding",
    "rerank": "rerank",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """How a vendor lists its models: OpenAI's way, but for what is said here.

    `entries` is the key that holds them ("" for a bare list), `id` the key of an entry's name, which begins with a
    `prefix` that calls do without. Entries whose `type` is not among the `types`, if there are any, are left out.
    `headers` take the place of the row's own.
    """

    path: str = "/models"
    entries: str = "data"
    id: str = "id"
    prefix: str = ""
    types: Mapping[str, ModelType] = field(default_factory=dict[str, ModelType])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Rerank:
    """How a vendor reranks: Cohere's way, which is Jina's and vLLM's, but for what is said here.

    `documents` and `top_n` are its names of these fields, the latter "" where it always ranks all; `wraps` is whether texts are
    objects with a `text`. `results` are the keys under which an answer may have its results, `score` that of a result's score.
    """

    path: str = "/rerank"
    documents: str = "documents"
    top_n: str = "top_n"
    wraps: bool = False
    results: tuple[str, ...] = ("results", "data")  # the latter is Fireworks'
    score: str = "relevance_score"


@dataclass(frozen=True, slots=True)
class Batches:
    """How a vendor runs batches: OpenAI's way, but for what is said here.

    `endpoints` are those that a batch may be for; a file goes to the path `upload`, with these `fields`. `wraps` is the key under
    which a new batch is told, "" for none; `least_rows` of one.
    """

    endpoints: frozenset[str] = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})
    upload: str = "/files"
    fields: Mapping[str, str] = field(default_factory=lambda: {"purpose": "batch"})
    wraps: str = ""
    least_rows: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """`url` is the default, None where the config must give one; `root` is what is put behind a URL that lacks it.

    `urls` and `keys` are the names of the config's fields, the older one first. A key is `needed`, needed only at the
    vendor's own `url` (`hosted`), or `optional`; `data` names the provider data that bring a caller's. `unversioned`
    names a flag that, when false, takes the URL as it is; `only` a field that names the one model which is served.
    `bound` is the request's field for `max_tokens`; `version` where the server says its own, behind the URL. `refuses`
    are fields that the stack would add to a request, or has another name for: with `stream_options` among them the usage
    comes unasked. `embeddings` are its words for the native options of an embedding. `quota_header`
    bears the config's `project`, which goes with an `access_token`: a row with one has both fields. `rerank` and `batches` are None
    where it has none.
    """

    provider_type: str
    url: str | None = None
    root: str = "/v1"
    urls: tuple[str, ...] = ("url", "base_url")
    keys: tuple[str, ...] = ("api_key", "auth_credential")
    data: tuple[str, ...] = ()
    key: Literal["needed", "hosted", "optional"] = "needed"
    default_key: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: BEARER)
    listing: Listing = Listing()
    bound: str = "max_tokens"
    unversioned: str = ""
    only: str = ""
    version: str = ""
    refuses: frozenset[str] = frozenset()
    embeddings: Vocabulary = field(default_factory=lambda: NO_WORDS)
    quota_header: str = ""
    rerank: Rerank | None = None
    batches: Batches | None = None


TOKEN: Final = ("api_token", "auth_credential")
COMPAT: Final = ("openai_compat_api_base", "base_url")
FIREWORKS: Final = "https://api.fireworks.ai/inference/v1"
TOGETHER: Final = "https://api.together.xyz/v1"
GROQ: Final = "https://api.groq.com/openai/v1"
SAMBANOVA: Final = "https://api.sambanova.ai/v1"
CEREBRAS: Final = "https://api.cerebras.ai/v1"
TOGETHERS: Final = Listing(entries="", types=TOGETHER_TYPES)
CLAUDES: Final = Listing(
    "/models?limit=1000", headers={"x-api-key": "{key}", "anthropic-version": "2023-06-01"}
)  # the list is no part of its OpenAI layer: https://docs.anthropic.com/en/api/models-list
ENDPOINTS: Final = Listing(
    "/../api/2.0/serving-endpoints", "endpoints", "name"
)  # https://docs.databricks.com/api/workspace/servingendpoints/list
COHERES: Final = Rerank()
RANKING: Final = Rerank("/ranking", documents="passages", top_n="", wraps=True, results=("rankings",), score="logit")
"""NVIDIA's own: https://docs.nvidia.com/nim/nemo-retriever/text-reranking/latest/reference.html."""
OPENAIS: Final = Batches()
CHATS: Final = Batches(endpoints=frozenset({"/v1/chat/completions"}))  # https://console.groq.com/docs/batch
TOGETHER_BATCHES: Final = Batches(
    endpoints=CHATS.endpoints,
    upload="/files/upload",
    fields={"purpose": "batch-api", "file_name": "batch.jsonl"},
    wraps="job",
)  # https://docs.together.ai/reference/batch-create and upload-file
NIM: Final[Vocabulary] = {
    "text_truncation": ("truncate", {"none": "NONE", "start": "START", "end": "END"}),
    "task_type": ("input_type", {"query": "query", "document": "passage"}),
}  # https://docs.nvidia.com/nim/nemo-retriever/text-embedding/latest/reference.html

_ALL: Final = (
    Row(
        "remote::vllm",
        keys=TOKEN,
        data=("vllm_api_token",),
        key="optional",
        default_key="fake",
        version="/../version",
        rerank=COHERES,
    ),
    Row(
        "remote::ollama",
        "http://localhost:11434",
        keys=("auth_credential",),
        key="optional",
        version="/../api/version",
    ),
    Row("remote::llama-cpp-server", "http://localhost:8080", keys=("auth_credential",), key="optional", rerank=COHERES),
    Row("remote::tgi", keys=TOKEN, key="optional"),
    Row(
        "remote::hf::serverless",
        "https://router.huggingface.co/v1",
        keys=TOKEN,
        key="optional",
        only="huggingface_repo",
    ),
    Row(
        "remote::openai",
        "https://api.openai.com/v1",
        data=("openai_api_key",),
        bound="max_completion_tokens",
        batches=OPENAIS,
    ),
    Row("remote::anthropic", "https://api.anthropic.com/v1", data=("anthropic_api_key",), listing=CLAUDES),
    Row(
        "remote::gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        root="/v1beta/openai",
        keys=("api_key", "auth_credential", "access_token"),
        data=("gemini_api_key",),
        listing=Listing(prefix="models/"),
        quota_header="x-goog-user-project",  # https://ai.google.dev/gemini-api/docs/oauth
    ),
    Row("remote::fireworks", FIREWORKS, "/inference/v1", data=("fireworks_api_key",), rerank=COHERES),
    Row(
        "remote::together",
        TOGETHER,
        data=("together_api_key",),
        listing=TOGETHERS,
        rerank=COHERES,
        batches=TOGETHER_BATCHES,
    ),
    Row("remote::groq", GROQ, "/openai/v1", data=("groq_api_key",), batches=CHATS),
    Row("remote::cerebras", CEREBRAS, data=("cerebras_api_key",)),
    Row("remote::sambanova", SAMBANOVA, data=("sambanova_api_key",)),
    Row(
        "remote::deepseek",
        "https://api.deepseek.com/v1",
        data=("deepseek_api_key",),
        # It ignores it: https://github.com/deepseek-ai/DeepSeek-V3/issues/303.
        refuses=frozenset({"max_completion_tokens"}),
    ),
    Row(
        "remote::databricks",
        None,
        "/serving-endpoints",
        keys=TOKEN,
        data=("databricks_api_token",),
        listing=ENDPOINTS,
        refuses=frozenset({"stream_options", "max_completion_tokens"}),
    ),
    Row(
        "remote::nvidia",
        "https://integrate.api.nvidia.com/v1",
        data=("nvidia_api_key",),
        key="hosted",
        unversioned="append_api_version",
        embeddings=NIM,
        rerank=RANKING,
    ),
    Row("remote::runpod", None, "/openai/v1", keys=TOKEN, data=("runpod_api_token",)),
    Row(
        "remote::llama-openai-compat", "https://api.llama.com/compat/v1", "/compat/v1", COMPAT, data=("llama_api_key",)
    ),
    Row(
        "remote::fireworks-openai-compat",
        FIREWORKS,
        "/inference/v1",
        COMPAT,
        data=("fireworks_api_key",),
        rerank=COHERES,
    ),
    Row(
        "remote::together-openai-compat",
        TOGETHER,
        "/v1",
        COMPAT,
        data=("together_api_key",),
        listing=TOGETHERS,
        rerank=COHERES,
        batches=TOGETHER_BATCHES,
    ),
    Row("remote::groq-openai-compat", GROQ, "/openai/v1", COMPAT, data=("groq_api_key",), batches=CHATS),
    Row("remote::sambanova-openai-compat", SAMBANOVA, "/v1", COMPAT, data=("sambanova_api_key",)),
    Row("remote::cerebras-openai-compat", CEREBRAS, "/v1", COMPAT, data=("cerebras_api_key",)),
    Row(
        "remote::passthrough", data=("passthrough_api_key", "api_key"), key="optional", rerank=COHERES, batches=OPENAIS
    ),
    Row("remote::openai-compatible", key="optional", rerank=COHERES, batches=OPENAIS),
)
ROWS: Final = {row.provider_type: row for row in _ALL}


def api_root(url: str, root: str) -> str:
    """`url` with as much of `root` behind its path as it lacks; one that ends as `root` does is complete.

    >>> api_root("https://api.groq.com/openai/", "/openai/v1")
    'https://api.groq.com/openai/v1'
    >>> api_root("https://host/openai?api-version=1", "/v1")
    'https://host/openai/v1?api-version=1'
    """
    base, pieces = without_query(url), root.strip("/").split("/")
    url = url.partition("#")[0]
    query = url[url.index("?") :] if "?" in url else ""
    if base.endswith(f"/{pieces[-1]}"):
        return base + query
    count = next((n for n in range(len(pieces) - 1, 0, -1) if base.endswith("/" + "/".join(pieces[:n]))), 0)
    return "/".join([base, *pieces[count:]]) + query
