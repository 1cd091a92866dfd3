"""`llambda serve`, with keys and a quota, over models that follow the script of agents: on Bedrock three families, and upstreams."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.parts import agent_converse, agent_openai
from tests.parts.agent_converse import CLAUDE, LLAMA, NOVA
from tests.parts.bedrock import COHERE, KEYS, REGION, TITAN
from tests.parts.secrets import plant
from tests.parts.stack import new_key, serving
from tests.parts.upstream import in_thread

CONFIG: Final = f"""
version: 2
image_name: agents
providers:
  inference:
    - {{provider_id: vllm, provider_type: "remote::vllm", config: {{url: "${{env.UPSTREAM}}/v1"}}}}
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
MODELS: Final = ("vllm/m", *(f"bedrock/{name}" for name in (CLAUDE, NOVA, LLAMA)))
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
    with (
        TemporaryDirectory() as name,
        in_thread(agent_openai.upstream()) as upstream,
        in_thread(agent_converse.converse()) as bedrock,
    ):
        folder = Path(name)
        config = folder / "run.yaml"
        config.write_text(CONFIG, "utf-8")
        env = {
            "UPSTREAM": upstream.url,
            "BEDROCK": bedrock.url,
            "BEDROCK_KEY": plant(KEYS["aws_secret_access_key"]),
            "FOLDER": name,
        }
        key = new_key(config, env, "--name", "many", "--roles", "many")
        spent_keys = {client: new_key(config, env, "--name", client) for client in CLIENTS}
        with serving(config, folder / "log.txt", env=env) as url:
            yield AgentStack(url, key, spent_keys)
