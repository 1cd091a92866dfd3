r"""`basic::regex_parser_math_response`: the final answer of a solution is the expected one, however it is written.

The rules are those of Minerva (appendix D.1 of https://arxiv.org/abs/2206.14858) and of MATH
(https://arxiv.org/abs/2103.03874): units, dollars, percent signs, the forms of `\frac` and `\sqrt`, what stands before `=`.
What is a number then is compared as one, and lists in brackets part by part.
"""

from collections.abc import Sequence
from fractions import Fraction
import math
import re
from typing import Final

from core.apis.answers.scoring import ScoreRow
from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.linear_regex import compile_regex, search_first
from core.providers.scoring_basic.columns import EXPECTED, GENERATED, read_text
from core.providers.scoring_basic.latex_values import evaluate

NEXT_TURN: Final = ("Q:", "A:")  # where a model goes on with questions of its own
LONGEST: Final = 2_000  # characters of an answer; what is longer is a text, and compared as it is
DEEPEST: Final = 4  # lists in lists
PRECISION: Final = 1e-9  # relative, of what is calculated with floats
FEWEST_DIGITS: Final = 3  # of a rounded decimal that counts as the value; the reference compares no more of any number

UNITS: Final = (
    "square|ways|integers|dollars|mph|inches|ft|hours|km|units|sue|points|feet|minutes|digits|cents|degrees|cm|gm|pounds|meters|"
    "meals|edges|students|children tickets|multiples"
)
RULES: Final = (
    (re.compile(r"\\(?:text|mbox)\s*+\{\s*+and\s*+\}"), ","),
    (re.compile(r"\\(?:textbf|textit|text|mbox|mathrm|mathbf|overline)\s*+\{([^{}]*+)\}"), r" \1 "),
    (re.compile(r"\^\s*+(?:\\circ|\{\s*+\\circ\s*+\}|\\degree)|\\degree"), ""),
    (re.compile(r"\\(?:left|right)(?![a-zA-Z])"), ""),
    (re.compile(r"\\(?:ldots|dots)|\{,\}|\\[!,;: ]"), " "),
    (re.compile(r"\\?+[$%]|\""), ""),
    (re.compile(rf"(?<![a-zA-Z\\])(?:{UNITS})(?![a-zA-Z])"), ""),
    (re.compile(r"(?<![a-zA-Z\\])an?\s"), ""),
    (re.compile(r"(?<=\d)th(?![a-zA-Z])"), ""),
    (re.compile(r"\s++"), ""),
    (re.compile(r"\\[cdt]frac"), r"\\frac"),
    (re.compile(r"\\frac(\\pi|[^{\\])"), r"\\frac{\1}"),
    (re.compile(r"(\\frac\{[^{}]*+\})(\\pi|[^{\\])"), r"\1{\2}"),
    (re.compile(r"\\sqrt([^{\[\\])"), r"\\sqrt{\1}"),
    (re.compile(r"^(-?)\.(?=\d)"), r"\g<1>0."),
    (re.compile(r"^\(([a-zA-Z])\)$"), r"\1"),
)
THOUSANDS: Final = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d,])")
BRACKETED: Final = re.compile(r"[(\[].*[)\]]", re.DOTALL)
PLAIN: Final = re.compile(r"-?\d+(\.\d+)?")
DECIMAL: Final = re.compile(r"-?\d+\.\d+")


def check_math_regex(params: JsonObject) -> None:
    """Raise InvalidRequest unless there is one expression, that RE2 has."""
    patterns: Sequence[str] = params.get("parsing_regexes") or []
    if len(patterns) != 1:
        raise InvalidRequest(
            f"`parsing_regexes` of the params names {len(patterns)} regular expressions: one finds the answer."
        )
    compile_regex(patterns[0])


def score_math(row: JsonObject, params: JsonObject) -> ScoreRow:
    expected, generated = read_text(row, EXPECTED), read_text(row, GENERATED)
    regex = compile_regex(params["parsing_regexes"][0])
    solution = _before_next_turn(generated)
    answer = search_first([regex], solution) or boxed(solution) or solution
    return {"score": float(are_equal(normalize(answer), normalize(boxed(expected) or expected)))}


def boxed(text: str) -> str:
    r"""What the last `\boxed` has in it, or the text up to a dollar after `\boxed ` without a bracket; empty if there is none."""
    _, mark, rest = text.rpartition("\\boxed")
    rest = rest.strip()
    if not mark or not rest.startswith("{"):
        return rest.partition("$")[0].strip() if mark and "$" in rest else ""
    depth = 0
    for position, sign in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth == 0:
            return rest[1:position].strip()
    return ""


def normalize(answer: str) -> str:
    """How an answer is compared."""
    if len(answer) > LONGEST:
        return answer
    answer = answer.rpartition("=")[2].rstrip(" .").replace("\\\\", "\\")
    for pattern, replacement in RULES:
        answer = pattern.sub(replacement, answer)
    answer = answer.rstrip(".")
    if THOUSANDS.fullmatch(answer.removeprefix("-").partition(".")[0]):
        answer = answer.replace(",", "")
    return answer


def are_equal(one: str, other: str, depth: int = DEEPEST) -> bool:
    """Of two normal forms: the same text, the same number, or lists whose parts are equal, `depth` lists in one another."""
    if one == other:
        return True
    if depth == 0 or len(one) > LONGEST or len(other) > LONGEST:
        return False
    parts, others = _parts(one), _parts(other)
    if parts is not None and others is not None:
        same = (one[0], one[-1], len(parts)) == (other[0], other[-1], len(others))
        return same and all(are_equal(*pair, depth - 1) for pair in zip(parts, others, strict=True))
    return _same_number(one, other)


def _same_number(one: str, other: str) -> bool:
    value, other_value = evaluate(one), evaluate(other)
    if value is None or other_value is None:
        return False
    if isinstance(value, Fraction) and isinstance(other_value, Fraction) and value == other_value:
        return True
    try:
        floats = float(value), float(other_value)
    except OverflowError:  # more digits than a float holds
        return False
    is_exact = isinstance(value, Fraction) and isinstance(other_value, Fraction)
    if not is_exact and math.isclose(*floats, rel_tol=PRECISION):
        return True
    return _is_rounded(one, other, floats[1]) or _is_rounded(other, one, floats[0])


def _is_rounded(decimal: str, exact: str, value: float) -> bool:
    """Whether `decimal` is `value` to its last place, which `exact` wrote as a fraction or with a root."""
    if not DECIMAL.fullmatch(decimal) or PLAIN.fullmatch(exact):
        return False
    places = len(decimal.partition(".")[2])
    digits = decimal.replace(".", "").lstrip("-0")
    return len(digits) >= FEWEST_DIGITS and abs(float(decimal) - value) <= 0.5 * 10**-places * (1 + PRECISION)


def _parts(text: str) -> list[str] | None:
    """What is between the commas of a list in brackets; None for what is no list."""
    if not BRACKETED.fullmatch(text):
        return None
    parts, depth = [""], 0
    for sign in text[1:-1]:
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(sign, 0)
        if depth < 0:
            return None
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return parts if len(parts) > 1 else None


def _before_next_turn(text: str) -> str:
    """What follows the mark where nothing stands before."""
    for mark in NEXT_TURN:
        before, _, after = text.partition(mark)
        text = before if before.strip() else after or before
    return text
