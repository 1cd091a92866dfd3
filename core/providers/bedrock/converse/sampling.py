"""How long an answer may be, how it is drawn and where it stops, as Converse's inferenceConfig. Pure.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InferenceConfiguration.html.
"""

from collections.abc import Mapping
from typing import Any, Final

from core.frame.types import JsonObject
from core.providers.bedrock.converse.families import Family, Sampling
from core.providers.http.fields import invalid_field, list_at

MOST_TOKENS: Final = 2**31 - 1
MOST_STOPS: Final = 64  # OpenAI takes 4
MOST_LETTERS: Final = 1024  # of one; a stream is held back by so much


def to_inference_config(options: Mapping[str, Any], family: Family, *, thinks: bool = False) -> JsonObject:
    """`max_completion_tokens` is asked before the older `max_tokens`; of what the model excludes together one stays.

    What a model thinks is drawn its own way: while it does (`thinks`), no family here takes another.
    """
    config: JsonObject = {}
    bound = token_bound(options)
    if bound:
        config["maxTokens"] = bound
    config |= _draw(options, family, thinks=thinks)
    stops = read_stops(options) if "stop" in options else []
    if stops and family.stop_sequences:
        config["stopSequences"] = [stop for stop in stops if family.blank_stops or stop.strip()][: family.most_stops]
    return {name: value for name, value in config.items() if value != []}


def token_bound(options: Mapping[str, Any]) -> int | None:
    bound = None
    for name in ("max_tokens", "max_completion_tokens"):
        if name in options:
            bound = options[name]
            if not isinstance(bound, int) or isinstance(bound, bool) or not 1 <= bound <= MOST_TOKENS:
                raise invalid_field(name, f"must be a whole number of at least 1, and at most {MOST_TOKENS}.")
    return bound


def read_stops(options: Mapping[str, Any]) -> list[str]:
    """Each once; empty ones stop nothing. A model that takes none of them is not told: the answer is cut here."""
    stop = options.get("stop", [])
    texts: list[Any] = [stop] if isinstance(stop, str) else list_at(stop, "stop")
    stops: dict[str, None] = {}
    for position, text in enumerate(texts):
        if not isinstance(text, str) or len(text) > MOST_LETTERS:
            raise invalid_field(f"stop[{position}]", f"must be a string of at most {MOST_LETTERS} characters.")
        if text:
            stops[text] = None
    if len(stops) > MOST_STOPS:
        raise invalid_field("stop", f"must have at most {MOST_STOPS} strings.")
    return list(stops)


def _draw(options: Mapping[str, Any], family: Family, *, thinks: bool) -> JsonObject:
    values = {name: _fraction(options[name], name) for name in ("temperature", "top_p") if name in options}
    if not values or thinks or family.sampling is Sampling.NONE:
        return {}
    if family.sampling is Sampling.ONE and len(values) > 1:
        values = {name: value for name, value in values.items() if value != 1}  # 1 is as it is without it
        if len(values) > 1:
            del values["top_p"]  # OpenAI advises to set one of them
    converse = {"temperature": "temperature", "top_p": "topP"}
    return {converse[name]: value for name, value in values.items()}


def _fraction(value: Any, path: str) -> float:  # noqa: ANN401 - whatever a caller sent
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise invalid_field(path, "must be a number from 0 to 1, which is Bedrock's range.")
    return value
