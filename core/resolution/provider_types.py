"""The table of provider types, and what to use instead of those that cannot run here."""

from dataclasses import dataclass
from typing import Final

from core.providers.openai.rows import ROWS


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider type of one API: its module has `Config` and `connect(provider_id, config, deps)`.

    An external one has `config_class` (a dotted path) and `factory`, the async function of its
    module that makes it: `get_adapter_impl` (remote) or `get_provider_impl` (inline); `origin` says where it is from,
    a spec file or the `module` of an entry. Of a `row`, the module serves many types: its `config_of(provider_type)`
    is in the place of `Config`. A `config_module` has them alone, for a start that makes no provider yet. One that `guards` asks models to judge for a shield: as the stack itself, since a caller who
    may use a model need not see what guards it. `notice` says what serves it, where its name says otherwise, and `on_lambda`
    what to use on Lambda, where it cannot be. `surfaces` are those that it gets of the APIs it depends on, beside the ones
    that have the APIs' names; one with such asks other APIs only when it is called, and not for its health.
    """

    api: str
    provider_type: str
    module: str
    api_dependencies: tuple[str, ...] = ()
    optional_api_dependencies: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    config_module: str = ""
    config_class: str | None = None
    factory: str | None = None
    row: bool = False
    guards: bool = False
    origin: str = ""
    pip_packages: tuple[str, ...] = ()
    provider_data_validator: str | None = None
    container_image: str | None = None
    notice: str = ""
    on_lambda: str = ""

    @property
    def idle_dependencies(self) -> tuple[str, ...]:
        """The APIs that it may ask even where it is only looked at, as an overview looks."""
        return () if self.surfaces else (*self.api_dependencies, *self.optional_api_dependencies)


EMBEDDED: Final = "is served by the embedded vector store, as `inline::sqlite`: exact search in one SQLite file"
VECTORS_ON_AWS: Final = "remote::s3-vectors"
SEARCH_ENGINES: Final = (
    "brave-search",
    "tavily-search",
    "bing-search",
    "exa-search",
    "serply-search",
    "nimble-search",
    "wolfram-alpha",
)
"""The rows of `core.providers.web_search.rows`, which only a stack with one of them imports."""
CLOSED: Final = "asks an API that Microsoft closed on 11 August 2025: searches fail; use `remote::brave-search` or another search engine"

BUILT_IN: Final = (
    ProviderSpec("batches", "inline::reference", "core.providers.batches.reference"),
    ProviderSpec("datasetio", "inline::localfs", "core.providers.datasets.localfs"),
    ProviderSpec("datasetio", "remote::huggingface", "core.providers.huggingface.datasets"),
    ProviderSpec("datasetio", "remote::nvidia", "core.providers.nvidia.datasets"),
    ProviderSpec("datasetio", "remote::s3", "core.providers.datasets.s3"),
    *(
        ProviderSpec(
            "eval",
            f"inline::{name}",
            "core.providers.evals.builtin",
            api_dependencies=("datasetio", "scoring"),
            surfaces=("dataset_rows", "row_scoring"),
        )
        for name in ("meta-reference", "builtin")
    ),
    ProviderSpec(
        "eval",
        "remote::bedrock",
        "core.providers.bedrock.evaluations",
        optional_api_dependencies=("datasetio",),
        surfaces=("dataset_rows",),
        config_module="core.providers.bedrock.evaluation_config",
    ),
    ProviderSpec("eval", "remote::nvidia", "core.providers.nvidia.evaluator"),
    ProviderSpec("files", "inline::localfs", "core.providers.files.localfs"),
    ProviderSpec("files", "remote::s3", "core.providers.files.s3"),
    ProviderSpec("inference", "remote::bedrock", "core.providers.bedrock.inference"),
    *(
        ProviderSpec(
            "responses",
            f"inline::{name}",
            "core.providers.responses.builtin",
            api_dependencies=("inference",),
            surfaces=("inference",),
        )
        for name in ("builtin", "meta-reference")
    ),
    ProviderSpec(
        "safety",
        "inline::llama-guard",
        "core.providers.llama_guard.safety",
        api_dependencies=("inference",),
        guards=True,
    ),
    ProviderSpec(
        "safety",
        "remote::bedrock",
        "core.providers.bedrock.safety",
        config_module="core.providers.bedrock.guardrail_config",
    ),
    ProviderSpec("safety", "remote::nvidia", "core.providers.nvidia.safety"),
    ProviderSpec("safety", "remote::sambanova", "core.providers.sambanova.safety"),
    ProviderSpec("scoring", "inline::basic", "core.providers.scoring_basic.basic"),
    *(
        ProviderSpec("scoring", f"inline::{name}", module, api_dependencies=("inference",), surfaces=("inference",))
        for name, module in (
            ("llm-as-judge", "core.providers.llm_judge.scoring"),
            ("braintrust", "core.providers.braintrust.scoring"),
        )
    ),
    ProviderSpec(
        "tool_runtime",
        "remote::lambda",
        "core.providers.aws_lambda.tool_runtime",
        config_module="core.providers.aws_lambda.config",
    ),
    *(
        ProviderSpec(
            "tool_runtime",
            f"inline::{name}",
            module,
            api_dependencies=("vector_io",),
            optional_api_dependencies=("inference", "safety"),
            surfaces=("retrieval",),
        )
        for name, module in (
            ("rag-runtime", "core.providers.retrieval.rag_runtime"),
            ("file-search", "core.providers.retrieval.file_search"),
        )
    ),
    ProviderSpec(
        "tool_runtime",
        "remote::model-context-protocol",
        "core.providers.mcp.tool_runtime",
        config_module="core.providers.mcp.config",
    ),
    *(
        ProviderSpec(
            "vector_io",
            f"inline::{name}",
            "core.providers.vector_sqlite.vector_io",
            notice="" if name == "sqlite" else EMBEDDED,
            on_lambda=VECTORS_ON_AWS,
        )
        for name in ("sqlite", "sqlite-vec", "sqlite_vec", "faiss", "meta-reference")
    ),
    ProviderSpec(
        "vector_io",
        "remote::pgvector",
        "core.providers.pgvector.vector_io",
        config_module="core.providers.pgvector.config",
    ),
    ProviderSpec(
        "vector_io",
        "remote::s3-vectors",
        "core.providers.s3_vectors.vector_io",
        config_module="core.providers.s3_vectors.config",
    ),
    ProviderSpec(
        "vector_io", "remote::chromadb", "core.providers.chroma.vector_io", config_module="core.providers.chroma.config"
    ),
    ProviderSpec(
        "vector_io", "remote::qdrant", "core.providers.qdrant.vector_io", config_module="core.providers.qdrant.config"
    ),
    ProviderSpec("vector_io", "remote::bedrock-knowledge-base", "core.providers.knowledge_bases.vector_io"),
    *(
        ProviderSpec(
            "tool_runtime",
            f"remote::{name}",
            "core.providers.web_search.tool_runtime",
            config_module="core.providers.web_search.config",
            row=True,
            notice=CLOSED if name == "bing-search" else "",
        )
        for name in SEARCH_ENGINES
    ),
    ProviderSpec("webhooks", "inline::builtin", "core.providers.webhooks.builtin"),
)

OPENAI: Final = tuple(
    ProviderSpec("inference", provider_type, "core.providers.openai.inference", row=True) for provider_type in ROWS
)

VECTORS: Final = f"inline::sqlite on a laptop, {VECTORS_ON_AWS} on AWS"
OTHER_VECTORS: Final = (
    f"{VECTORS}, remote::pgvector, remote::chromadb or remote::qdrant with a server of yours, or a package of your own, which `llambda providers new NAME "
    "--api vector_io` begins"
)
EMBEDDINGS: Final = (
    "remote::vllm with `model_type: embedding` and the URL of a server for embeddings; in a checkout "
    "`python -m infra.local.model_server --port 8401 --embedding` starts a small one on this machine"
)

# Provider types of the reference that run models or indexes in the process itself, or are found only by asking a
# vendor's control plane, and the remote to use.
INSTEAD: Final = {
    ("inference", "inline::meta-reference"): "remote::vllm",
    ("inference", "inline::vllm"): "remote::vllm",
    ("inference", "inline::sentence-transformers"): EMBEDDINGS,
    ("inference", "remote::hf::endpoint"): "remote::tgi with the endpoint's URL and `api_token`",
    (
        "inference",
        "remote::watsonx",
    ): "`remote::openai-compatible` with the URL of a gateway that speaks OpenAI's API for it",
    ("safety", "inline::prompt-guard"): "inline::llama-guard over a model that is served elsewhere",
    ("safety", "inline::code-scanner"): "inline::llama-guard over a model that is served elsewhere",
    ("vector_io", "inline::chromadb"): f"{VECTORS}, or remote::chromadb with the URL of a server",
    ("vector_io", "inline::qdrant"): f"{VECTORS}, or remote::qdrant with the URL of a server",
    ("vector_io", "inline::milvus"): VECTORS,
    **{
        ("vector_io", f"remote::{name}"): OTHER_VECTORS
        for name in ("weaviate", "milvus", "elasticsearch", "infinispan", "neo4j", "oci")
    },
}

type Specs = dict[tuple[str, str], ProviderSpec]


def built_in() -> Specs:
    return {(spec.api, spec.provider_type): spec for spec in (*BUILT_IN, *OPENAI)}
