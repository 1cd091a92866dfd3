"""`basic::ifeval`: which share of the instructions in a prompt its response follows, weighted by how many there are."""

from collections.abc import Sequence

from core.apis.answers.scoring import ScoreRow
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.scoring_basic.columns import GENERATED, as_list, as_object, read_json, read_text, unfit
from core.providers.scoring_basic.ifeval_arguments import Arguments
from core.providers.scoring_basic.ifeval_checks import CHECKS

INSTRUCTIONS = "instruction_id_list"
ARGUMENTS = "kwargs"


def score_ifeval(row: JsonObject, params: JsonObject) -> ScoreRow:
    """An empty response follows none; no instructions have no weight.

    Raises:
        InvalidRequest: an instruction that is none, or arguments that it cannot have.
        ProviderUnavailable: one asks for a language, and what tells languages is not installed.
    """
    del params
    instructions, arguments = _instructions(row)
    text = read_text(row, GENERATED).strip()
    results = [
        bool(text) and CHECKS[name](text, Arguments(name, values))
        for name, values in zip(instructions, arguments, strict=True)
    ]
    share = sum(results) / len(results) if results else 0.0
    return {"score": float(share), "weight": float(len(results))}


def _instructions(row: JsonObject) -> tuple[Sequence[str], list[JsonObject]]:
    """Both may be JSON; an instruction without arguments may have null, and those behind the last may be left out."""
    names = as_list(read_json(row, INSTRUCTIONS))
    if names is None or not all(isinstance(name, str) for name in names):
        raise unfit(INSTRUCTIONS, "a list of texts, or JSON of one")
    unknown: list[str] = [name for name in names if name not in CHECKS]
    if unknown:
        raise InvalidRequest(f"There is no instruction {unknown[0][:80]!r}: it is one of {', '.join(CHECKS)}.")
    arguments = read_json(row, ARGUMENTS)
    values = as_list([] if arguments is None else arguments)
    entries = None if values is None else [as_object(entry or {}) for entry in values]
    if entries is None or len(entries) > len(names) or None in entries:
        raise unfit(ARGUMENTS, "a list with an object for each instruction, or JSON of one")
    missing: list[JsonObject] = [{}] * (len(names) - len(entries))
    return names, [*(entry for entry in entries if entry is not None), *missing]
