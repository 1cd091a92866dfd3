"""The key that the stack has in its state, where no key of KMS is named: made once, and the same for all who have that state.

    seal_key      id compaction   {name, secret}
    webhook_key   id endpoints    the same, of what webhooks are signed with

It keeps callers from reading and from forging what they are given to keep. Whoever reads the state reads what is said there anyway.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from secrets import token_bytes, token_hex
from typing import Final

from core.apis.sealing import KEY_BYTES, DataKey
from core.errors import Conflict, StateUnavailable
from core.platform.ttl_cache import TtlCache
from core.services.parts import Parts
from core.stores.documents.port import Document, DocumentStore

SECONDS: Final = 300.0  # that it is remembered
NAME_BYTES: Final = 16
GONE: Final = "The key that {} are sealed with was removed just now; try again."


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """The document of a key: in the place for documents that the run config calls `store`. `sealed_things` are what it seals, in the plural."""

    store: str
    collection: str
    id: str
    sealed_things: str


OF_RESPONSES: Final = KeyPlace("responses", "seal_key", "compaction", "compacted contexts")


class StateKey:
    """Answers `core.apis.sealing.DataKeys`; who the owner is is in what is sealed, and not in the key."""

    def __init__(self, parts: Parts, place: KeyPlace = OF_RESPONSES) -> None:
        """Nothing is read before the first call."""
        self._parts = parts
        self._place = place
        self._known: TtlCache[str, DataKey] = TtlCache(SECONDS)
        parts.end_with(self._known.close)

    async def make(self, owner: str) -> DataKey:
        del owner
        return await self._known.get(self._place.id, self._find_or_create)

    async def open(self, name: bytes, owner: str) -> bytes | None:
        del owner
        key = self._known.peek(self._place.id)
        if key is None and (key := await self._find()) is not None:
            self._known.put(self._place.id, key)
        return key.secret if key is not None and key.name == name else None

    async def _find(self) -> DataKey | None:
        return _read(await self._store.get(self._place.collection, self._place.id))

    @property
    def _store(self) -> DocumentStore:
        return self._parts.stores.collection(self._place.store)

    async def _find_or_create(self) -> DataKey:
        key = await self._find()
        if key is None:
            body = {"name": token_hex(NAME_BYTES // 2), "secret": b64encode(token_bytes(KEY_BYTES)).decode()}
            try:
                key = _read(await self._store.create(Document(self._place.collection, self._place.id, body)))
            except Conflict:  # another one was faster
                key = await self._find()
        if key is None:
            raise StateUnavailable(GONE.format(self._place.sealed_things))
        return key


def _read(document: Document | None) -> DataKey | None:
    if document is None:
        return None
    return DataKey(document.body["name"].encode(), b64decode(document.body["secret"]))
