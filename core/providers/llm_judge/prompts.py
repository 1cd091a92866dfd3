"""What judges are asked: the templates of the functions that are built in, and how a row's columns get into one.

The grades A, B and C of `llm-as-judge::405b-simpleqa` are those of https://arxiv.org/abs/2411.04368, which has the whole reasoning.
"""

from collections.abc import Mapping
import json
import re
from typing import Any, Final

NAMES: Final = ("input_query", "expected_answer", "generated_answer", "context")
"""The columns that a template may have in braces; whatever else is in braces is text."""
PLACE: Final = re.compile(r"\{(" + "|".join(NAMES) + r")\}")

BASE: Final = """\
You judge an answer to a question. An expected answer, which is right, is given for comparison; the answer may say the same in other words.

Question:
{input_query}

Expected answer:
{expected_answer}

Answer to judge:
{generated_answer}

Say in a sentence or two how far the answer to judge agrees with the expected answer. Then write, on a line of its own, \
"Score: " with a whole number from 0 (it is wrong) to 10 (it is right and complete).
"""
BASE_REGEX: Final = r"Score:\s*\**(\d+(?:\.\d+)?)"

SIMPLE_QA: Final = """\
You grade an answer to a question of facts against the right answer, as one of:

A: CORRECT. The answer has everything that is important in the right answer, and nothing that contradicts it. Other words, \
another order, spelling mistakes in names, more or less detail than was needed, and hedging around what is right, do not matter. \
A number is correct if it equals the right one to the last digit that the right answer gives.
B: INCORRECT. The answer has a statement that contradicts the right answer, also where it is hedged ("it may be").
C: NOT_ATTEMPTED. The important part of the right answer is not in the answer, and nothing in it contradicts the right answer, \
as where it says that it does not know.

Where the question leaves a part out that the right answer has, that part is not needed; where the answer follows from the question, it need not be repeated.

Question: {input_query}
Right answer: {expected_answer}
Answer to grade: {generated_answer}

Reply with just the letter "A", "B" or "C", without any other text.
"""
SIMPLE_QA_REGEX: Final = r"\b(A|B|C)\b"


def names_in(template: str) -> tuple[str, ...]:
    """The columns that a template reads, in their order, each once."""
    return tuple(dict.fromkeys(PLACE.findall(template)))


def fill(template: str, row: Mapping[str, Any]) -> str:
    """`template` with the row's columns, which must be there; what is in them is not looked at again."""
    return PLACE.sub(lambda place: _text(row[place[1]]), template)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
