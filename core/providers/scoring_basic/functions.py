"""The scoring functions of `inline::basic`, as rows: ids, columns, params and results are those of the reference."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final, cast

from core.apis.answers.scoring import ScoreRow
from core.apis.scoring import ScoringFunctionOffer
from core.errors import InvalidRequest
from core.frame.dotted import load
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.providers.scoring_basic.answer_regexes import ANSWER_REGEXES, FINAL_ANSWER
from core.providers.scoring_basic.columns import EXPECTED, GENERATED

PREFIX: Final = "basic::"


@dataclass(frozen=True, slots=True)
class BasicFunction:
    """`name` is within the provider; `scorer` and `checker` are `module:attribute`, imported when they are first needed.

    A scorer makes a ScoreRow of a row and params, a checker raises InvalidRequest for params; it may be missing.
    """

    name: str
    description: str
    scorer: str
    columns: Sequence[str] = (EXPECTED, GENERATED)
    params: JsonObject = field(default_factory=lambda: {"type": "basic", "aggregation_functions": ["accuracy"]})
    checker: str = ""

    @property
    def identifier(self) -> str:
        return PREFIX + self.name.replace("-", "_")

    def offer(self) -> ScoringFunctionOffer:
        return ScoringFunctionOffer(
            id=self.identifier,
            provider_resource_id=self.name,
            description=self.description,
            return_type={"type": "number"},
            params=deepcopy(self.params),
            columns=self.columns,
        )

    def score(self, row: JsonObject, params: JsonObject) -> ScoreRow:
        scorer = cast("Callable[[JsonObject, JsonObject], ScoreRow]", load(self.scorer))
        return scorer(row, self._settings(params))

    def check(self, params: JsonObject) -> None:
        if self.checker:
            load(self.checker)(self._settings(params))

    def _settings(self, params: JsonObject) -> JsonObject:
        """What `params` leave open is as the function has it."""
        return {**self.params, **{name: value for name, value in params.items() if value is not None}}


def _regex_params(regexes: Sequence[str]) -> JsonObject:
    return {"type": "regex_parser", "parsing_regexes": list(regexes), "aggregation_functions": ["accuracy"]}


PARSER: Final = BasicFunction(
    "regex-parser-multiple-choice-answer",
    "Find the answer's letter behind `Answer:`, in one of many languages, and compare it with the expected one.",
    "core.providers.scoring_basic.choices:score_parsed",
    params=_regex_params(ANSWER_REGEXES),
    checker="core.providers.scoring_basic.choices:check_regexes",
)
ROWS: Final = (
    BasicFunction(
        "equality",
        "1.0 if the generated answer equals the expected one, else 0.0.",
        "core.providers.scoring_basic.matches:score_equality",
    ),
    BasicFunction(
        "subset-of",
        "1.0 if the expected answer is in the generated one, else 0.0.",
        "core.providers.scoring_basic.matches:score_subset",
    ),
    PARSER,
    BasicFunction(
        "regex-parser-math-response",
        "Find the final answer of a solution, and compare it with the expected one as a number or in LaTeX.",
        "core.providers.scoring_basic.math_answers:score_math",
        params=_regex_params([FINAL_ANSWER]),
        checker="core.providers.scoring_basic.math_answers:check_math_regex",
    ),
    BasicFunction(
        "docvqa",
        "1.0 if the answer to a question about a document is one of the expected ones, whatever its spelling.",
        "core.providers.scoring_basic.docvqa:score_docvqa",
    ),
    BasicFunction(
        "bfcl",
        "1.0 if a model calls the functions that it should, with the arguments that it should, as BFCL checks it.",
        "core.providers.scoring_basic.bfcl:score_bfcl",
        columns=("id", GENERATED, "function", "language", "ground_truth"),
    ),
    BasicFunction(
        "ifeval",
        "The share of the instructions in a prompt that the response follows, as IFEval checks them.",
        "core.providers.scoring_basic.ifeval:score_ifeval",
        columns=("instruction_id_list", "kwargs", "prompt", GENERATED),
        params={"type": "basic", "aggregation_functions": ["weighted_average"]},
    ),
)
FUNCTIONS: Final[Mapping[str, BasicFunction]] = {row.name: row for row in ROWS}


def find_function(function: Resource, params: JsonObject) -> BasicFunction:
    """Whichever scores for this resource: the one that it names, or the regex parser if it has a regex parser's params.

    Raises:
        InvalidRequest: it names none, and its params are no regex parser's.
    """
    name = function.provider_resource_id.removeprefix(PREFIX).replace("_", "-")
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if params.get("type") == "regex_parser":
        return PARSER
    raise InvalidRequest(
        f"Provider {function.provider_id!r} has no scoring function {function.provider_resource_id!r}: it has"
        f" {', '.join(FUNCTIONS)}, and whatever else has params of the type `regex_parser`."
    )
