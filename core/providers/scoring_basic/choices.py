"""`basic::regex_parser_multiple_choice_answer`: the letter after "Answer:", in the languages of multilingual MMLU."""

from typing import Final

from core.apis.answers.scoring import ScoreRow
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.linear_regex import compile_regex, search_first
from core.providers.scoring_basic.columns import EXPECTED, GENERATED, read_text

# The letters of other scripts, and wide ones, that stand for A to D, as https://github.com/openai/simple-evals reads them.
LATIN: Final = str.maketrans("أبجدঅবডঢ\uff21\uff22\uff23\uff24", "ABCDABCDABCD")


def check_regexes(params: JsonObject) -> None:
    """Raise InvalidRequest for expressions that RE2 has not, or for none."""
    patterns = params.get("parsing_regexes")
    if not patterns:
        raise InvalidRequest("`parsing_regexes` of the params names no regular expression.")
    for pattern in patterns:
        compile_regex(pattern)


def score_parsed(row: JsonObject, params: JsonObject) -> ScoreRow:
    """The first group of the first of `parsing_regexes` that is in the answer equals the expected one; letters do in any script and case."""
    expected, generated = read_text(row, EXPECTED), read_text(row, GENERATED)
    parsed = search_first([compile_regex(pattern) for pattern in params["parsing_regexes"]], generated)
    return {"score": float(bool(parsed) and _letter(parsed) == _letter(expected))}


def _letter(text: str | None) -> str | None:
    """Choices are single letters; what is longer is compared as it is."""
    return text.translate(LATIN).upper() if text is not None and len(text) == 1 else text
