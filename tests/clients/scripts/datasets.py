"""What `llama-stack-client` 0.2.12 and 0.7.5 do with datasets; the later one has them in `beta`."""

from typing import Any
import uuid

from tests.clients.scripts.harness import run

ROWS = [{"question": f"{number} + 1", "answer": str(number + 1)} for number in range(5)]
CSV = "data:text/csv,question,answer%0A1%20%2B%201,2%0A2%20%2B%202,4"


def client(url: str) -> Any:
    import llama_stack_client

    return llama_stack_client.LlamaStackClient(base_url=url, max_retries=0)


def datasets(url: str) -> Any:
    made = client(url)
    return made.datasets if hasattr(made, "datasets") else made.beta.datasets


def register(url: str, dataset_id: str, source: Any) -> Any:
    return datasets(url).register(purpose="eval/question-answer", source=source, dataset_id=dataset_id)


def rows_are_read_page_by_page(url: str) -> None:
    made = register(url, "client-rows", {"type": "rows", "rows": ROWS})
    assert (made.identifier, made.provider_id, made.type) == ("client-rows", "localfs", "dataset")
    page = datasets(url).iterrows("client-rows", start_index=1, limit=2)
    assert (page.data, page.has_more) == (ROWS[1:3], True)
    assert datasets(url).iterrows("client-rows", limit=-1).data == ROWS
    assert datasets(url).iterrows("client-rows").data == ROWS


def a_uri_is_read(url: str) -> None:
    made = register(url, "client-uri", {"type": "uri", "uri": CSV})
    assert made.source.uri == CSV
    assert datasets(url).iterrows("client-uri").data == [
        {"question": "1 + 1", "answer": 2},
        {"question": "2 + 2", "answer": 4},
    ]


def it_is_shown_listed_and_removed(url: str) -> None:
    register(url, "client-gone", {"type": "rows", "rows": ROWS})
    assert datasets(url).retrieve("client-gone").metadata["num_rows"] == 5
    assert "client-gone" in [each.identifier for each in datasets(url).list()]
    assert datasets(url).unregister("client-gone") is None
    assert "client-gone" not in [each.identifier for each in datasets(url).list()]


def rows_are_appended(url: str) -> None:
    """By a method of 0.7, and by a POST in 0.2, whose client has none."""
    name = f"client-{uuid.uuid4().hex}"
    register(url, name, {"type": "rows", "rows": ROWS})
    surface = datasets(url)
    if hasattr(surface, "appendrows"):
        assert surface.appendrows(name, rows=ROWS[:2]) is None
    else:
        client(url).post(f"/v1/datasetio/append-rows/{name}", cast_to=object, body={"rows": ROWS[:2]})
    data = surface.iterrows(name).data
    assert data == ROWS + ROWS[:2], data


SCENARIOS = (rows_are_read_page_by_page, a_uri_is_read, it_is_shown_listed_and_removed, rows_are_appended)

if __name__ == "__main__":
    run(SCENARIOS)
