"""What finds an answer, where nobody says otherwise: the expressions that are shown with the functions that use them."""

from collections.abc import Iterator, Mapping
from typing import Final

FINAL_ANSWER: Final = r".*final answer is:?\s*\$\\boxed{(?P<X>.*)}\$"
WIDE: Final = "\uff1a"  # the colon as wide as a Chinese character
# After a word that may have blanks behind it comes one of the colons, after the others comes what is written here.
WORDS: Final[Mapping[str, str]] = {
    "Answer": ":",
    "উত্তর": ":",  # Bengali
    "उत्तर": ":",  # Hindi
    "Antwort": ":",  # German
    "답변": ":",  # Korean, as the next two
    "정답": ":",
    "답": ":",
    "答案": f"{WIDE}:",  # Chinese, as the next three
    "答": f"{WIDE}:",
    "答复": WIDE,
    "答曰": WIDE,
    "Respuesta": ":",  # Spanish
    "Risposta": ":",  # Italian
    "答え": f":{WIDE}",  # Japanese, as the next two
    "回答": f":{WIDE}",
    "解答": ":",
    "Jawaban": ":",  # Indonesian
    "Réponse": ":",  # French
    "Resposta": ":",  # Portuguese
    "Jibu": ":",  # Swahili
    "Idahun": ":",  # Yoruba, as all that follow
    "Ìdáhùn": ":",
    "Idáhùn": ":",
    "Àmọ̀nà": ":",
    "Àdáhùn": ":",
    "Ànúgọ": ":",
    "Àṣàyàn": ":",
}
PHRASES: Final = (
    "উত্তরঃ",
    "الإجابة:",  # Arabic, as all that follow
    "الجواب:",
    "إجابة:",
    "الإجابة النهائية:",
    "الإجابة الصحيحة:",
    "الإجابة الصحيحة هي:",
    "الإجابة هي:",
)
NO_WIDTH: Final = "\u200b"  # the blank that models write behind the colon in Korean
LETTER: Final = "([A-J]|[أ-د]|[অ]|[ব]|[ড]|[ঢ]|[\uff21]|[\uff22]|[\uff23]|[\uff24])"


def _patterns() -> Iterator[str]:
    yield rf"(?i)The best answer is \s*{LETTER}"
    yield rf"(?i)Answer\s*:{NO_WIDTH}+\s*{LETTER}"
    for word, colons in WORDS.items():
        yield from (rf"(?i){word}\s*{colon}\s*{LETTER}" for colon in colons)
    yield from (rf"(?i){phrase}\s*{LETTER}" for phrase in PHRASES)


ANSWER_REGEXES: Final = tuple(_patterns())
