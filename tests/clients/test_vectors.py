"""The real clients' calls of vector stores, vector-io and vector DBs, against `llambda serve` with embeddings that count words."""

from collections.abc import Generator

import pytest

from tests.clients.running import check, params
from tests.parts.stack import serving
from tests.parts.upstream import FakeUpstream, in_thread, rank_by_words
from tests.parts.vector_stack import DIMENSION, embed

CONFIG = f"""
version: 2
image_name: vectors
apis: [files, inference, vector_io, tool_runtime]
providers:
  inference:
    - {{provider_id: local, provider_type: "remote::vllm", config: {{url: "${{env.UPSTREAM}}/v1"}}}}
  files:
    - {{provider_id: files, provider_type: "inline::localfs", config: {{}}}}
  vector_io:
    - {{provider_id: vectors, provider_type: "inline::sqlite", config: {{db_path: "${{env.FOLDER}}/vectors.db"}}}}
  tool_runtime:
    - {{provider_id: rag, provider_type: "inline::rag-runtime"}}
tool_groups:
  - {{toolgroup_id: "builtin::rag", provider_id: rag}}
models:
  - model_id: words
    provider_id: local
    provider_model_id: words
    model_type: embedding
    metadata: {{embedding_dimension: {DIMENSION}}}
  - {{model_id: ranks, provider_id: local, provider_model_id: ranks, model_type: rerank}}
metadata_store: {{type: sqlite, db_path: "${{env.FOLDER}}/registry.db"}}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("vectors")
    (folder / "run.yaml").write_text(CONFIG, "utf-8")
    with in_thread(FakeUpstream(replies={"/v1/embeddings": embed, "/v1/rerank": rank_by_words})) as upstream:
        env = {"UPSTREAM": upstream.url, "FOLDER": str(folder)}
        with serving(folder / "run.yaml", folder / "log.txt", env=env) as url:
            yield url


@pytest.mark.parametrize("client", params())
def test_a_real_clients_calls_of_vector_stores_work(url: str, client: str) -> None:
    check(client, "tests.clients.scripts.vectors", url)


@pytest.mark.conformance
def test_the_rag_tool_by_the_client_of_0_2(url: str) -> None:
    check("llama-stack-client-0.2", "tests.clients.scripts.rag", url)


@pytest.mark.conformance
@pytest.mark.parametrize(
    ("framework", "script"),
    [("langchain-openai-1", "langchain_vectors"), ("llama-index-0", "llama_index_vectors")],
    ids=["langchain", "llama-index"],
)
def test_programs_over_a_framework_find_what_is_in_a_store(url: str, framework: str, script: str) -> None:
    check(framework, f"tests.clients.scripts.{script}", url)
