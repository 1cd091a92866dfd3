"""api_key: keys made by `llambda keys create`, whose salted hashes are in the registry."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
import logging
import time
from typing import Final

from core.auth.http import UNAVAILABLE
from core.auth.verifier import Fit, Incoming, Services, Verifier, make_principal
from core.config.records import Record
from core.errors import ApiError, AuthUnavailable, Conflict, PermissionDenied, ProviderUnavailable, Unauthenticated
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.platform.ttl_cache import TtlCache
from core.stores.registry import key_format
from core.stores.registry.cached import get_now
from core.stores.registry.key_format import KIND, USE, StoredKey, last_use, use_at
from core.stores.registry.port import RegistryStore

LAST_USE_SECONDS: Final = 3600
REFUSAL_SECONDS: Final = 60.0
"""For which a secret that was no key's is refused without a look: a key gets no secret that anybody has had before."""
REFUSED: Final = "The API key is not valid. It may be mistyped or revoked."
UNCOUNTED: Final = (
    "This API key has limits, and nothing would hold it to them: the stack has no server.quota, which counts what callers use. "
    "Whoever runs it configures one, or removes the limits."
)
EXPIRED: Final = "The API key has expired. Ask for a new one."

log = logging.getLogger(__name__)


class Config(Record):
    """Nothing to configure: the keys are in the registry."""

    @property
    def vouched_by(self) -> str:
        return "api_key"


class ApiKeyVerifier:
    """A revoked key is refused as soon as `store`, which may be cached, has it so; a new secret of a key passes at once.

    A secret that what is remembered of a known key does not have makes that key be read anew, once for all who wait for it
    (docs/adr/0112): so a refusal costs at most what that of an unknown key does, one read.
    """

    def __init__(self, store: RegistryStore, *, counts: bool = True, clock: Callable[[], float] = time.time) -> None:
        """`counts` is whether keys are held to limits of their own. `clock` is Unix time, in seconds."""
        self._counts = counts
        self._store = store
        self._clock = clock
        self._noted: dict[str, float] = {}  # id -> when this process last tried to store its last use
        self._refused: TtlCache[bytes, bool] = TtlCache(REFUSAL_SECONDS, clock=clock)  # by the digest of the token

    def fit(self, token: str) -> Fit:
        """MINE even for a key that is cut short, so that no other provider, as a remote endpoint, gets to see it."""
        return Fit.NO if key_format.parse(token) is None else Fit.MINE

    async def verify(self, incoming: Incoming) -> Principal:
        """See `bearer_of`.

        Raises:
            Unauthenticated: unknown, revoked or wrong, which all look the same; or expired.
            PermissionDenied: it has limits, and nothing holds it to them.
            AuthUnavailable: the registry cannot be read.
        """
        id_, secret = key_format.parse(incoming.token) or ("", "")
        now = self._clock()
        key = await self._read(id_, self._store.get) if id_ else None
        if key is not None and not key.opens(secret, now):
            key = await self._read_anew(id_, key, secret)
        if key is None:
            raise Unauthenticated(REFUSED)
        if key.is_past(now):
            raise Unauthenticated(EXPIRED)
        if not self._counts and is_limited(key):
            raise PermissionDenied(UNCOUNTED)
        await self._note_use(id_, key, now)
        return bearer_of(id_, key)

    async def _read_anew(self, id_: str, remembered: StoredKey, secret: str) -> StoredKey | None:
        """The key, if it has this secret by now; a key that was revoked gets no other."""
        digest = sha256(f"{id_}_{secret}".encode()).digest()
        if remembered.revoked is not None or self._refused.peek(digest):
            return None
        key = await self._read(id_, partial(get_now, self._store))
        if key is not None and key.opens(secret, self._clock()):
            return key
        self._refused.put(digest, value=True)
        return None

    async def _read(self, id_: str, get: Callable[[str, str], Awaitable[Resource | None]]) -> StoredKey | None:
        try:
            resource = await get(KIND, id_)
        except ProviderUnavailable as failure:
            raise AuthUnavailable(UNAVAILABLE) from failure
        return None if resource is None else key_format.read(resource)

    async def _note_use(self, id_: str, key: StoredKey, now: float) -> None:
        """Store the time of use, unless it was less than an hour ago; apart from the key, which only its maker writes."""
        if now - max(key.last_used or 0, self._noted.get(id_, 0)) < LAST_USE_SECONDS:
            return
        self._noted[id_] = now
        try:
            earlier = await self._store.get(USE, id_)
            if now - last_use(earlier) < LAST_USE_SECONDS:
                self._noted[id_] = last_use(earlier)
            elif earlier is None:
                await self._store.create(use_at(id_, int(now)))
            else:  # where it is another by now, another process has stored it just now, or the key is revoked
                await self._store.replace(use_at(id_, int(now)), expect=earlier)
        except Conflict:
            return  # as there
        except ApiError as failure:
            log.warning("API key %s: its last use was not stored: %s", id_, failure.message)


def is_limited(key: StoredKey) -> bool:
    """Whether it has limits that refuse; those that warn need no count to be kept."""
    return any(limit.hard for limit in key.limits)


def bearer_of(id_: str, key: StoredKey) -> Principal:
    """The principal has the key's id, roles and teams, its name as label, and what it is for as grant."""
    principal = make_principal(id_, key.attributes, "api_key")
    return replace(principal, label=key.name, grant=key.grant)


def connect(config: Config, services: Services) -> Verifier:
    del config
    return ApiKeyVerifier(services.registry, counts=services.counts)
