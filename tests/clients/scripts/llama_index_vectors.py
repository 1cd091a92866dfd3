"""Files and vector stores in a program over LlamaIndex: a retriever over a store of the stack, and LlamaIndex' own index over its embeddings."""

from typing import Any

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from openai import OpenAI

from tests.clients.scripts.harness import run

TEXTS = {"sun.txt": "The sun is a star.", "tea.txt": "Tea is a drink of leaves."}


class StackRetriever(BaseRetriever):  # type: ignore[misc]
    """Of one vector store."""

    def __init__(self, client: Any, store: str) -> None:
        self._client = client
        self._store = store
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        page = self._client.vector_stores.search(self._store, query=query_bundle.query_str, max_num_results=1)
        return [
            NodeWithScore(node=TextNode(text=row.content[0].text, metadata={"file": row.filename}), score=row.score)
            for row in page.data
        ]


def a_retriever_finds_what_is_in_a_store(url: str) -> None:
    client = OpenAI(base_url=f"{url}/v1", api_key="none")
    files = [client.files.create(file=(name, text.encode()), purpose="assistants") for name, text in TEXTS.items()]
    store = client.vector_stores.create(name="notes")
    batch = client.vector_stores.file_batches.create_and_poll(store.id, file_ids=[file.id for file in files])
    assert batch.file_counts.completed == len(TEXTS)
    [found] = StackRetriever(client, store.id).retrieve("a drink")
    assert (found.text, found.metadata["file"]) == (TEXTS["tea.txt"], "tea.txt")
    assert found.score is not None
    assert 0 <= found.score <= 1
    client.vector_stores.delete(store.id)


def its_own_index_takes_the_embeddings_of_the_stack(url: str) -> None:
    embeddings = OpenAILikeEmbedding(model_name="words", api_base=f"{url}/v1", api_key="none")
    index = VectorStoreIndex.from_documents([Document(text=text) for text in TEXTS.values()], embed_model=embeddings)
    [found] = index.as_retriever(similarity_top_k=1).retrieve("a drink")
    assert found.text == TEXTS["tea.txt"]


if __name__ == "__main__":
    run([a_retriever_finds_what_is_in_a_store, its_own_index_takes_the_embeddings_of_the_stack])
