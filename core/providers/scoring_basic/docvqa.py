"""`basic::docvqa`: the answer to a question about a document is one of several, but for what makes no difference.

Articles and little words, case, punctuation, digits as words and apostrophes of contractions are made the same on both sides.
Source: the answer processing of VQA evaluation, https://visualqa.org/evaluation.html, with the reference's longer list of words.
"""

from collections.abc import Mapping, Sequence
from itertools import product
import re
from typing import Final

from core.apis.answers.scoring import ScoreRow
from core.frame.types import JsonObject
from core.providers.scoring_basic.columns import EXPECTED, GENERATED, as_list, read_json, read_text, unfit

LITTLE_WORDS: Final = frozenset(("a", "an", "the", "to", "in", "from", "by"))
NUMBERS: Final[Mapping[str, str]] = {
    "none": "0",
    **{
        word: str(number)
        for number, word in enumerate("zero one two three four five six seven eight nine ten".split())  # noqa: SIM905 - reads better
    },
}
ORDINALS: Final[Mapping[str, str]] = {"1st": "first", "2nd": "second", "3rd": "third"}
CONTRACTIONS: Final = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's how'd
    how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've o'clock oughtn't
    'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd somebody'd've somebody'll somebody's someone'd
    someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's they'd
    they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's where'd where's
    where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll
    y'all'd've you'd you'd've you'll you're you've
""".split()  # noqa: SIM905 - a list of hundred lines reads worse
PUNCTUATION: Final = ';/[]"{}()=+\\_-><@`,?!'
FULL_STOP: Final = re.compile(r"\.(?!\d)")
THOUSANDS: Final = re.compile(r"\d,\d")


def score_docvqa(row: JsonObject, params: JsonObject) -> ScoreRow:
    """The expected answers are a list, or JSON of one; a text that is no JSON is the only answer."""
    del params
    generated = normalize(read_text(row, GENERATED))
    return {"score": float(any(normalize(text) == generated for text in _expected(row)))}


def normalize(text: str) -> str:
    """What is compared of an answer."""
    words = [NUMBERS.get(word, word) for word in _without_punctuation(text).lower().split()]
    return " ".join(SPELLED_OUT.get(word, word) for word in words if word not in LITTLE_WORDS)


def _expected(row: JsonObject) -> Sequence[str]:
    answers = as_list(read_json(row, EXPECTED))
    if answers is None or not all(isinstance(answer, str) for answer in answers):
        raise unfit(EXPECTED, "a list of texts, or JSON of one")
    return answers


def _without_punctuation(text: str) -> str:
    """A sign beside a blank goes, one within a word becomes a blank; where a number has a comma in it, every sign goes."""
    for sign in PUNCTUATION:
        if sign in text:
            is_apart = f"{sign} " in text or f" {sign}" in text
            text = text.replace(sign, "" if is_apart or THOUSANDS.search(text) else " ")
    return FULL_STOP.sub("", text)


def _variants(word: str) -> list[str]:
    """The contraction with its apostrophes and without, each of them by itself."""
    first, *others = word.split("'")
    return [
        first + "".join(sign + part for sign, part in zip(signs, others, strict=True))
        for signs in product(("", "'"), repeat=len(others))
    ]


SPELLED_OUT: Final[Mapping[str, str]] = {
    **{variant: word for word in CONTRACTIONS for variant in _variants(word)},
    **ORDINALS,
}
