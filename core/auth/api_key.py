"""api_key: keys made by `llambda keys create`, whose salted hashes are in the registry."""

from collections.abc import Callable
from dataclasses import replace
import logging
import time
from typing import Final

from core.auth import key_format
from core.auth.http import UNAVAILABLE
from core.auth.key_format import KIND, USE, StoredKey, last_use, use_at
from core.auth.verifier import Fit, Incoming, Services, Verifier, make_principal
from core.config.records import Record
from core.errors import ApiError, AuthUnavailable, Conflict, ProviderUnavailable, Unauthenticated
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.stores.registry.port import RegistryStore

LAST_USE_SECONDS: Final = 3600
REFUSED: Final = "The API key is not valid. It may be mistyped or revoked."
EXPIRED: Final = "The API key has expired. Ask for a new one."

log = logging.getLogger(__name__)


class Config(Record):
    """Nothing to configure: the keys are in the registry."""

    @property
    def vouched_by(self) -> str:
        return "api_key"


class ApiKeyVerifier:
    """A revoked key is refused as soon as it is gone from `store`, which may be cached."""

    def __init__(self, store: RegistryStore, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` is Unix time, in seconds."""
        self._store = store
        self._clock = clock
        self._noted: dict[str, float] = {}  # id -> when this process last tried to store its last use

    def fit(self, token: str) -> Fit:
        """MINE even for a key that is cut short, so that no other provider, as a remote endpoint, gets to see it."""
        return Fit.NO if key_format.parse(token) is None else Fit.MINE

    async def verify(self, incoming: Incoming) -> Principal:
        """The principal has the key's id and roles, and its name as label.

        Raises:
            Unauthenticated: unknown, revoked or wrong, which all look the same; or expired.
            AuthUnavailable: the registry cannot be read.
        """
        id_, secret = key_format.parse(incoming.token) or ("", "")
        resource = await self._read_registry(id_) if id_ else None
        key = key_format.read(resource) if resource is not None else None
        if resource is None or key is None or not key.matches(secret):
            raise Unauthenticated(REFUSED)
        now = self._clock()
        if key.is_past(now):
            raise Unauthenticated(EXPIRED)
        await self._note_use(id_, key, now)
        return replace(make_principal(id_, {"roles": key.roles}, "api_key"), label=key.name)

    async def _read_registry(self, id_: str) -> Resource | None:
        try:
            return await self._store.get(KIND, id_)
        except ProviderUnavailable as failure:
            raise AuthUnavailable(UNAVAILABLE) from failure

    async def _note_use(self, id_: str, key: StoredKey, now: float) -> None:
        """Store the time of use, unless it was less than an hour ago; apart from the key, which only its maker writes."""
        if now - max(key.last_used or 0, self._noted.get(id_, 0)) < LAST_USE_SECONDS:
            return
        self._noted[id_] = now
        try:
            earlier = await self._store.get(USE, id_)
            if now - last_use(earlier) < LAST_USE_SECONDS:
                self._noted[id_] = last_use(earlier)
            elif earlier is None or not await self._store.replace(use_at(id_, int(now))):
                await self._store.create(use_at(id_, int(now)))
        except Conflict:
            return  # another process stored it just now
        except ApiError as failure:
            log.warning("API key %s: its last use was not stored: %s", id_, failure.message)


def connect(config: Config, services: Services) -> Verifier:
    del config
    return ApiKeyVerifier(services.registry)
