"""Files and vector stores in a program over LangChain: a retriever over a store of the stack."""

from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from openai import OpenAI

from tests.clients.scripts.harness import run

TEXTS = {"sun.txt": "The sun is a star.", "tea.txt": "Tea is a drink of leaves."}


class StackRetriever(BaseRetriever):  # type: ignore[misc]
    """Of one vector store, with the filters of a search."""

    client: Any
    store: str
    filters: Any = None

    def _get_relevant_documents(self, query: str) -> list[Document]:
        more = {} if self.filters is None else {"filters": self.filters}
        page = self.client.vector_stores.search(self.store, query=query, max_num_results=1, **more)
        return [
            Document(
                row.content[0].text, metadata={"source": row.filename, "score": row.score, **(row.attributes or {})}
            )
            for row in page.data
        ]


def a_retriever_finds_what_is_in_a_store(url: str) -> None:
    client = OpenAI(base_url=f"{url}/v1", api_key="none")
    store = client.vector_stores.create(name="notes").id
    for name, text in TEXTS.items():
        file = client.files.create(file=(name, text.encode()), purpose="assistants")
        client.vector_stores.files.create_and_poll(file.id, vector_store_id=store, attributes={"about": name[:3]})
    [found] = StackRetriever(client=client, store=store).invoke("a drink")
    assert (found.page_content, found.metadata["source"]) == (TEXTS["tea.txt"], "tea.txt")
    only_sun = StackRetriever(client=client, store=store, filters={"type": "eq", "key": "about", "value": "sun"})
    chain = only_sun | RunnableLambda(lambda documents: [document.page_content for document in documents])
    assert chain.batch(["a drink", "a star"]) == [[TEXTS["sun.txt"]]] * 2
    client.vector_stores.delete(store)


if __name__ == "__main__":
    run([a_retriever_finds_what_is_in_a_store])
