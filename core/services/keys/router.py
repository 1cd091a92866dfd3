"""Keys as one caller gets them."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final

from core.apis.answers.keys import Key, KeyList, KeyWithSecret
from core.apis.keys import ChangedKey, KeysQuery, NewKey, RotatedKey
from core.errors import InvalidRequest, NotFound
from core.services.keys.changes import PAGE, StoredKeys, missing
from core.services.keys.limits import KeySpending, allowances_of
from core.services.keys.rules import KeyRules
from core.services.keys.shown import show
from core.stores.registry.kept_key import KeptKey
from core.stores.registry.key_format import ID, issue

NOT_KEPT: Final = "no-store"
"""Of an answer with a secret (RFC 9111, 5.2.2.5)."""
CLEARABLE: Final = frozenset({"models", "expires"})  # where null is a value: all of them, and never


class KeysRouter:
    """Answers `core.apis.keys.Keys`."""

    def __init__(
        self, store: StoredKeys, rules: KeyRules, spending: KeySpending, headers: MutableMapping[str, str]
    ) -> None:
        """`headers` are those of the answer."""
        self._store = store
        self._rules = rules
        self._spending = spending
        self._headers = headers

    async def create(self, request: NewKey) -> KeyWithSecret:
        now, limits = self._store.now, allowances_of(request.limits)
        self._spending.require_counting(limits)
        token, resource = issue(
            request.name,
            request.roles,
            teams=request.teams,
            models=request.models,
            limits=limits,
            expires=request.expires,
            now=now,
            owner=self._rules.guard.owner,
        )
        entry = KeptKey.read(resource)
        assert entry is not None  # noqa: S101 - of the form that it was just names
        self._rules.require_create(entry.id)
        self._check(request, now)
        self._rules.require_gift(entry.key)
        await self._store.registry.create(resource, by=self._store.author)
        return {**await self._show(entry), "key": self._once(token)}

    async def index(self, *, query: KeysQuery) -> KeyList:
        visible: list[KeptKey] = []
        after, more = query.after, True
        while more and len(visible) <= query.limit:
            rows = await self._store.page(after=after, limit=PAGE)
            keys = [key for row in rows if (key := KeptKey.read(row)) is not None]
            visible += [key for key in keys if self._rules.may_read(key) and (query.revoked or key.key.revoked is None)]
            more = len(rows) == PAGE
            after = rows[-1].identifier if rows else after
        data = list(await asyncio.gather(*(self._show(entry) for entry in visible[: query.limit])))
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {
            "object": "list",
            "data": data,
            "first_id": first,
            "last_id": last,
            "has_more": len(visible) > query.limit,
        }

    async def get(self, key_id: str) -> Key:
        return await self._show(await self._readable(key_id))

    async def update(self, request: ChangedKey, key_id: str) -> Key:
        entry = await self._readable(key_id)
        self._rules.require("update", entry)
        self._check(request, self._store.now)
        names = request.model_fields_set - {"force", "limits"}
        changes: dict[str, Any] = {
            name: value for name in names if (value := getattr(request, name)) is not None or name in CLEARABLE
        }
        if request.limits is not None:
            changes["limits"] = limits = allowances_of(request.limits)
            self._spending.require_counting(limits)
            if not request.force:
                await self._spending.require_room(entry, limits)

        def make(entry: KeptKey) -> KeptKey:
            self._rules.require("update", entry)
            changed = entry.change(**changes)
            self._rules.require_gift(changed.key, entry.key)
            return changed

        return await self._show(await self._store.change(key_id, make))

    async def rotate(self, request: RotatedKey, key_id: str) -> KeyWithSecret:
        def look(entry: KeptKey) -> None:
            self._rules.require("update", entry)
            self._rules.require_gift(entry.key)  # whoever gets the new secret gets all that the key opens

        await self._readable(key_id)
        token, entry = await self._store.rotate(key_id, look, overlap=request.overlap, force=request.force)
        return {**await self._show(entry), "key": self._once(token)}

    async def revoke(self, key_id: str) -> Key:
        await self._readable(key_id)
        principal = self._rules.guard.principal
        by = None if principal is None else principal.id
        entry = await self._store.revoke(key_id, lambda entry: self._rules.require("delete", entry), by=by)
        return await self._show(entry)

    def _check(self, request: NewKey | ChangedKey, now: int) -> None:
        if request.expires is not None and request.expires <= now:
            raise InvalidRequest("It is in the past: `expires` is in Unix seconds.", param="expires")
        if not request.force:
            self._rules.check_names({"roles": request.roles or (), "teams": request.teams or ()})

    async def _readable(self, key_id: str) -> KeptKey:
        """Raises NotFound for one that the caller may not read, too."""
        asked_at = self._rules.guard.now()
        try:
            entry = await self._store.find(key_id) if ID.fullmatch(key_id) else None
            if entry is None or not self._rules.may_read(entry):
                raise missing()
        except NotFound:
            await self._rules.guard.pause(asked_at)
            raise
        return entry

    async def _show(self, entry: KeptKey) -> Key:
        last_used, limits = await asyncio.gather(self._store.last_used(entry), self._spending.show(entry))
        return show(entry, last_used=last_used, limits=limits, now=self._store.now)

    def _once(self, token: str) -> str:
        self._headers["cache-control"] = NOT_KEPT
        return token
