"""What the answer of a line is, whichever endpoint gave it."""

from typing import Any

import pytest

from core.services.batches.job.dataset_output import answer_of


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"choices": [{"message": {"content": "Paris"}}]}, "Paris"),
        ({"choices": [{"message": {"content": None, "tool_calls": []}}]}, None),
        ({"choices": [{"text": "Paris"}]}, "Paris"),
        ({"output": [{"type": "reasoning"}, {"type": "message", "content": [{"text": "Pa"}, {"text": "ris"}]}]}, "Paris"),
        ({"output": [{"type": "function_call"}]}, ""),
        ({"output_message": {"content": "Paris"}}, "Paris"),
        ({"output_message": {"content": [{"type": "text", "text": "Paris"}, {"type": "image"}]}}, "Paris"),
        ({"data": [{"embedding": [0.5]}]}, [0.5]),
        ({"results": [{"flagged": False}]}, [{"flagged": False}]),
        ({"choices": []}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_answer_is_the_text_or_the_data(body: dict[str, Any], answer: object) -> None:
    assert answer_of(body) == answer
