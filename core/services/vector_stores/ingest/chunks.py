"""Text to chunks of a bounded number of tokens, which begin and end where a reader would.

A text is taken as segments: paragraphs, lines, sentences, and of what is too long for that words, and of a word without an end
pieces. A chunk has whole segments, and the next one begins with the last of them that fit its overlap.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
import re
from typing import TYPE_CHECKING, Final
import unicodedata

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.services.vector_stores.ingest.tokens import estimate_tokens

if TYPE_CHECKING:
    from core.services.vector_stores.ingest.contexts import Contextual

SIZE: Final = 800
OVERLAP: Final = 400
LEAST_SIZE: Final = 100
MOST_SIZE: Final = 4096
SEGMENTS: Final = 8
"""A segment has at most this part of a chunk's tokens, so that an overlap is never far from what was asked for."""
KEEP: Final = 0.7
"""A chunk ends at a better boundary rather than full, where that leaves so much of it."""
WINDOW: Final = 32 * 1024
"""Characters after which a text without a line's end is cut at a word's; four times as many, and it is cut anywhere."""

PIECE, WORD, SENTENCE, PARAGRAPH = range(4)

_SENTENCE: Final = re.compile(r"\n\s*|[.!?…][\"')\]»”’]{0,4}[ \t]+|[。！？]")  # noqa: RUF001 - the signs that are meant
_WORD: Final = re.compile(r"\S+\s*|\s+")
_LAST_BREAK: Final = re.compile(r"\n(?=[^\n]*\Z)")
JOINER: Final = "\u200d"
REACH: Final = 64  # characters in which an end of a sign is looked for


@dataclass(frozen=True, slots=True)
class Chunking:
    """Tokens of a chunk, and how many of them the next one repeats; `contextual` is how a model gives each a context."""

    size: int = SIZE
    overlap: int = OVERLAP
    contextual: "Contextual | None" = None


@dataclass(frozen=True, slots=True)
class _Segment:
    text: str
    tokens: int
    rank: int


def read_chunking(strategy: JsonObject | None) -> Chunking:
    """A chunking strategy, as on the wire; None is `auto`.

    Raises:
        InvalidRequest: there is none like this.
    """
    kind = "auto" if strategy is None else strategy.get("type")
    if strategy is None or kind == "auto":
        return Chunking()
    if kind == "contextual":
        from core.services.vector_stores.ingest.contexts import read_contextual  # late: few files have them

        return Chunking(*read_contextual(strategy.get("contextual")))
    if kind != "static":
        raise InvalidRequest("`type` is `auto`, `static` or `contextual`.", param="chunking_strategy.type")
    return _read_static(strategy.get("static"))


def _read_static(bounds: object) -> Chunking:
    param = "chunking_strategy.static"
    fields: JsonObject = bounds if isinstance(bounds, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    size, overlap = fields.get("max_chunk_size_tokens", SIZE), fields.get("chunk_overlap_tokens", OVERLAP)
    if not isinstance(bounds, dict) or type(size) is not int or not LEAST_SIZE <= size <= MOST_SIZE:
        message = f"`max_chunk_size_tokens` is a whole number from {LEAST_SIZE} to {MOST_SIZE}."
        raise InvalidRequest(message, param=f"{param}.max_chunk_size_tokens")
    if type(overlap) is not int or not 0 <= overlap <= size // 2:
        message = f"`chunk_overlap_tokens` is a whole number from 0 to half of the chunk size, here {size // 2}."
        raise InvalidRequest(message, param=f"{param}.chunk_overlap_tokens")
    return Chunking(size, overlap)


def split(texts: Iterable[str], size: int = SIZE, overlap: int = OVERLAP) -> Generator[str]:
    """The chunks of what the texts are together, in their order, however it is cut into texts.

    None is blank, and none has more than `size` tokens by the estimate; all that is not blank is in one of them.
    """
    chunk: list[_Segment] = []
    tokens = fresh = 0  # of the chunk; its segments from `fresh` on are in no chunk before
    for segment in _segments(texts, max(1, size // SEGMENTS)):
        while tokens + segment.tokens > size and chunk:
            end = _best_end(chunk, max(fresh, 1), size)
            yield from _text_of(chunk[:end])
            begin = _overlap_begin(chunk, end, min(overlap, size - segment.tokens))
            chunk, fresh = chunk[begin:], end - begin
            tokens = sum(part.tokens for part in chunk)
            if fresh == len(chunk) and tokens + segment.tokens > size:  # nothing but what was in the chunk before
                chunk, tokens, fresh = [], 0, 0
        chunk.append(segment)
        tokens += segment.tokens
    if len(chunk) > fresh:
        yield from _text_of(chunk)


def _text_of(segments: list[_Segment]) -> Iterator[str]:
    text = "".join(segment.text for segment in segments).strip()
    if text:
        yield text


def _best_end(chunk: list[_Segment], fresh: int, size: int) -> int:
    """After which segment a full chunk ends: of the best boundaries that leave it KEEP of its size, the last."""
    tokens, best, rank = 0, len(chunk), -1
    for number, segment in enumerate(chunk, 1):
        tokens += segment.tokens
        if number > fresh and tokens >= KEEP * size and segment.rank >= rank:
            best, rank = number, segment.rank
    return best


def _overlap_begin(chunk: list[_Segment], end: int, overlap: int) -> int:
    begin, tokens = end, 0
    while begin > 0 and tokens + chunk[begin - 1].tokens <= overlap:
        begin -= 1
        tokens += chunk[begin].tokens
    return max(begin, 1)  # the next chunk is never all of this one


def _segments(texts: Iterable[str], most: int) -> Iterator[_Segment]:
    for block in _blocks(texts):
        begin = 0
        for match in _SENTENCE.finditer(block):
            rank = PARAGRAPH if match.group().count("\n") > 1 else SENTENCE
            yield from _bounded(block[begin : match.end()], rank, most)
            begin = match.end()
        yield from _bounded(block[begin:], WORD, most)


def _blocks(texts: Iterable[str]) -> Iterator[str]:
    """The same text in blocks that end where a line does, or after WINDOW a word, so that where texts are cut decides nothing."""
    rest = ""
    for text in texts:
        rest += text
        while len(rest) >= 2 * WINDOW:
            cut = _block_end(rest[:WINDOW])
            yield rest[:cut]
            rest = rest[cut:]
    yield rest


def _block_end(window: str) -> int:
    line = window.rfind("\n", WINDOW // 2)
    if line >= 0:
        return line + 1
    word = window.rfind(" ", WINDOW // 2)
    return word + 1 if word >= 0 else _cluster_begin(window, len(window) - 1)


def _bounded(text: str, rank: int, most: int) -> Iterator[_Segment]:
    """The text as segments of at most `most` tokens, the last of them with its rank."""
    tokens = estimate_tokens(text)
    if tokens <= most:
        if text:
            yield _Segment(text, tokens, rank)
        return
    words = [piece for word in _WORD.findall(text) or [text] for piece in _pieces(word, most)]
    part, tokens = "", 0
    for number, (word, count) in enumerate(words):
        if tokens + count > most and part:
            yield _Segment(part, tokens, WORD if part[-1].isspace() else PIECE)
            part, tokens = "", 0
        part, tokens = part + word, tokens + count
        if number == len(words) - 1:
            yield _Segment(part, tokens, rank)


def _pieces(word: str, most: int) -> Iterator[tuple[str, int]]:
    """A word, with its tokens; one that has more than `most` in pieces, none of which ends inside of a letter with its accents."""
    count = estimate_tokens(word)
    if count <= most:
        yield word, count
        return
    middle = _cluster_begin(word, len(word) // 2)
    yield from _pieces(word[:middle], most)
    yield from _pieces(word[middle:], most)


def _cluster_begin(text: str, at: int) -> int:
    """The nearest place before `at`, else after it, where no letter, sign or emoji is torn from what belongs to it."""
    for places in (range(at, max(0, at - REACH), -1), range(at + 1, min(len(text), at + REACH))):
        for place in places:
            if not _joins(text[place], text[place - 1]):
                return place
    return at


def _joins(char: str, before: str) -> bool:
    if JOINER in (char, before) or unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Mc"}:
        return True
    is_flag = "\U0001f1e6" <= char <= "\U0001f1ff" and "\U0001f1e6" <= before <= "\U0001f1ff"
    return is_flag or "\U0001f3fb" <= char <= "\U0001f3ff"
