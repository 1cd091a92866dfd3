"""The documents of prompts as one caller has them: each change is one conditional write of a prompt's record."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Final

from core.errors import Conflict, InvalidRequest, NotFound
from core.frame.callers import principal_of
from core.routing.documents import GuardedDocuments
from core.routing.guard import Item
from core.services.parts import CallerState
from core.services.prompts.keeping import addition, refusal, removal
from core.services.prompts.records import (
    ID,
    PREFIX,
    PROMPT,
    VERSION,
    PromptRecord,
    Version,
    show_default,
    version_id,
)
from core.stores.documents.port import Document, DocumentStore, StaleDocument, TallyExceeded

COLLECTION: Final = "prompts"  # as the run config names its store
PAGE: Final = 100
TRIES: Final = 10  # of a change that others have got ahead of

type Change = Callable[[PromptRecord], PromptRecord]


@dataclass(frozen=True, slots=True)
class PromptCollection(CallerState):
    @property
    def store(self) -> DocumentStore:
        """Raises StateUnavailable where the run config names none."""
        return self.parts.stores.collection(COLLECTION)

    @property
    def documents(self) -> GuardedDocuments:
        """Those that the caller may see, of everybody."""
        return GuardedDocuments(self.store, self.guard, PROMPT, PROMPT, lambda document: dict(show_default(document)))

    async def create(self, text: str, variables: list[str]) -> Document:
        """Raises PermissionDenied, and LimitReached where the caller may keep no more."""
        limits, first = self.parts.keep_limits(principal_of(self.call)), Version(1, text, variables)
        record = PromptRecord(first, first, counted=limits.prompts is not None)
        try:
            return await self.documents.create(
                PREFIX + token_hex(24), record.body(), parent=self.owner, tally=addition(self.owner, limits)
            )
        except TallyExceeded as exceeded:
            raise refusal(exceeded) from None

    async def get(self, prompt_id: str) -> tuple[Document, PromptRecord]:
        """Raises NotFound also for one that the caller may not read."""
        if not ID.fullmatch(prompt_id):
            raise NotFound(
                f"There is no prompt `{prompt_id[:100]}`: ids are `pmpt_` and 48 digits in hex.", param="prompt_id"
            )
        document = await self.documents.get(prompt_id)
        return document, PromptRecord.read(document.body)

    async def version(self, prompt_id: str, record: PromptRecord, number: int) -> Version:
        """Raises NotFound where the prompt has no such version."""
        for candidate in (record.newest, record.default):
            if candidate.version == number:
                return candidate
        document = None
        if number < record.newest.version:
            document = await self.store.get(VERSION, version_id(prompt_id, number))
        if document is None:
            raise NotFound(
                f"Prompt `{prompt_id}` has no version {number}; its newest is {record.newest.version}.", param="version"
            )
        return Version.read(document.body)

    async def append(self, prompt_id: str, text: Version, *, as_default: bool) -> PromptRecord:
        """Keep `text` as the version after the newest, which must be the one before it.

        Raises:
            InvalidRequest: it is not, or has ceased to be.
        """

        def change(record: PromptRecord) -> PromptRecord:
            _check_newest(prompt_id, record, text.version - 1)
            return replace(record, newest=text, default=text if as_default else record.default)

        return await self._change(prompt_id, change, archives=True)

    async def set_default(self, prompt_id: str, version: Version) -> PromptRecord:
        return await self._change(prompt_id, lambda record: replace(record, default=version))

    async def _change(self, prompt_id: str, change: Change, *, archives: bool = False) -> PromptRecord:
        """Write what `change` makes of the record, as often as others are ahead of it; `archives` is for a new version."""
        for tries_left in reversed(range(TRIES)):
            document, record = await self.get(prompt_id)
            self.guard.require("update", Item(PROMPT, prompt_id, document.owner))
            changed = change(record)
            if archives:
                await self._archive(document, record.newest)
            try:
                await self.documents.put(document, changed.body())
            except StaleDocument:
                if archives and await self.store.get(PROMPT, prompt_id) is None:
                    await self._remove_versions(prompt_id)  # whoever deleted the prompt may not have seen it
                if not tries_left:
                    raise
            else:
                return changed
        raise AssertionError  # pragma: no cover - the last try returns or raises

    async def _archive(self, document: Document, version: Version) -> None:
        """All of one prompt are in the order of their ids, so `created` is the same."""
        place = version_id(document.id, version.version)
        with suppress(Conflict):  # another one who makes a version was here: it is the same
            await self.store.create(Document(VERSION, place, version.body(), document.id, document.owner))

    async def delete(self, document: Document) -> bool:
        """Remove it with its versions, whoever owns it; False if it was gone already."""
        current: Document | None = document
        for tries_left in reversed(range(TRIES)):
            if current is None:
                break
            record = PromptRecord.read(current.body)
            await self._remove_versions(current.id)
            try:
                tally = removal(current.parent, counted=record.counted)
                return await self.store.delete(current, expect=current.revision, tally=tally)
            except StaleDocument as stale:  # it has a version more
                if not tries_left:
                    raise
                current = stale.document
        return False

    async def _remove_versions(self, prompt_id: str) -> None:
        more = True
        while more:
            page = await self.store.page(VERSION, prompt_id, limit=PAGE)
            for document in page.documents:
                await self.store.delete(document)
            more = page.has_more


def _check_newest(prompt_id: str, record: PromptRecord, version: int) -> None:
    newest = record.newest.version
    if newest != version:
        raise InvalidRequest(
            f"version: {version} is not the newest version of `{prompt_id}`: that is {newest}. "
            f"Look at what it says, and send your change with `version` {newest}.",
            param="version",
        )
