"""`llambda serve`, with keys and a quota, over models that follow the script of agents: on Bedrock three families, and upstreams."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.parts import agent_converse
from tests.parts.agent_converse import CLAUDE, LLAMA, NOVA
from tests.parts.agent_openai import AgentVendor
from tests.parts.bedrock import COHERE, KEYS, REGION, TITAN
from tests.parts.secrets import plant
from tests.parts.stack import new_key, serving
from tests.parts.upstream import in_thread
from tests.parts.vendors.databricks import Databricks
from tests.parts.vendors.double import KEY, MODEL
from tests.parts.vendors.llama_cpp import LlamaCpp
from tests.parts.vendors.openrouter import OpenRouter
from tests.parts.vendors.tgi import Tgi
from tests.parts.vendors.vllm import Vllm, error

TOO_MANY: Final = (429, error("Too many requests.", "RateLimitError", 429))
UPSTREAMS: Final = {
    "VLLM": AgentVendor(vendor=Vllm(), busy=TOO_MANY),
    "TGI": AgentVendor(vendor=Tgi()),
    "LLAMA_CPP": AgentVendor(vendor=LlamaCpp()),
    "DATABRICKS": AgentVendor(vendor=Databricks()),
    "OPENROUTER": AgentVendor(vendor=OpenRouter()),
}
CONFIG: Final = f"""
version: 2
image_name: agents
providers:
  inference:
    - {{provider_id: vllm, provider_type: "remote::vllm", config: {{url: "${{env.VLLM}}/v1", api_token: "${{env.VENDOR_KEY}}"}}}}
    - {{provider_id: tgi, provider_type: "remote::tgi", config: {{url: "${{env.TGI}}"}}}}
    - provider_id: llama-cpp
      provider_type: remote::llama-cpp-server
      config: {{base_url: "${{env.LLAMA_CPP}}", auth_credential: "${{env.VENDOR_KEY}}"}}
    - {{provider_id: databricks, provider_type: "remote::databricks", config: {{url: "${{env.DATABRICKS}}", api_token: "${{env.VENDOR_KEY}}"}}}}
    - provider_id: openrouter
      provider_type: remote::openai-compatible
      config: {{base_url: "${{env.OPENROUTER}}/api/v1", api_key: "${{env.VENDOR_KEY}}"}}
    - provider_id: bedrock
      provider_type: remote::bedrock
      config:
        region_name: {REGION}
        endpoint_url: ${{env.BEDROCK}}
        aws_access_key_id: {KEYS["aws_access_key_id"]}
        aws_secret_access_key: ${{env.BEDROCK_KEY}}
        total_max_attempts: 1
  safety:
    - {{provider_id: llama-guard, provider_type: "inline::llama-guard", config: {{}}}}
models:
  - {{model_id: guard, provider_id: vllm, provider_model_id: guard}}
  - {{model_id: vectors, provider_id: vllm, provider_model_id: vectors, model_type: embedding, metadata: {{embedding_dimension: 2}}}}
shields:
  - {{shield_id: safety, provider_id: llama-guard, provider_shield_id: guard}}
metadata_store: {{type: sqlite, db_path: "${{env.FOLDER}}/registry.db"}}
server:
  auth:
    providers: [{{type: api_key}}]
    access_policy:
      - permit: {{actions: read}}
  quota:
    kvstore: {{type: sqlite, db_path: "${{env.FOLDER}}/quota.db"}}
    period: month
    authenticated_max_requests: 1
    roles: {{many: {{max_requests: 1000000}}}}
"""
VENDORS: Final = ("vllm", "tgi", "llama-cpp", "databricks", "openrouter")
MODELS: Final = (*(f"{vendor}/{MODEL}" for vendor in VENDORS), *(f"bedrock/{name}" for name in (CLAUDE, NOVA, LLAMA)))
EMBEDDINGS: Final = ("vectors", f"bedrock/{TITAN}", f"bedrock/{COHERE}")
CLIENTS: Final = ("openai", "langchain", "pydantic-ai", "instructor", "openai-node", "vercel-ai")


@dataclass(frozen=True)
class AgentStack:
    """`spent_keys` are for one call each, by the client that spends it."""

    url: str
    key: str
    spent_keys: dict[str, str]


@contextmanager
def agent_stack() -> Generator[AgentStack]:
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        upstreams = {name: stack.enter_context(in_thread(upstream)).url for name, upstream in UPSTREAMS.items()}
        env = {
            **upstreams,
            "VENDOR_KEY": KEY,
            "BEDROCK": stack.enter_context(in_thread(agent_converse.converse())).url,
            "BEDROCK_KEY": plant(KEYS["aws_secret_access_key"]),
            "FOLDER": folder,
        }
        config = Path(folder) / "run.yaml"
        config.write_text(CONFIG, "utf-8")
        key = new_key(config, env, "--name", "many", "--roles", "many")
        with ThreadPoolExecutor() as threads:
            keys = threads.map(lambda client: new_key(config, env, "--name", client), CLIENTS)
            spent_keys = dict(zip(CLIENTS, keys, strict=True))
        url = stack.enter_context(serving(config, Path(folder) / "log.txt", env=env))
        yield AgentStack(url, key, spent_keys)
