"""Run configs as the reference shipped them over its generations: the same keys, written for these tests.

Sources: Llama Stack 2024-07 to 0.7 (distributions, templates) and OGX 1.5, for the names of keys and types alone.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

type Document = dict[str, Any]

HOME: Final = "${env.SQLITE_STORE_DIR:=~/.llama/distributions/x}"


def entry(kind: str, config: Document | None = None, name: str = "") -> Document:
    return {"provider_id": name or kind.rpartition("::")[2], "provider_type": kind, "config": config or {}}


def off(variable: str, provider: Document, switch: str = ":+") -> Document:
    return {**provider, "provider_id": f"${{env.{variable}{switch}{provider['provider_id']}}}"}


def default(generation: str, name: str, value: str = "") -> str:
    """A variable with its default, in the syntax of the generation."""
    return f"${{env.{name}{':' if generation < '0.2.13' else ':='}{value}}}"


def inference(generation: str, distribution: str) -> list[Document]:
    """The providers of inference that a distribution had."""
    url = "base_url" if generation >= "0.4" else "url"
    get = partial(default, generation)
    vllm: Document = {
        url: get("VLLM_URL"),
        "max_tokens": get("VLLM_MAX_TOKENS", "4096"),
        "api_token": get("VLLM_API_TOKEN", "fake"),
    }
    vllm |= (
        {"network": {"tls": {"verify": get("VLLM_TLS_VERIFY", "true")}}}
        if generation >= "0.7"
        else {"tls_verify": get("VLLM_TLS_VERIFY", "true")}
    )
    bedrock: Document = {}
    if generation == "0.0":
        keys = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "region_name")
        bedrock = {key: f"<{key.upper()}>" for key in keys}
    elif generation in ("0.4", "0.7"):
        bedrock = {
            "api_key": get("AWS_BEARER_TOKEN_BEDROCK"),
            "region_name": get("AWS_DEFAULT_REGION", "us-east-2"),
        }
    elif generation >= "1.0":
        bedrock = {
            "aws_bedrock_bearer_token": get("AWS_BEDROCK_BEARER_TOKEN"),
            "region_name": get("AWS_DEFAULT_REGION", "us-east-2"),
            "aws_role_arn": get("AWS_ROLE_ARN"),
            "aws_web_identity_token_file": get("AWS_WEB_IDENTITY_TOKEN_FILE"),
        }
    gemini = {"api_key": get("GEMINI_API_KEY")}
    gemini |= (
        {"access_token": get("GEMINI_ACCESS_TOKEN"), "project": get("GEMINI_AI_PROJECT")} if generation >= "1" else {}
    )
    watsonx = {
        url: get("WATSONX_BASE_URL", "https://us-south.ml.cloud.ibm.com"),
        "api_key": get("WATSONX_API_KEY"),
        "project_id": get("WATSONX_PROJECT_ID"),
    }
    nvidia: Document = {
        url: get("NVIDIA_BASE_URL", "https://integrate.api.nvidia.com"),
        "api_key": get("NVIDIA_API_KEY"),
    }
    nvidia |= {"append_api_version": get("NVIDIA_APPEND_API_VERSION", "True")} if "0.2" <= generation < "0.4" else {}
    ollama = entry("remote::ollama", {url: get("OLLAMA_URL", "http://localhost:11434")})
    fireworks = entry(
        "remote::fireworks",
        {url: "https://api.fireworks.ai/inference/v1", "api_key": get("FIREWORKS_API_KEY")},
    )
    together = entry("remote::together", {url: "https://api.together.xyz/v1", "api_key": get("TOGETHER_API_KEY")})
    embedding = entry("inline::sentence-transformers")
    rows: dict[str, list[Document]] = {
        "ollama": [ollama],
        "remote-vllm": [entry("remote::vllm", vllm, "vllm-inference"), embedding],
        "bedrock": [entry("remote::bedrock", bedrock)],
        "fireworks": [fireworks, embedding],
        "together": [together, embedding],
        "tgi": [entry("remote::tgi", {url: "${env.TGI_URL}"}, "tgi0"), entry("inline::sentence-transformers")],
        "tgi-2024": [entry("remote::tgi", {"url": "<ENTER_YOUR_TGI_HOSTED_ENDPOINT>"}, "tgi0")],
        "nvidia": [
            entry("remote::nvidia", nvidia),
            entry("remote::nvidia", {"guardrails_service_url": "http://localhost:7331", "config_id": "self-check"}),
        ],
        "openai-compatible": [
            entry("remote::passthrough", {"url": "${env.PASSTHROUGH_URL}", "api_key": "${env.PASSTHROUGH_API_KEY}"}),
        ],
        "watsonx": [entry("remote::watsonx", watsonx), ollama],
        "meta-reference-gpu": [
            entry("inline::meta-reference", {"model": "${env.INFERENCE_MODEL}", "checkpoint_dir": "null"}),
            ollama,
        ],
        "hf": [
            entry("remote::hf::serverless", {"huggingface_repo": "${env.HF_REPO}", "api_token": "${env.HF_TOKEN}"}),
            entry("remote::hf::endpoint", {"endpoint_name": "${env.HF_NAME}", "api_token": "${env.HF_TOKEN}"}),
        ],
        "sambanova": [entry("remote::sambanova", {url: "https://api.sambanova.ai/v1", "api_key": get("SN_KEY")})],
        "starter": [
            off("OLLAMA_URL", ollama),
            off("VLLM_URL", entry("remote::vllm", vllm)),
            fireworks,
            together,
            entry("remote::bedrock", bedrock),
            off("NVIDIA_API_KEY", entry("remote::nvidia", nvidia)),
            entry("remote::openai", {"api_key": get("OPENAI_API_KEY"), **({"base_url": get("OPENAI_BASE_URL", "https://api.openai.com/v1")} if generation >= "0.3" else {})}),
            entry("remote::anthropic", {"api_key": get("ANTHROPIC_API_KEY")}),
            entry("remote::gemini", gemini),
            off("VERTEX_AI_PROJECT", entry("remote::vertexai", {"project": get("VERTEX_AI_PROJECT"), "location": get("VERTEX_AI_LOCATION", "global")})),
            entry("remote::groq", {url: "https://api.groq.com", "api_key": get("GROQ_API_KEY")}),
            off("AZURE_API_KEY", entry("remote::azure", {"api_key": get("AZURE_API_KEY"), "api_base": get("AZURE_API_BASE"), "api_version": get("AZURE_API_VERSION"), "api_type": get("AZURE_API_TYPE")})),
            entry("remote::meta", {"base_url": "https://api.meta.ai/v1", "api_key": get("META_API_KEY")}),
            embedding,
        ],
    }  # fmt: skip
    return rows[distribution]


DISTRIBUTIONS: Final = (
    "ollama", "remote-vllm", "bedrock", "fireworks", "together", "tgi", "tgi-2024", "nvidia", "openai-compatible",
    "watsonx", "meta-reference-gpu", "hf", "sambanova", "starter",
)  # fmt: skip


def of_july_2024(distribution: str) -> Document:
    """With `api_providers` and `routing_table`."""
    providers = inference("0.0", distribution)
    return {
        "version": "v1",
        "built_at": "2024-07-30T00:00:00",
        "image_name": "local",
        "docker_image": None,
        "conda_env": "local",
        "apis_to_serve": ["inference", "memory", "telemetry", "agents", "safety", "models"],
        "api_providers": {
            "inference": {"providers": [provider["provider_type"] for provider in providers]},
            "safety": {"providers": ["meta-reference"]},
            "telemetry": {"provider_type": "meta-reference", "config": {}},
            "agents": {"provider_type": "meta-reference", "config": {}},
        },
        "routing_table": {
            "inference": [
                {"provider_type": provider["provider_type"], "config": provider["config"], "routing_key": f"Llama{n}"}
                for n, provider in enumerate(providers)
            ],
            "memory": [{"provider_type": "meta-reference", "config": {}, "routing_key": "vector"}],
        },
    }


def of_october_2024(distribution: str) -> Document:
    shield = {"model": "Llama-Guard-3-1B", "excluded_categories": [], "disable_input_check": False}
    guard = {"llama_guard_shield": shield, "prompt_guard_shield": {"model": "Prompt-Guard-86M"}}
    return {
        "version": "2",
        "built_at": "2024-10-08T17:40:45.325529",
        "image_name": "local",
        "name": distribution,
        "docker_image": None,
        "conda_env": "local",
        "apis": ["shields", "agents", "models", "memory", "memory_banks", "inference", "safety"],
        "providers": {
            "inference": inference("0.0", distribution),
            "safety": [entry("meta-reference", guard, "meta0"), entry("inline::llama-guard", shield, "meta1")],
            "memory": [entry("meta-reference", {}, "meta0")],
            "agents": [entry("meta-reference", {"persistence_store": {"type": "sqlite", "namespace": None}}, "meta0")],
            "telemetry": [entry("meta-reference", {}, "meta0")],
        },
        "models": [{"identifier": "m", "llama_model": "Llama3.1-8B", "provider_id": "ollama"}],
    }


def of_0_1(distribution: str) -> Document:
    store = {"type": "sqlite", "namespace": None, "db_path": "${env.SQLITE_STORE_DIR:~/.llama/x}/registry.db"}
    providers = inference("0.1", distribution)
    return {
        "version": "2",
        "image_name": distribution,
        "docker_image": None,
        "conda_env": distribution,
        "apis": ["agents", "datasetio", "eval", "inference", "memory", "safety", "scoring", "telemetry", "tool_runtime"],
        "providers": {
            "inference": providers,
            "memory": [entry("inline::faiss", {"kvstore": store})],
            "safety": [entry("inline::llama-guard"), entry("inline::prompt-guard")],
            "agents": [entry("inline::meta-reference", {"persistence_store": store})],
            "telemetry": [entry("inline::meta-reference", {"sinks": "${env.TELEMETRY_SINKS:console,sqlite}"})],
            "scoring": [entry("inline::braintrust", {"openai_api_key": "${env.OPENAI_API_KEY:}"})],
            "tool_runtime": [entry("inline::code-interpreter"), entry("inline::memory-runtime")],
        },
        "metadata_store": store,
        "models": [
            {"metadata": {}, "model_id": "${env.INFERENCE_MODEL}", "provider_id": providers[0]["provider_id"], "provider_model_id": None, "model_type": "llm"},
            {"metadata": {"embedding_dimension": 384}, "model_id": "all-MiniLM-L6-v2", "provider_id": "sentence-transformers", "model_type": "embedding"},
        ],
        "shields": [{"params": None, "shield_id": "${env.SAFETY_MODEL}", "provider_id": None, "provider_shield_id": None}],
        "memory_banks": [],
        "datasets": [],
        "scoring_fns": [],
        "eval_tasks": [{"eval_task_id": "mmlu", "dataset_id": "d", "scoring_functions": ["basic"]}],
        "tool_groups": [{"toolgroup_id": "builtin::memory", "provider_id": "memory-runtime"}],
    }  # fmt: skip


def of_0_2(distribution: str, generation: str = "0.2.20") -> Document:
    old = of_0_1(distribution)
    del old["docker_image"], old["conda_env"], old["memory_banks"], old["eval_tasks"]
    providers = {name: value for name, value in old["providers"].items() if name != "memory"}
    providers |= {
        "inference": inference(generation, distribution),
        "vector_io": [entry("inline::faiss"), off("ENABLE_CHROMADB", entry("remote::chromadb", {"url": ""}), ":+")],
        "files": [entry("inline::localfs", {"storage_dir": "x", "metadata_store": {"type": "sqlite", "db_path": "f"}})],
        "safety": [entry("inline::llama-guard", {"excluded_categories": []}), entry("inline::code-scanner")],
        "post_training": [entry("inline::torchtune-cpu", {"checkpoint_format": "meta"})],
    }
    return {
        **old,
        "version": 2,
        "container_image": None,
        "apis": ["agents", "inference", "safety", "telemetry", "tool_runtime", "vector_io", "files", "post_training"],
        "providers": providers,
        "inference_store": {"type": "sqlite", "db_path": f"{HOME}/inference_store.db"},
        "benchmarks": [],
        "vector_dbs": [],
        "shields": [
            {"shield_id": "llama-guard", "provider_id": "${env.SAFETY_MODEL:+llama-guard}", "provider_shield_id": "${env.SAFETY_MODEL:=}"},
            {"shield_id": "code-scanner", "provider_id": "${env.CODE_SCANNER_MODEL:+code-scanner}", "provider_shield_id": "${env.CODE_SCANNER_MODEL:=}"},
        ],
        "server": {"port": 8321},
        "logging": None,
        "external_providers_dir": None,
    }  # fmt: skip


POSTGRES: Final[Document] = {
    "host": "${env.POSTGRES_HOST:=localhost}",
    "port": "${env.POSTGRES_PORT:=5432}",
    "db": "${env.POSTGRES_DB:=llamastack}",
    "user": "${env.POSTGRES_USER:=llamastack}",
    "password": "${env.POSTGRES_PASSWORD:=llamastack}",
}
BACKENDS: Final[dict[str, Document]] = {
    "sqlite": {
        "kv_default": {"type": "kv_sqlite", "db_path": f"{HOME}/kvstore.db"},
        "sql_default": {"type": "sql_sqlite", "db_path": f"{HOME}/sql_store.db"},
    },
    "postgres": {
        "kv_default": {"type": "kv_postgres", **POSTGRES, "table_name": "${env.POSTGRES_TABLE_NAME:=kvstore}"},
        "sql_default": {"type": "sql_postgres", **POSTGRES, "pool_size": 10},
    },
}
KV: Final = {"namespace": "registry", "backend": "kv_default"}
SQL: Final = {
    "table_name": "inference_store",
    "backend": "sql_default",
    "max_write_queue_size": 10000,
    "num_writers": 4,
}


def of_0_3(distribution: str, database: str = "sqlite", stores: str = "stores") -> Document:
    old = of_0_2(distribution, "0.3")
    for key in ("metadata_store", "inference_store", "logging", "container_image"):
        del old[key]
    kept = {"metadata": KV, "inference": SQL, "conversations": {"table_name": "c", "backend": "sql_default"}}
    storage: Document = {"backends": BACKENDS[database], stores: kept}
    if stores == "top":
        del storage["top"]
        old |= {"metadata_store": KV, "inference_store": SQL, "conversations_store": kept["conversations"]}
    return {**old, "storage": storage, "telemetry": {"enabled": True}}


def of_0_4(distribution: str, database: str = "sqlite", generation: str = "0.4") -> Document:
    old = of_0_3(distribution, database)
    del old["telemetry"]
    sections = ("models", "shields", "datasets", "scoring_fns", "benchmarks", "vector_dbs", "tool_groups")
    resources = {name: old.pop(name) for name in sections}
    old["storage"]["stores"] |= {"prompts": {"namespace": "prompts", "backend": "kv_default"}}
    old["providers"] |= {"inference": inference(generation, distribution), "batches": [entry("inline::reference")]}
    auth = {
        "type": "${env.AUTH_PROVIDER:+oauth2_token}",
        "audience": "${env.AUTH_AUDIENCE:=llama-stack}",
        "issuer": "${env.AUTH_ISSUER:=}",
        "jwks": {"uri": "${env.AUTH_JWKS_URI:=}", "key_recheck_period": "${env.AUTH_JWKS_RECHECK_PERIOD:=3600}"},
        "verify_tls": "${env.AUTH_VERIFY_TLS:=true}",
    }
    name = old.pop("image_name")
    return {
        "version": 2,
        "distro_name": name,
        **{key: value for key, value in old.items() if key != "version"},
        "registered_resources": resources,
        "server": {"port": 8321, **({"auth": {"provider_config": auth}} if generation >= "0.7" else {})},
        "vector_stores": {"default_provider_id": "faiss", "default_embedding_model": {"model_id": "nomic"}},
        "safety": {"default_shield_id": "llama-guard"},
        "connectors": [{"connector_type": "mcp", "connector_id": "c", "url": "http://localhost:5199/sse"}],
    }


def of_ogx_1_5(distribution: str, database: str = "sqlite") -> Document:
    old = of_0_4(distribution, database, "1.5")
    names = ("batches", "file_processors", "files", "inference", "interactions", "messages", "responses", "skills")
    apis = [*names, "systemone", "tool_runtime", "vector_io"]
    builtin = {name: [entry("inline::builtin", {"store": SQL})] for name in ("interactions", "messages", "skills")}
    builtin |= {"responses": [entry("inline::builtin", {"persistence": {"responses": SQL}})]}
    providers = {"inference": old["providers"]["inference"], **builtin, "systemone": [entry("remote::typesafe")]}
    models = [
        {"metadata": {}, "model_id": "claude-haiku", "provider_id": "all", "provider_model_id": "auto", "model_type": "llm"},
        {"metadata": {}, "model_id": "azure/gpt-4o", "provider_id": "${env.AZURE_API_KEY:+azure}", "provider_model_id": "gpt-4o"},
        {"metadata": {}, "model_id": "reranker", "provider_id": "sentence-transformers", "model_type": "rerank"},
    ]  # fmt: skip
    tenancy = {"mode": "${env.OGX_TENANCY_MODE:=disabled}", "default_tenant_id": "${env.OGX_DEFAULT_TENANT_ID:=}"}
    old.pop("safety")
    old["storage"]["stores"]["inference"] = {**SQL, "enabled": True}
    return {
        **old,
        "apis": apis,
        "providers": providers,
        "registered_resources": {"models": models, "vector_stores": []},
        "server": {**old["server"], "tenancy": tenancy},
        "connectors": [],
    }


GENERATIONS: Final[dict[str, Callable[[str], Document]]] = {
    "2024-07": of_july_2024,
    "2024-10": of_october_2024,
    "0.1": of_0_1,
    "0.2": of_0_2,
    "0.2.2": lambda name: of_0_2(name, "0.2.2"),
    "0.3": of_0_3,
    "0.3-references": lambda name: of_0_3(name, stores="references"),
    "0.3-postgres": lambda name: of_0_3(name, "postgres"),
    "0.3-postgres-top": lambda name: of_0_3(name, "postgres", "top"),
    "0.4": of_0_4,
    "0.7": lambda name: of_0_4(name, generation="0.7"),
    "0.7-postgres": lambda name: of_0_4(name, "postgres", "0.7"),
    "1.5": of_ogx_1_5,
    "1.5-postgres": lambda name: of_ogx_1_5(name, "postgres"),
}
