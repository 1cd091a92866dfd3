"""The key that the stack has in its state, where no key of KMS is named: made once, and the same for all who have that state.

    seal_key   id compaction   {name, secret}

It keeps callers from reading and from forging what they are given to keep. Whoever reads the state reads what is said there anyway.
"""

from base64 import b64decode, b64encode
from secrets import token_bytes, token_hex
from typing import Final

from core.apis.sealing import KEY_BYTES, DataKey
from core.errors import Conflict, StateUnavailable
from core.platform.ttl_cache import TtlCache
from core.services.parts import Parts
from core.stores.documents.port import Document

SEAL_KEY: Final = "seal_key"
ID: Final = "compaction"
STORE: Final = "responses"
SECONDS: Final = 300.0  # that it is remembered
NAME_BYTES: Final = 16


class StateKey:
    """Answers `core.apis.sealing.DataKeys`; who the owner is is in what is sealed, and not in the key."""

    def __init__(self, parts: Parts) -> None:
        """Nothing is read before the first call."""
        self._parts = parts
        self._known: TtlCache[str, DataKey] = TtlCache(SECONDS)
        parts.end_with(self._known.close)

    async def make(self, owner: str) -> DataKey:
        del owner
        return await self._known.get(ID, self._find_or_create)

    async def open(self, name: bytes, owner: str) -> bytes | None:
        del owner
        key = self._known.peek(ID)
        if key is None and (key := await self._find()) is not None:
            self._known.put(ID, key)
        return key.secret if key is not None and key.name == name else None

    async def _find(self) -> DataKey | None:
        return _read(await self._parts.stores.collection(STORE).get(SEAL_KEY, ID))

    async def _find_or_create(self) -> DataKey:
        key = await self._find()
        if key is None:
            body = {"name": token_hex(NAME_BYTES // 2), "secret": b64encode(token_bytes(KEY_BYTES)).decode()}
            try:
                key = _read(await self._parts.stores.collection(STORE).create(Document(SEAL_KEY, ID, body)))
            except Conflict:  # another one was faster
                key = await self._find()
        if key is None:
            raise StateUnavailable("The key that compacted contexts are sealed with was removed just now; try again.")
        return key


def _read(document: Document | None) -> DataKey | None:
    if document is None:
        return None
    return DataKey(document.body["name"].encode(), b64decode(document.body["secret"]))
