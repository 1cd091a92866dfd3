"""Sentences, words and scripts of a response, counted for IFEval.

The benchmark counts with NLTK; the rules here are those of its Punkt and Treebank tokenizers that make a difference in English
prose: abbreviations, initials, numbers, contractions. Source: https://www.nltk.org/api/nltk.tokenize.html.
"""

from collections import Counter
from collections.abc import Iterator
import re
from typing import Final

from core.errors import InvalidRequest

SCRIPTS: Final = (
    (0x0E00, 0x0E7F, "th"),
    (0x0900, 0x097F, "hi"),
    (0x0400, 0x04FF, "ru"),
    (0x3040, 0x30FF, "ja"),
    (0xAC00, 0xD7AF, "ko"),
    (0x3400, 0x4DBF, "zh"),
    (0x4E00, 0x9FFF, "zh"),
)
OPENING: Final = "\"'([*_“\u2018"
ENDS: Final = re.compile(r"([.!?]++)[)\"'”\u2019\]}*_]*+(?=\s)")
TITLES: Final = frozenset(
    "mr mrs ms dr prof st rev gen sen rep gov capt cpt lt col sgt mt ft vs dept est fig vol e.g i.e ph.d".split()  # noqa: SIM905 - a word a line reads worse
)  # whose full stop ends no sentence
LAST: Final = frozenset("jr sr co corp inc ltd u.s u.k a.m p.m".split())  # noqa: SIM905 - which may end one too
# With which sentences commonly begin.
STARTERS: Final = frozenset("The He She It They We I In This That But However A An There These Those".split())  # noqa: SIM905
OTHER_SENTENCE: Final = re.compile(r"[^!?。.！？．।]++[!?。.！？．।]?")  # noqa: RUF001 - of Chinese, Japanese and Hindi
WORD: Final = re.compile(r"\w+")
CJK: Final = re.compile("[\u4e00-\u9fff\u3400-\u4dbf\u3040-\u309f\u30a0-\u30ff\uac00-\ud7af]")
EMOJI: Final = re.compile(
    "[\U0001f1e6-\U0001faff\u2600-\u27bf][\ufe0f\u200d\U0001f3fb-\U0001f3ff\U0001f1e6-\U0001faff]*+"
)
# What is dropped before words of Chinese, Japanese and Korean texts are counted.
SIGNS: Final = re.compile(r"[\\.!?．/_,{}<>:;$%^&*(+\"')—！，。？、`~@#￥…（）：；《》“”\[\]«»〔〕\-「」]+")  # noqa: RUF001 - theirs
CONTRACTION: Final = re.compile(r"(?<=\w)(?=(?:n't|'(?:s|m|d|ll|re|ve))(?!\w))", re.IGNORECASE)
BETWEEN_TOKENS: Final = re.compile(r"[\s,;:@#$%&?!()\[\]{}<>\"“”]+|--+|\.\.+")
NEAR: Final = 80  # characters on each side of an end that are looked at
NO_BLANKS: Final = "Thai has no blanks between words and sentences: they are not counted."


def script_of(text: str) -> str:
    """The language whose script most letters are of, where its script tells: th, hi, ru, ja, ko or zh; else empty.

    Japanese is what has kana, however many Chinese characters are with them.
    """
    if text.isascii():
        return ""
    counts = Counter(_language(ord(sign)) for sign in text if sign.isalpha())
    if counts["ja"]:
        counts["ja"] += counts.pop("zh", 0)
    return counts.most_common(1)[0][0] if counts else ""


def count_sentences(text: str) -> int:
    """Raises InvalidRequest for a text whose sentences cannot be told apart."""
    match script_of(text):
        case "th":
            raise InvalidRequest(NO_BLANKS)
        case "zh" | "ja" | "hi":
            return sum(len(OTHER_SENTENCE.findall(line.strip())) for line in text.splitlines())
        case _:
            return sum(1 for _ in _sentences(text))


def count_words(text: str) -> int:
    """A character of Chinese, Japanese and Korean is a word.

    Raises:
        InvalidRequest: a text whose words cannot be told apart.
    """
    match script_of(text):
        case "th":
            raise InvalidRequest(NO_BLANKS)
        case "zh" | "ja" | "ko":
            text, emojis = EMOJI.subn("", SIGNS.sub("", text))
            return len(CJK.findall(text)) + len(CJK.sub(" ", text).split()) + emojis
        case _:
            return len(WORD.findall(text))


def count_capital_words(text: str) -> int:
    """Words without a small letter; one with hyphens is one word, and what a contraction is made of are two."""
    return sum(1 for token in BETWEEN_TOKENS.split(CONTRACTION.sub(" ", text)) if token.isupper())


def _language(code: int) -> str:
    return next((language for first, last, language in SCRIPTS if first <= code <= last), "") if code > 0x3FF else ""  # noqa: PLR2004 - the first of SCRIPTS


def _sentences(text: str) -> Iterator[str]:
    begin = 0
    for end in ENDS.finditer(text):
        before, after = text[max(begin, end.end(1) - NEAR) : end.end(1)], text[end.end() : end.end() + NEAR]
        if _ends_sentence(before.split(), end[1], after.split()):
            yield text[begin : end.end()]
            begin = end.end()
    if text[begin:].strip():
        yield text[begin:]


def _ends_sentence(before: list[str], signs: str, after: list[str]) -> bool:
    """By the last word before the signs, and the first one after them."""
    following = after[0].lstrip(OPENING) if after else ""
    if not before or not following:
        return bool(before)
    if "!" in signs or "?" in signs:
        return True
    word = before[-1].rstrip(".").lstrip(OPENING)
    if len(signs) > 1:
        return following[0].isupper()
    if word.lower() in TITLES:
        return False
    if word.lower() in LAST or (len(word) == 1 and word.isalpha()):
        return following in STARTERS
    return not (word.isdecimal() and following[0].islower())
