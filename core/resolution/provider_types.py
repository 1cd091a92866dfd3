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
    is in the place of `Config`. One that `guards` asks models to judge for a shield: as the stack itself, since a caller who
    may use a model need not see what guards it.
    """

    api: str
    provider_type: str
    module: str
    api_dependencies: tuple[str, ...] = ()
    optional_api_dependencies: tuple[str, ...] = ()
    config_class: str | None = None
    factory: str | None = None
    row: bool = False
    guards: bool = False
    origin: str = ""
    pip_packages: tuple[str, ...] = ()
    provider_data_validator: str | None = None
    container_image: str | None = None


BUILT_IN: Final = (
    ProviderSpec("inference", "remote::bedrock", "core.providers.bedrock.inference"),
    ProviderSpec(
        "safety",
        "inline::llama-guard",
        "core.providers.llama_guard.safety",
        api_dependencies=("inference",),
        guards=True,
    ),
    ProviderSpec("safety", "remote::bedrock", "core.providers.bedrock.safety"),
    ProviderSpec("safety", "remote::nvidia", "core.providers.nvidia.safety"),
    ProviderSpec("safety", "remote::sambanova", "core.providers.sambanova.safety"),
)

OPENAI: Final = tuple(
    ProviderSpec("inference", provider_type, "core.providers.openai.inference", row=True) for provider_type in ROWS
)

# Provider types of the reference that run models or indexes in the process itself, or are found only by asking a
# vendor's control plane, and the remote to use.
INSTEAD: Final = {
    ("inference", "inline::meta-reference"): "remote::vllm",
    ("inference", "inline::vllm"): "remote::vllm",
    ("inference", "inline::sentence-transformers"): "remote::vllm with `model_type: embedding`",
    ("inference", "remote::hf::endpoint"): "remote::tgi with the endpoint's URL and `api_token`",
    (
        "inference",
        "remote::watsonx",
    ): "`remote::openai-compatible` with the URL of a gateway that speaks OpenAI's API for it",
    ("safety", "inline::prompt-guard"): "inline::llama-guard over a model that is served elsewhere",
    ("safety", "inline::code-scanner"): "inline::llama-guard over a model that is served elsewhere",
    ("vector_io", "inline::meta-reference"): "remote::pgvector",
    ("vector_io", "inline::faiss"): "remote::pgvector",
    ("vector_io", "inline::sqlite-vec"): "remote::pgvector",
    ("vector_io", "inline::sqlite_vec"): "remote::pgvector",
    ("vector_io", "inline::chromadb"): "remote::chromadb",
    ("vector_io", "inline::qdrant"): "remote::qdrant",
    ("vector_io", "inline::milvus"): "remote::milvus",
    ("post_training", "inline::torchtune"): "a remote training service",
    ("post_training", "inline::huggingface"): "a remote training service",
}

type Specs = dict[tuple[str, str], ProviderSpec]


def built_in() -> Specs:
    return {(spec.api, spec.provider_type): spec for spec in (*BUILT_IN, *OPENAI)}
