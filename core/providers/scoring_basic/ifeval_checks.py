"""The 25 instructions of IFEval, each a check of a response.

Source: https://arxiv.org/abs/2311.07911, https://github.com/google-research/google-research/tree/master/instruction_following_eval.
What they find, they find by their code, where it differs from the paper; keywords are texts here and no expressions. No check
searches with an expression that a response could make slow.
"""

from collections.abc import Callable, Mapping
import re
from typing import Final

from pydantic_core import from_json

from core.providers.scoring_basic.ifeval_arguments import Arguments
from core.providers.scoring_basic.ifeval_language import is_in
from core.providers.scoring_basic.text_counts import count_capital_words, count_sentences, count_words, script_of

type Check = Callable[[str, Arguments], bool]

OPTIONS: Final = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
DIVIDER: Final = "***"
RESPONSES: Final = "******"
FENCES: Final = ("```json", "```Json", "```JSON", "```")
QUOTES: Final[Mapping[str, str]] = {"ja": "「」", "ru": "«»", "th": "“”", "zh": "“”"}
HIGHLIGHT: Final = re.compile(r"\*([^\n*]*+)\*")
DOUBLE_HIGHLIGHT: Final = re.compile(r"\*\*([^\n*]*+)\*\*")
SECTION_NUMBER: Final = re.compile(r"\s?\d")
FIRST_WORD: Final = re.compile(r"'*+\"*+([^.,?!'\"\s]*+)")
BLANKS: Final = ("", " ", "\n", "\t")
ENGLISH: Final = "en"


def _existence(text: str, arguments: Arguments) -> bool:
    lower = text.lower()
    return all(keyword.lower() in lower for keyword in arguments.texts("keywords"))


def _frequency(text: str, arguments: Arguments) -> bool:
    return arguments.holds(text.lower().count(arguments.text("keyword").lower()), "frequency")


def _forbidden_words(text: str, arguments: Arguments) -> bool:
    lower = text.lower()
    return not any(_has_word(lower, word.lower()) for word in arguments.texts("forbidden_words"))


def _letter_frequency(text: str, arguments: Arguments) -> bool:
    return arguments.holds(text.lower().count(arguments.text("letter").lower()), "let_frequency", "let_relation")


def _response_language(text: str, arguments: Arguments) -> bool:
    return is_in(text, arguments.text("language"))


def _number_sentences(text: str, arguments: Arguments) -> bool:
    return arguments.holds(count_sentences(text), "num_sentences")


def _number_words(text: str, arguments: Arguments) -> bool:
    return arguments.holds(count_words(text), "num_words")


def _number_paragraphs(text: str, arguments: Arguments) -> bool:
    """Between the dividers none may be empty; before the first and after the last one may be nothing."""
    paragraphs = text.split(DIVIDER)
    ends = paragraphs[:1] if len(paragraphs) == 1 else [paragraphs[0], paragraphs[-1]]
    if not all(part.strip() for part in paragraphs[1:-1]):
        return False
    blank = sum(1 for part in ends if not part.strip())
    return len(paragraphs) - blank == arguments.number("num_paragraphs")


def _nth_paragraph_first_word(text: str, arguments: Arguments) -> bool:
    """The nth part between empty lines, though blank ones do not count as paragraphs."""
    paragraphs = text.split("\n\n")
    count, nth = sum(1 for part in paragraphs if part.strip()), arguments.number("nth_paragraph")
    if not 1 <= nth <= count:
        return False
    word = FIRST_WORD.match(paragraphs[nth - 1].strip())
    is_first = word is not None and word[1].lower() == arguments.text("first_word").lower()
    return is_first and count == arguments.number("num_paragraphs")


def _number_placeholders(text: str, arguments: Arguments) -> bool:
    return sum(_count_brackets(line) for line in text.split("\n")) >= arguments.number("num_placeholders")


def _postscript(text: str, arguments: Arguments) -> bool:
    """`P. S.` may be written with a blank."""
    marker, lower = arguments.text("postscript_marker"), text.lower()
    match marker:
        case "P.P.S":
            forms = {f"p.{one}p.{other}s" for one in BLANKS for other in BLANKS}
        case "P.S.":
            forms = {f"p.{one}s." for one in BLANKS}
        case _:
            forms = {marker.lower()}
    return any(form in lower for form in forms)


def _number_bullet_lists(text: str, arguments: Arguments) -> bool:
    """A bullet is `-`, or a `*` that no other one follows; a last line with nothing behind its `*` is none."""
    lines = text.split("\n")
    bullets = sum(1 for line in lines if line.lstrip().startswith("-"))
    stars = sum(1 for line in lines[:-1] if _is_star(line, alone=True)) + _is_star(lines[-1], alone=False)
    return bullets + stars == arguments.number("num_bullets")


def _constrained_response(text: str, arguments: Arguments) -> bool:
    del arguments
    return any(option in text for option in OPTIONS)


def _number_highlighted_sections(text: str, arguments: Arguments) -> bool:
    """What stands between a star on each side, or between two."""
    found = [*HIGHLIGHT.findall(text), *DOUBLE_HIGHLIGHT.findall(text)]
    return sum(1 for part in found if part.strip()) >= arguments.number("num_highlights")


def _multiple_sections(text: str, arguments: Arguments) -> bool:
    _, *parts = text.split(arguments.text("section_spliter"))
    return sum(1 for part in parts if SECTION_NUMBER.match(part)) >= arguments.number("num_sections")


def _json_format(text: str, arguments: Arguments) -> bool:
    del arguments
    body = text.strip()
    for fence in FENCES:
        body = body.removeprefix(fence)
    try:
        from_json(body.removesuffix("```").strip())
    except ValueError:
        return False
    return True


def _title(text: str, arguments: Arguments) -> bool:
    del arguments
    return any(_has_title(line) for line in text.split("\n"))


def _two_responses(text: str, arguments: Arguments) -> bool:
    """They are different, and no third one is between them."""
    del arguments
    parts = [part.strip() for part in text.split(RESPONSES)]
    responses = [part for part in parts if part]
    return all(parts[1:-1]) and len(responses) == 2 and responses[0] != responses[1]  # noqa: PLR2004 - two


def _repeat_prompt(text: str, arguments: Arguments) -> bool:
    return text.strip().lower().startswith(arguments.text("prompt_to_repeat").lower())


def _end_checker(text: str, arguments: Arguments) -> bool:
    return text.strip().strip('"').lower().endswith(arguments.text("end_phrase").lower())


def _quotation(text: str, arguments: Arguments) -> bool:
    """The double quotation marks, or those of its script."""
    del arguments
    body = text.strip()
    quotes = QUOTES.get(script_of(body), '""')
    return len(body) > 1 and body[0] in {quotes[0], '"'} and body[-1] in {quotes[1], '"'}


def _capital_word_frequency(text: str, arguments: Arguments) -> bool:
    return arguments.holds(count_capital_words(text), "capital_frequency", "capital_relation")


def _english_capital(text: str, arguments: Arguments) -> bool:
    del arguments
    return text.isupper() and is_in(text, ENGLISH)


def _english_lowercase(text: str, arguments: Arguments) -> bool:
    del arguments
    return text.islower() and is_in(text, ENGLISH)


def _no_comma(text: str, arguments: Arguments) -> bool:
    del arguments
    return "," not in text


CHECKS: Final[Mapping[str, Check]] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden_words,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": _response_language,
    "length_constraints:number_sentences": _number_sentences,
    "length_constraints:number_paragraphs": _number_paragraphs,
    "length_constraints:number_words": _number_words,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph_first_word,
    "detectable_content:number_placeholders": _number_placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _number_bullet_lists,
    "detectable_format:constrained_response": _constrained_response,
    "detectable_format:number_highlighted_sections": _number_highlighted_sections,
    "detectable_format:multiple_sections": _multiple_sections,
    "detectable_format:json_format": _json_format,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeat_prompt,
    "startend:end_checker": _end_checker,
    "change_case:capital_word_frequency": _capital_word_frequency,
    "change_case:english_capital": _english_capital,
    "change_case:english_lowercase": _english_lowercase,
    "punctuation:no_comma": _no_comma,
    "startend:quotation": _quotation,
}


def _has_word(lower: str, word: str) -> bool:
    """Whether it is there with no letter, digit or `_` beside it."""
    start = lower.find(word)
    while start >= 0:
        end = start + len(word)
        if not (start and _is_of_word(lower[start - 1])) and not (end < len(lower) and _is_of_word(lower[end])):
            return True
        start = lower.find(word, start + 1)
    return False


def _is_of_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def _count_brackets(line: str) -> int:
    """Pairs of square brackets, each from an opening one to the next that closes."""
    count, position = 0, line.find("[")
    while position >= 0 and (end := line.find("]", position)) >= 0:
        count, position = count + 1, line.find("[", end)
    return count


def _is_star(line: str, *, alone: bool) -> bool:
    bare = line.lstrip()
    return bare.startswith("*") and (alone if bare == "*" else bare[1] != "*")


def _has_title(line: str) -> bool:
    """Something in double angular brackets."""
    start, end = line.find("<<"), line.rfind(">>")
    return start >= 0 and end > start + 2 and bool(line[start:end].strip("<>").strip())
