"""What bounds the work that a request makes: its tokens, its choices, its parts.

Servers in Python read `5000.0` and `"5000"` as 5000. Here these are whole numbers from the moment that a request was
read: what is sent is what was reserved. Names: OpenAI's, and those that vLLM, TGI, llama.cpp, Ollama and others take too.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from core.errors import InvalidRequest

MOST_DIGITS: Final = 20
BOUNDS: Final = frozenset({"max_tokens", "max_completion_tokens"})
# Not every server heeds these: they may raise a reservation, and never lower it.
FURTHER_BOUNDS: Final = frozenset({
    "max_new_tokens",
    "max_output_tokens",
    "max_gen_len",
    "max_tokens_to_sample",
    "max_length",
    "n_predict",
    "num_predict",
    "min_tokens",
    "min_new_tokens",
    "min_length",
})  # fmt: skip
CHOICES: Final = frozenset({"n", "best_of", "num_return_sequences"})
NUMBERS: Final = BOUNDS | FURTHER_BOUNDS | CHOICES
NESTS: Final = ("extra_body", "sampling_params", "parameters", "options", "generation_config", "nvext")


def normalize_bounds(fields: dict[str, Any] | None) -> None:
    """Make each bound in `fields` a whole number, in place; null stays. Raises InvalidRequest, which names the field."""
    if not fields:
        return
    for name in [name for name in fields if name in NUMBERS]:
        value = fields[name]
        if value is not None and type(value) is not int:
            fields[name] = whole_number(value, name)


def whole_number(value: object, name: str) -> int:
    """Raises InvalidRequest, whose param is `name`."""
    number = read_whole(value)
    if number is None:
        raise InvalidRequest(f"{name}: must be a whole number.", param=name)
    return number


def most_tokens(fields: Mapping[str, Any], parts: int) -> int:
    """How many tokens may be made of `fields`, for all choices of `parts` prompts.

    Without one of OpenAI's bounds none is sure to be heeded: then the number is negative, the least that must be reserved.
    """
    everywhere = [fields, *_nests(fields)]
    bound, further = _greatest([fields], BOUNDS), _greatest(everywhere, NUMBERS - CHOICES)
    tokens = max(bound, further) * max(1, _greatest(everywhere, CHOICES)) * parts
    return tokens if bound else -tokens


def count_parts(value: object) -> int:
    """Of an input or a prompt: a text, or the ids of its tokens, is one; a list of such has one for each."""
    if not isinstance(value, list):
        return 1
    items = cast("list[object]", value)
    return 1 if all(isinstance(item, int) for item in items) else len(items)


def check_parts(value: object, most: int, name: str) -> None:
    """Raises InvalidRequest where `value` has more than `most` parts."""
    parts = count_parts(value)
    if parts > most:
        raise InvalidRequest(f"{name}: has {parts} entries; one request takes at most {most}.", param=name)


def _nests(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (cast("dict[str, object]", nest) for name in NESTS if isinstance(nest := fields.get(name), dict))


def _greatest(holders: list[Mapping[str, Any]], names: frozenset[str]) -> int:
    values = (read_whole(holder[name]) for holder in holders for name in names & holder.keys())
    return max(0, 0, *(value for value in values if value is not None))


def read_whole(value: object) -> int | None:
    """None for what no server takes for a whole number."""
    if type(value) is int:  # as nearly all are; a bool is none
        return value
    if isinstance(value, str):
        if len(value) > MOST_DIGITS:
            return None
        try:
            return int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    return int(value) if isinstance(value, float) and value.is_integer() else None
