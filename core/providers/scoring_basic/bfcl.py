"""`basic::bfcl`: whether a model calls the functions that it should, with the arguments that it should.

Rows and categories are those of the Berkeley Function Calling Leaderboard (https://gorilla.cs.berkeley.edu/leaderboard.html);
what `id` begins with is the category: `irrelevance` wants no call, `live_relevance` wants any.
"""

from collections.abc import Mapping, Sequence
import re
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from core.apis.answers.scoring import ScoreRow
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.providers.scoring_basic.bfcl_calls import FunctionCall, NoCall
from core.providers.scoring_basic.bfcl_checks import CodeLanguage, FunctionDescription, Possible, are_expected
from core.providers.scoring_basic.bfcl_python import read_python_calls
from core.providers.scoring_basic.bfcl_source import read_java_calls, read_javascript_calls
from core.providers.scoring_basic.bfcl_types import JAVA, JAVA_READERS, JAVASCRIPT, JAVASCRIPT_READERS, PYTHON
from core.providers.scoring_basic.columns import GENERATED, as_list, as_object, read_json, read_text, unfit

FUNCTIONS: Final = "function"
EXPECTED_CALLS: Final = "ground_truth"
LANGUAGES: Final[Mapping[str, CodeLanguage]] = {
    "python": CodeLanguage(read_python_calls, PYTHON),
    "java": CodeLanguage(read_java_calls, JAVA, JAVA_READERS),
    "javascript": CodeLanguage(read_javascript_calls, JAVASCRIPT, JAVASCRIPT_READERS),
}
RELEVANCE: Final = frozenset({"irrelevance", "live_irrelevance", "live_relevance"})
NUMBER: Final = re.compile(r"_[0-9][0-9_-]*+$")
DESCRIPTIONS: Final = TypeAdapter(list[FunctionDescription])
MOST_CALLS: Final = 64  # expected in one row; each is compared with each


def score_bfcl(row: JsonObject, params: JsonObject) -> ScoreRow:
    """An answer that is no code has no call.

    Raises:
        InvalidRequest: the row has no language that is known, or descriptions and expected calls that are none.
        ProviderUnavailable: it is in Java or JavaScript, and what reads them is not installed.
    """
    del params
    language = _language(row)
    functions, expected = _functions(row), _expected(row)
    calls = _calls(read_text(row, GENERATED), language)
    category = NUMBER.sub("", read_text(row, "id"))
    if category in RELEVANCE:
        return {"score": float(bool(calls) is ("irrelevance" not in category))}
    return {"score": float(bool(calls) and are_expected(calls, expected, functions, language))}


def _language(row: JsonObject) -> CodeLanguage:
    name = read_text(row, "language")
    if name.lower() not in LANGUAGES:
        raise InvalidRequest(f"There is no language {name[:80]!r}: it is one of Python, Java, JavaScript.")
    return LANGUAGES[name.lower()]


def _functions(row: JsonObject) -> list[FunctionDescription]:
    described = read_json(row, FUNCTIONS)
    try:
        return DESCRIPTIONS.validate_python(described if isinstance(described, list) else [described])
    except ValidationError:
        raise unfit(FUNCTIONS, "a list of functions with `name` and `parameters`, or JSON of one") from None


def _expected(row: JsonObject) -> Sequence[Possible]:
    """Where no call is expected, there may be nothing."""
    value: Any = read_json(row, EXPECTED_CALLS) if row.get(EXPECTED_CALLS) != "" else []
    calls = as_list([] if value is None else value)
    if calls is None or len(calls) > MOST_CALLS or not all(map(_is_possible, calls)):
        raise unfit(EXPECTED_CALLS, "a list of calls, each `{name: {argument: [values]}}`, or JSON of one")
    return calls


def _is_possible(call: object) -> bool:
    names = as_object(call)
    if names is None or len(names) != 1:
        return False
    arguments = as_object(next(iter(names.values())))
    return arguments is not None and all(isinstance(values, list) for values in arguments.values())


def _calls(text: str, language: CodeLanguage) -> list[FunctionCall]:
    try:
        return language.read(text)
    except NoCall:
        return []
