"""How many tokens a request lets a model make: its own bound, for every choice and every part of a batch."""

from typing import Any

from pydantic import ValidationError
import pytest

from core.apis import bounds, inference, native, safety
from core.errors import InvalidRequest
from core.services.inference.native.request import to_openai_completion

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
        ({"max_tokens": "7"}, 7),
        ({"max_tokens": 7.0, "n": "3"}, 21),
        ({"max_tokens": " +5_000 "}, 5000),
        ({"max_tokens": 5e3}, 5000),
        ({"max_tokens": 7, "min_tokens": 70}, 70),
        ({"max_tokens": 7, "extra_body": {"max_tokens": "70"}}, 70),
        ({"max_new_tokens": "7"}, -7),
        ({"min_tokens": 7, "n": 3}, -21),
        ({"options": {"num_predict": 7.0}}, -7),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 9, "max_tokens": 7}, 9),
        ({"max_completion_tokens": 7, "max_tokens": 9}, 9),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"max_tokens": 7, "n": 3, "best_of": 5}, 35),
        ({"max_tokens": 7, "n": 0}, 7),
        ({"max_tokens": 7, "n": -2, "best_of": None}, 7),
    ],
)
def test_the_largest_bound_counts_for_every_choice(more: dict[str, Any], expected: int) -> None:
    assert inference.most_tokens(inference.ChatRequest.model_validate({**CHAT, **more})) == expected
    assert inference.most_tokens(inference.CompletionRequest.model_validate({**COMPLETION, **more})) == expected


@pytest.mark.parametrize("name", sorted(bounds.NUMBERS))
@pytest.mark.parametrize("value", ["x", "", True, 7.5, float("inf"), float("nan"), [7], "9" * 5000, "5000x"])
def test_what_no_server_takes_for_a_whole_number_is_refused(name: str, value: object) -> None:
    for kind, example in ((inference.ChatRequest, CHAT), (native.NativeCompletionRequest, NATIVE)):
        with pytest.raises(InvalidRequest, match="must be a whole number") as refusal:
            kind.model_validate({**example, name: value})
        assert refusal.value.param == name


@pytest.mark.parametrize("text", ['"5000"', "5000.0", "5e3", "5000"])
def test_what_is_sent_is_the_whole_number_that_was_read(text: str) -> None:
    body = f'{{"model": "m", "prompt": "p", "max_tokens": {text}, "n": 1.0, "top_p": 1.0, "user": "7"}}'
    request = inference.CompletionRequest.model_validate_json(body)
    sent = request.model_dump(exclude_unset=True)
    assert (sent, inference.most_tokens(request)) == (
        {"model": "m", "prompt": "p", "max_tokens": 5000, "n": 1, "top_p": 1.0, "user": "7"},
        5000,
    )
    assert [type(sent[name]) for name in ("max_tokens", "n", "top_p")] == [int, int, float]
    older = native.NativeCompletionRequest.model_validate_json(
        f'{{"model_id": "m", "content": "p", "sampling_params": {{"max_tokens": {text}}}}}'
    )
    assert (native.most_tokens(older), to_openai_completion(older).model_extra) == (
        5000,
        {"temperature": 0.0, "max_tokens": 5000},
    )


@pytest.mark.parametrize(
    ("prompt", "parts"), [("p", 1), ([1, 2, 3], 1), (["a", "b"], 2), ([[1, 2], [3]], 2), ([1, "a"], 2), ([], 1)]
)
def test_each_prompt_and_each_input_is_a_part_and_a_list_of_tokens_is_one(prompt: Any, parts: int) -> None:
    completion = inference.CompletionRequest.model_validate({"model": "m", "prompt": prompt, "max_tokens": 5})
    embeddings = inference.EmbeddingsRequest(model="m", input=prompt)
    assert (inference.count_prompts(completion), inference.count_inputs(embeddings)) == (parts, parts)
    assert inference.most_tokens(completion) == 5 * parts


def test_parts_have_a_most_that_the_refusal_names() -> None:
    inference.EmbeddingsRequest(model="m", input=["x"] * 2048)
    inference.CompletionRequest(model="m", prompt=[7] * 200_000)
    with pytest.raises(InvalidRequest, match="at most 2048"):
        inference.EmbeddingsRequest(model="m", input=["x"] * 2049)
    with pytest.raises(InvalidRequest, match="at most 128"):
        inference.CompletionRequest(model="m", prompt=["x"] * 129)
    for kind, name in (
        (native.NativeCompletionBatchRequest, "content_batch"),
        (native.NativeEmbeddingsRequest, "contents"),
    ):
        most = 128 if name == "content_batch" else 2048
        kind.model_validate({"model_id": "m", name: ["x"] * most})
        with pytest.raises(ValidationError, match=f"at most {most}"):
            kind.model_validate({"model_id": "m", name: ["x"] * (most + 1)})


@pytest.mark.parametrize(("entries", "parts"), [("x", 1), (["x"], 1), (["x"] * 32, 32), (["x"] * 33, 1), ([], 1)])
def test_each_moderated_input_is_a_part_and_what_is_refused_is_one(entries: Any, parts: int) -> None:
    request = safety.ModerationRequest(input=entries)
    assert safety.count_inputs(request) == parts
    assert safety.most_tokens(request) == 64 * parts


def test_a_field_beside_the_older_sampling_counts_as_it_is_sent() -> None:
    request = native.NativeCompletionRequest.model_validate(
        {**NATIVE, "sampling_params": {"max_tokens": 7}, "max_tokens": "70", "best_of": 2}
    )
    assert native.most_tokens(request) == 140
    assert (to_openai_completion(request).model_extra or {})["max_tokens"] == 70


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
