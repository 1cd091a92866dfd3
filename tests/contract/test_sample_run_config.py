"""The sample run config of the reference's own documentation is served as it is, as far as this build has its APIs."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest

from tests.parts.stack import serving
from tests.parts.upstream import FakeUpstream, in_thread

SAMPLE = """\
version: 2
conda_env: ollama
apis:
- agents
- inference
- vector_io
- safety
- telemetry
providers:
  inference:
  - provider_id: ollama
    provider_type: remote::ollama
    config:
      url: ${env.OLLAMA_URL:http://localhost:11434}
  vector_io:
  - provider_id: faiss
    provider_type: inline::faiss
    config:
      kvstore:
        type: sqlite
        namespace: null
        db_path: ${env.SQLITE_STORE_DIR:~/.llama/distributions/ollama}/faiss_store.db
  safety:
  - provider_id: llama-guard
    provider_type: inline::llama-guard
    config: {}
  agents:
  - provider_id: meta-reference
    provider_type: inline::meta-reference
    config:
      persistence_store:
        type: sqlite
        namespace: null
        db_path: ${env.SQLITE_STORE_DIR:~/.llama/distributions/ollama}/agents_store.db
  telemetry:
  - provider_id: meta-reference
    provider_type: inline::meta-reference
    config: {}
metadata_store:
  namespace: null
  type: sqlite
  db_path: ${env.SQLITE_STORE_DIR:~/.llama/distributions/ollama}/registry.db
models:
- metadata: {}
  model_id: ${env.INFERENCE_MODEL}
  provider_id: ollama
  provider_model_id: null
shields: []
"""
SERVER = """\
server:
  port: 8321
  auth:
    provider_type: "kubernetes"
    config:
      api_server_url: "https://kubernetes.default.svc"
      ca_cert_path: "/path/to/ca.crt"
"""
FILES = """\
  files:
  - provider_id: meta-reference-files
    provider_type: inline::localfs
    config:
      storage_dir: ${env.FILES_STORAGE_DIR:~/.llama/distributions/ollama/files}
      metadata_store:
        type: sqlite
        db_path: ${env.SQLITE_STORE_DIR:~/.llama/distributions/ollama}/files_metadata.db
"""
DIMENSION = 1  # of what the upstream makes
CHUNKS = [{"content": "Files expire when they are read.", "metadata": {"document_id": "notes"}}]


@pytest.fixture(scope="module")
def upstream() -> Generator[FakeUpstream]:
    with in_thread(FakeUpstream()) as upstream:
        yield upstream


def start(folder: Path, upstream: FakeUpstream, text: str) -> Any:
    (folder / "run.yaml").write_text(text, "utf-8")
    variables = {"OLLAMA_URL": upstream.url, "SQLITE_STORE_DIR": str(folder), "INFERENCE_MODEL": "m"}
    variables["FILES_STORAGE_DIR"] = str(folder / "files")
    return serving(folder / "run.yaml", folder / "log", env=variables)


def test_what_this_build_has_is_served_and_what_it_has_not_is_said(upstream: FakeUpstream, tmp_path: Path) -> None:
    with start(tmp_path, upstream, SAMPLE) as url, httpx.Client(base_url=f"{url}/v1", timeout=30) as client:
        said = (tmp_path / "log").read_text("utf-8")
        for note in (
            "note: apis[4]: API `telemetry` is not in this build, which serves: ",
            "note: providers.vector_io[0].provider_type: `inline::faiss` is served by the embedded vector store",
        ):
            assert note in said
        assert said.count("note: ") == 2
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello."}]}
        assert client.post("/chat/completions", json=body).status_code == 200
        register_embedder(client)
        store = {"vector_db_id": "notes", "embedding_model": "e", "provider_id": "faiss"}
        made = client.post("/vector-dbs", json=store)
        assert (made.status_code, made.json().get("provider_id")) == (200, "faiss"), made.text
        name = made.json()["identifier"]
        put = client.post("/vector-io/insert", json={"vector_db_id": name, "chunks": CHUNKS})
        assert put.status_code in {200, 204}, put.text
        found = client.post("/vector-io/query", json={"vector_db_id": name, "query": "files"}).json()
        assert [chunk["content"] for chunk in found["chunks"]] == [CHUNKS[0]["content"]]
        for mode in ("vector", "keyword", "hybrid"):
            page = client.post(f"/vector_stores/{name}/search", json={"query": "files", "search_mode": mode}).json()
            assert [row["content"][0]["text"] for row in page["data"]] == [CHUNKS[0]["content"]]
        assert (tmp_path / "vectors.db").exists()
        assert "add it to `apis` of the run config" in client.get("/files").json()["error"]["message"]
        config = {"agent_config": {"model": "m", "instructions": "You help."}}
        agent = client.post("/agents", json=config).json()["agent_id"]
        session = client.post(f"/agents/{agent}/session", json={"session_name": "s"}).json()["session_id"]
        assert client.get(f"/agents/{agent}/session/{session}").json()["session_name"] == "s"
        assert client.get(f"/conversations/{session}").json()["id"] == session
        asked = {"messages": [{"role": "user", "content": "Hello."}], "stream": False}
        turn = client.post(f"/agents/{agent}/session/{session}/turn", json=asked).json()
        assert (turn["session_id"], turn["output_message"]["stop_reason"]) == (session, "end_of_turn"), turn


def test_with_files_as_the_templates_of_then_have_them_one_is_uploaded_and_found(
    upstream: FakeUpstream, tmp_path: Path
) -> None:
    text = SAMPLE.replace("- vector_io\n", "- vector_io\n- files\n", 1).replace("  safety:\n", f"{FILES}  safety:\n", 1)
    with start(tmp_path, upstream, text) as url, httpx.Client(base_url=f"{url}/v1/openai/v1") as client:
        with httpx.Client(base_url=f"{url}/v1") as native:
            register_embedder(native)
        form: dict[str, Any] = {"files": {"file": ("a.txt", b"Files expire.")}, "data": {"purpose": "assistants"}}
        file = client.post("/files", **form).json()
        assert len([path for path in (tmp_path / "files").rglob("*") if path.is_file()]) == 1
        store = client.post("/vector_stores", json={"name": "notes", "file_ids": [file["id"]]}).json()
        assert store["file_counts"]["completed"] == 1, store
        page = client.post(f"/vector_stores/{store['id']}/search", json={"query": "expire"}).json()
        assert [(row["filename"], row["content"][0]["text"]) for row in page["data"]] == [("a.txt", "Files expire.")]
        assert client.get(f"/files/{file['id']}/content").content == b"Files expire."


def register_embedder(client: httpx.Client) -> None:
    model = {"model_id": "e", "provider_id": "ollama", "provider_model_id": "m", "model_type": "embedding"}
    made = client.post("/models", json={**model, "metadata": {"embedding_dimension": DIMENSION}})
    assert made.status_code == 200, made.text


def test_its_callers_are_those_of_its_cluster(upstream: FakeUpstream, tmp_path: Path) -> None:
    """But for the file at /path/to/ca.crt, which is nobody's."""
    with (
        start(tmp_path, upstream, SAMPLE + SERVER.replace("/path/to/ca.crt", certifi.where())) as url,
        httpx.Client(base_url=f"{url}/v1") as client,
    ):
        assert client.get("/health").status_code == 200
        assert client.get("/vector_stores").status_code == 401
