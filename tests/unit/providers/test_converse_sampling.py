"""How an answer is bounded, drawn and stopped: what Bedrock refuses together, and what it would get wrong."""

from typing import Any

import pytest

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.bedrock.converse.families import UNKNOWN, family_of
from core.providers.bedrock.converse.sampling import read_stops, to_inference_config

SONNET_4_5 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS_4_7 = "global.anthropic.claude-opus-4-7"
NOVA = "amazon.nova-pro-v1:0"
GPT_OSS = "openai.gpt-oss-120b-1:0"


def config(model: str, *, thinks: bool = False, **options: Any) -> JsonObject:
    return to_inference_config(options, family_of(model), thinks=thinks)


def test_sampling_is_converses_inference_config() -> None:
    given = {"max_tokens": 9, "temperature": 0, "top_p": 0.5, "stop": ["a", "b"]}
    wanted = {"maxTokens": 9, "temperature": 0, "topP": 0.5, "stopSequences": ["a", "b"]}
    assert to_inference_config(given, UNKNOWN) == wanted


def test_the_newer_bound_is_asked_first_and_one_stop_is_a_list() -> None:
    assert to_inference_config({"max_tokens": 9, "max_completion_tokens": 5}, UNKNOWN) == {"maxTokens": 5}
    assert to_inference_config({"stop": "END"}, UNKNOWN) == {"stopSequences": ["END"]}


def test_the_bounds_themselves_are_taken() -> None:
    for bound in (1, 2**31 - 1):
        assert to_inference_config({"max_tokens": bound}, UNKNOWN) == {"maxTokens": bound}
    stops = [str(number) for number in range(63)] + ["x" * 1024]
    assert read_stops({"stop": stops}) == stops


@pytest.mark.parametrize(
    ("stop", "wanted"),
    [
        ("", []),
        ([], []),
        ([""], []),
        (["a", "", "a", "b"], ["a", "b"]),
        (["\n", " "], ["\n", " "]),
        (["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "e"]),
    ],
)
def test_empty_stops_stop_nothing_and_each_is_one(stop: object, wanted: list[str]) -> None:
    assert read_stops({"stop": stop}) == wanted
    assert to_inference_config({"stop": stop}, UNKNOWN) == ({"stopSequences": wanted} if wanted else {})


@pytest.mark.parametrize(
    ("model", "stop", "wanted"),
    [
        (SONNET_4_5, ["\n\n", "END"], ["END"]),
        (SONNET_4_5, " ", None),
        (NOVA, ["a", "b", "c", "d", "e"], ["a", "b", "c", "d"]),
        (GPT_OSS, ["\nObservation:"], None),
        ("qwen.qwen3-235b-a22b-2507-v1:0", "END", None),
        ("us.deepseek.r1-v1:0", "Observation", None),
    ],
)
def test_a_model_is_told_the_stops_that_it_takes(model: str, stop: object, wanted: list[str] | None) -> None:
    assert config(model, stop=stop) == ({"stopSequences": wanted} if wanted else {})


@pytest.mark.parametrize(
    ("model", "given", "wanted"),
    [
        (SONNET_4_5, {"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2}),
        (SONNET_4_5, {"temperature": 1, "top_p": 0.9}, {"topP": 0.9}),
        (SONNET_4_5, {"temperature": 0.2, "top_p": 1}, {"temperature": 0.2}),
        (SONNET_4_5, {"temperature": 1.0, "top_p": 1.0}, {}),
        (SONNET_4_5, {"top_p": 0.9}, {"topP": 0.9}),
        (SONNET_4_5, {"temperature": 1}, {"temperature": 1}),
        ("anthropic.claude-opus-4-1-20250805-v1:0", {"temperature": 0, "top_p": 0.5}, {"temperature": 0}),
        ("anthropic.claude-3-haiku-20240307-v1:0", {"temperature": 0, "top_p": 0.5}, {"temperature": 0, "topP": 0.5}),
        (NOVA, {"temperature": 0, "top_p": 1}, {"temperature": 0, "topP": 1}),
        (OPUS_4_7, {"temperature": 1, "top_p": 1}, {}),
    ],
)
def test_of_what_a_model_excludes_together_one_stays(model: str, given: JsonObject, wanted: JsonObject) -> None:
    assert config(model, **given) == wanted


@pytest.mark.parametrize(
    "given", [{"temperature": 0}, {"top_p": 0.5}, {"temperature": 0.2, "top_p": 0.1, "max_tokens": 5}]
)
def test_a_model_without_sampling_draws_its_own_way(given: JsonObject) -> None:
    bound = {"maxTokens": given["max_tokens"]} if "max_tokens" in given else {}
    assert to_inference_config(given, family_of(OPUS_4_7)) == bound


def test_thoughts_are_drawn_their_own_way() -> None:
    assert config(SONNET_4_5, thinks=True, temperature=0, top_p=0.5, max_tokens=5) == {"maxTokens": 5}


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": "1"}, "top_p"),
        ({"top_p": -0.1}, "top_p"),
        ({"stop": {}}, "stop"),
        ({"stop": 0}, "stop"),
        ({"stop": ["a", 1]}, "stop[1]"),
        ({"stop": ["a", "x" * 1025]}, "stop[1]"),
        ({"stop": [str(number) for number in range(65)]}, "stop"),
    ],
)
def test_sampling_that_bedrock_refuses_is_refused(given: JsonObject, param: str) -> None:
    for thinks in (False, True):
        with pytest.raises(InvalidRequest) as refusal:
            to_inference_config(given, UNKNOWN, thinks=thinks)
        assert refusal.value.param == param
