"""OpenAI's own client reads the usage and the costs of a stack, as its users do of their organization."""

import os
import time
from typing import Any

import openai

from tests.clients.scripts.harness import refusal, run

START = int(time.time()) // 86_400 * 86_400 - 2 * 86_400
KINDS = (
    "audio_speeches",
    "audio_transcriptions",
    "code_interpreter_sessions",
    "images",
    "vector_stores",
)


def usage_of(url: str) -> Any:
    return openai.OpenAI(base_url=f"{url}/v1", admin_api_key="none", max_retries=0).admin.organization.usage


def completions(url: str) -> None:
    page = usage_of(url).completions(start_time=START, group_by=["model", "api_key_id"])
    assert (page.object, page.has_more, [len(bucket.results) for bucket in page.data]) == ("page", False, [0, 0, 2])
    results = {result.model: result for result in page.data[-1].results}
    small = results["small"]
    assert (small.input_tokens, small.output_tokens, small.num_model_requests) == (10, 5, 1)
    assert (small.object, small.api_key_id) == ("organization.usage.completions.result", os.environ["KEY_ID"])
    only = usage_of(url).completions(start_time=START, models=["large"], limit=1)
    assert (only.has_more, len(only.data)) == (True, 1)
    rest = usage_of(url).completions(start_time=START, models=["large"], limit=2, page=only.next_page)
    assert rest.data[-1].results[0].num_model_requests == 1


def embeddings(url: str) -> None:
    [*_, bucket] = usage_of(url).embeddings(start_time=START).data
    assert [(result.object, result.input_tokens) for result in bucket.results] == [
        ("organization.usage.embeddings.result", 7)
    ]


def costs(url: str) -> None:
    [*_, bucket] = usage_of(url).costs(start_time=START, group_by=["line_item"]).data
    amounts = {result.line_item: result.amount for result in bucket.results}
    assert (amounts["large"].value, amounts["large"].currency) == (3.0, "usd")
    assert amounts["embedder"] is None


def what_is_not_counted(url: str) -> None:
    for name in KINDS:
        page = getattr(usage_of(url), name)(start_time=START)
        assert [bucket.results for bucket in page.data] == [[], [], []], name


def refused(url: str) -> None:
    wrong = refusal(openai.BadRequestError, lambda: usage_of(url).completions(start_time=START, bucket_width="1h"))
    assert "Usage is counted by day" in wrong.message


if __name__ == "__main__":
    run([completions, embeddings, costs, what_is_not_counted, refused])
