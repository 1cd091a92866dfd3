"""What a model's text cites, while it is given out: documents by their marks, pages by links. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.services.responses.contract import Item, StepDone

if TYPE_CHECKING:
    from core.apis.retrieval import Passage
    from core.services.responses.engine.links import LinkReader
    from core.services.retrieval.citations import CitationReader


class Shown:
    """What a model was shown so far that it may cite: documents by the names in their marks, titles of pages by their URLs."""

    __slots__ = ("documents", "pages")

    def __init__(self) -> None:
        self.documents: dict[str, Passage] = {}
        self.pages: dict[str, str] = {}

    def add_context(self, items: Sequence[Item]) -> None:
        """What searches of earlier responses found."""
        for item in items:
            if item.get("type") == "file_search_call":
                from core.services.responses.tools.told import (
                    passages_of,  # late, here and below: most answers cite nothing
                )

                self._add_passages(passages_of(item))
            elif item.get("type") == "web_search_call":
                self._add_pages(to_object(item.get("action")).get("sources"))
                self._add_pages(item.get("results"))

    def add(self, step: StepDone) -> None:
        self._add_passages(step.passages)
        self._add_pages(step.sources)

    def _add_passages(self, passages: "Sequence[Passage]") -> None:
        if passages:
            from core.services.retrieval.citations import name_documents

            self.documents |= name_documents(passages)

    def _add_pages(self, sources: object) -> None:
        for source in cast("Sequence[object]", sources) if isinstance(sources, Sequence) else ():
            page = to_object(source)
            if isinstance(url := page.get("url"), str):
                self.pages[url] = str(page.get("title") or self.pages.get(url) or "")

    def cite(self) -> "Citing | None":
        """A reader of the next text, None where there is nothing to cite."""
        return Citing(self.documents, self.pages) if self.documents or self.pages else None


class Citing:
    """Reads one text. Marks go out of it, links stay."""

    __slots__ = ("_count", "_links", "_marks")

    def __init__(self, documents: "Mapping[str, Passage]", pages: Mapping[str, str]) -> None:
        self._marks = _read_marks(documents) if documents else None
        self._links = _read_links(pages) if pages else None
        self._count = 0

    def read(self, text: str) -> str:
        """What of it can be given out."""
        return text if self._marks is None else self._marks.read(text)

    def close(self) -> str:
        """The rest, since no more comes."""
        return "" if self._marks is None else self._marks.close()

    def cite(self, text: str) -> Iterator[JsonObject]:
        """The annotations of the `text` that was given out last, each once."""
        if self._marks is not None:
            for citation in self._marks.citations[self._count :]:
                yield {**citation}
            self._count = len(self._marks.citations)
        if self._links is not None:
            yield from self._links.read(text)


def _read_marks(documents: "Mapping[str, Passage]") -> "CitationReader":
    from core.services.retrieval.citations import CitationReader

    return CitationReader(documents)


def _read_links(pages: Mapping[str, str]) -> "LinkReader":
    from core.services.responses.engine.links import LinkReader

    return LinkReader(pages)
