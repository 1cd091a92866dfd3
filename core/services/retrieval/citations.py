"""Citations: what a model is told to write for a passage that it was shown, and what becomes of that in its answer. Pure.

A mark is `<|NAME|>`, as OGX 1.5.0 has it; NAME is the document's id, or a name of ours where a mark cannot hold that. Of a file, models
that follow less well write `[file-ID]` or `(file-ID)`, which is a mark too. In an answer the mark of a document that was shown becomes a
`file_citation` of OpenAI's Responses API, where it was, without a blank before it. What else looks like a mark is text.
An answer that comes in pieces comes to the same, however it is cut.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
import re
from typing import Final, Literal, TypedDict

from core.apis.retrieval import Passage

DIGITS: Final = 8  # of the name that a document gets whose id a mark cannot hold
_NAME: Final = re.compile(r"[^<>|\s]{1,128}")
_MARK: Final = re.compile(
    r" ?(?:<\|(?P<name>[^<>|\s]{1,128})\|>|\[(?P<squared>file-[\w-]{1,123})\]|\((?P<round>file-[\w-]{1,123})\))",
    re.ASCII,
)
_BEGUN: Final = re.compile(
    r"(?: ?<(?:\|(?:[^<>|\s]{0,128}\|?)?)?| ?[\[(](?:f|fi|fil|file|file-[\w-]{0,123})?| )\Z", re.ASCII
)
"""What may become a mark, at the end of a text."""


class FileCitation(TypedDict):
    """An annotation of `output_text`; `index` is how many characters of the text are before it."""

    type: Literal["file_citation"]
    file_id: str
    filename: str
    index: int


def mark(name: str) -> str:
    """What a model writes to cite the document of this name."""
    return f"<|{name}|>"


def name_documents(passages: Sequence[Passage]) -> dict[str, Passage]:
    """A name for each document, in their order, with the first passage of it; a document is a `document_id` of one store or of several."""
    firsts = {passage.document_id: passage for passage in reversed(passages)}
    documents = [passage for passage in passages if firsts[passage.document_id] is passage]
    ids = {passage.document_id for passage in documents}
    names: dict[str, Passage] = {}
    for passage in documents:
        name = passage.document_id
        names[name if _NAME.fullmatch(name) else _made_name(name, ids)] = passage
    return names


def _made_name(document_id: str, ids: Collection[str]) -> str:
    """By the id alone, so that a document is called alike in every list of passages."""
    digest = sha256(document_id.encode(errors="surrogatepass")).hexdigest()
    return next(name for size in range(DIGITS, len(digest)) if (name := f"document-{digest[:size]}") not in ids)


@dataclass(slots=True)
class CitationReader:
    """Reads an answer whose marks may name `documents`; `citations` are those of what was given out so far."""

    documents: Mapping[str, Passage]
    citations: list[FileCitation] = field(default_factory=list[FileCitation])
    _rest: str = ""
    _length: int = 0

    def read(self, text: str) -> str:
        """What can be given out of the answer now: without marks, and without what may become one."""
        self._rest += text
        beginning = _BEGUN.search(self._rest)
        end = len(self._rest) if beginning is None else beginning.start()
        whole, self._rest = self._rest[:end], self._rest[end:]
        return self._give(whole)

    def close(self) -> str:
        """The rest, since no more comes."""
        whole, self._rest = self._rest, ""
        return self._give(whole)

    def _give(self, text: str) -> str:
        return "".join(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[str]:
        begin = 0
        for match in _MARK.finditer(text):
            name: str = match[match.lastgroup or 0]
            if name not in self.documents:
                continue
            yield self._count(text[begin : match.start()])
            begin = match.end()
            self._cite(self.documents[name])
        yield self._count(text[begin:])

    def _count(self, text: str) -> str:
        self._length += len(text)
        return text

    def _cite(self, passage: Passage) -> None:
        self.citations.append(
            {
                "type": "file_citation",
                "file_id": passage.document_id,
                "filename": passage.filename,
                "index": self._length,
            }
        )


def resolve_citations(text: str, documents: Mapping[str, Passage]) -> tuple[str, list[FileCitation]]:
    """A whole answer without its marks, and what they cite."""
    reader = CitationReader(documents)
    return reader.read(text) + reader.close(), reader.citations
