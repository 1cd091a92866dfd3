"""api_key: keys that `llambda keys create` made; their salted hashes are in the registry."""

from collections.abc import Callable
from dataclasses import replace
import logging
import time
from typing import Final

from core.auth import key_format
from core.auth.http import UNAVAILABLE
from core.auth.key_format import KIND, StoredKey
from core.auth.verifier import Fit, Incoming, Services, Verifier, isolated
from core.config.records import Record
from core.errors import ApiError, AuthUnavailable, ProviderUnavailable, Unauthenticated
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.stores.registry.port import RegistryStore

LAST_USE_SECONDS: Final = 3600
REFUSED: Final = "The API key is not valid. It may be mistyped or revoked."
EXPIRED: Final = "The API key has expired. Ask for a new one."

log = logging.getLogger(__name__)


class Config(Record):
    """It has no keys: what there is to say is in the registry."""


class ApiKeyVerifier:
    """A revoked key is refused as soon as `store`, which may be a cached one, says that it is gone."""

    def __init__(self, store: RegistryStore, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` is Unix time, in seconds."""
        self._store = store
        self._clock = clock
        self._noted: dict[str, float] = {}  # id -> when this process last tried to store its last use

    def fit(self, token: str) -> Fit:
        """A key is nobody else's, even cut short: no other provider gets to see it."""
        return Fit.NO if key_format.parse(token) is None else Fit.MINE

    async def verify(self, incoming: Incoming) -> Principal:
        """The key, as a principal with its roles.

        Raises:
            Unauthenticated: unknown, revoked or wrong, which all look the same; or expired.
            AuthUnavailable: the registry cannot be read.
        """
        id_, secret = key_format.parse(incoming.token) or ("", "")
        resource = await self._stored(id_) if id_ else None
        key = key_format.read(resource) if resource is not None else None
        if resource is None or key is None or not key.matches(secret):
            raise Unauthenticated(REFUSED)
        now = self._clock()
        if key.expired(now):
            raise Unauthenticated(EXPIRED)
        await self._note_use(resource, key, now)
        return isolated(id_, {"roles": key.roles}, "api_key")

    async def _stored(self, id_: str) -> Resource | None:
        try:
            return await self._store.get(KIND, id_)
        except ProviderUnavailable as failure:
            raise AuthUnavailable(UNAVAILABLE) from failure

    async def _note_use(self, resource: Resource, key: StoredKey, now: float) -> None:
        """Store the time of use, unless it was less than an hour ago; a key that is gone meanwhile stays away."""
        id_ = resource.identifier
        if now - max(key.last_used or 0, self._noted.get(id_, 0)) < LAST_USE_SECONDS:
            return
        self._noted[id_] = now
        used = key.model_copy(update={"last_used": int(now)})
        try:
            await self._store.replace(replace(resource, attributes=used.model_dump()))
        except ApiError as failure:
            log.warning("API key %s: its last use was not stored: %s", id_, failure.message)


def connect(config: Config, services: Services) -> Verifier:
    """Keys of the stack's own registry."""
    del config
    return ApiKeyVerifier(services.registry)
