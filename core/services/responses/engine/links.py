"""Links in a model's text to pages that it was shown, as `url_citation`s. Pure.

A link is Markdown's, `[title](url)`; the text stays as it is. Source: https://platform.openai.com/docs/guides/tools-web-search.
"""

from collections.abc import Iterator, Mapping
import re
from typing import Final

from core.frame.types import JsonObject

LINK: Final = re.compile(
    r'\[(?P<title>[^\[\]\n]{1,300}+)\]\((?P<url>(?:[^\s()\[\]]++|\([^\s()\[\]]*+\))++)(?:\s{1,9}+"[^"\n\[]{0,300}+")?+\)'
)
MOST_LINK: Final = 3000
"""Characters of a link, from its bracket on."""


class LinkReader:
    """Fed with the pieces of a text; `pages` are titles by URLs."""

    __slots__ = ("_begin", "_pages", "_rest")

    def __init__(self, pages: Mapping[str, str]) -> None:
        self._pages = pages
        self._rest = ""  # the end of the text so far, in which a link may have begun
        self._begin = 0  # where that is in the text

    def read(self, piece: str) -> Iterator[JsonObject]:
        """The citations that are whole with this piece; indices count characters of the whole text."""
        text = self._rest + piece
        end = 0
        for match in LINK.finditer(text):
            end = match.end()
            if (page := self._find(match["url"])) is not None:
                yield {
                    "type": "url_citation",
                    "url": page,
                    "title": self._pages[page] or match["title"],
                    "start_index": self._begin + match.start(),
                    "end_index": self._begin + end,
                }
        self._keep(text, end)

    def _find(self, url: str) -> str | None:
        """Models leave out the slash at the end, or put one."""
        return next((page for page in (url, f"{url}/", url.removesuffix("/")) if page in self._pages), None)

    def _keep(self, text: str, end: int) -> None:
        bracket = text.rfind("[", max(end, len(text) - MOST_LINK))
        self._rest = "" if bracket < 0 else text[bracket:]
        self._begin += len(text) - len(self._rest)
