"""How many tokens a request lets a model make: its own bound, for every choice and every part of a batch."""

from typing import Any

import pytest

from core.apis import inference, native

CHAT = {"model": "m", "messages": [{}]}
COMPLETION = {"model": "m", "prompt": "p"}
NATIVE = {"model_id": "m", "content": "p"}
MESSAGE = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 0),
        ({"max_tokens": None}, 0),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": -5}, 0),
        ({"max_tokens": "7"}, 0),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 9, "max_tokens": 7}, 9),
        ({"max_completion_tokens": 7, "max_tokens": 9}, 9),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"max_tokens": 7, "n": 3, "best_of": 5}, 35),
        ({"max_tokens": 7, "n": 0}, 7),
        ({"max_tokens": 7, "n": -2, "best_of": "x"}, 7),
    ],
)
def test_the_largest_bound_counts_for_every_choice(more: dict[str, Any], expected: int) -> None:
    assert inference.most_tokens(inference.ChatRequest.model_validate({**CHAT, **more})) == expected
    assert inference.most_tokens(inference.CompletionRequest.model_validate({**COMPLETION, **more})) == expected


@pytest.mark.parametrize(
    ("sampling", "expected"), [(None, 0), ({}, 0), ({"max_tokens": None}, 0), ({"max_tokens": 7}, 7)]
)
def test_the_older_requests_have_it_in_their_sampling(sampling: dict[str, Any] | None, expected: int) -> None:
    one = native.NativeCompletionRequest.model_validate({**NATIVE, "sampling_params": sampling})
    contents = native.NativeCompletionBatchRequest.model_validate(
        {"model_id": "m", "content_batch": ["a", "b", "c"], "sampling_params": sampling}
    )
    chats = native.NativeChatBatchRequest.model_validate(
        {"model_id": "m", "messages_batch": [[MESSAGE], [MESSAGE, MESSAGE]], "sampling_params": sampling}
    )
    found = [native.most_tokens(request) for request in (one, contents, chats)]
    assert found == [expected, 3 * expected, 2 * expected]
