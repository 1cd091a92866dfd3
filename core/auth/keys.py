"""The keys that an issuer publishes: which algorithms each fits, how long they hold, and when the issuer is asked again.

Sources: RFC 7517 (JWK), RFC 7518, 3 (algorithms, 2048 bits), RFC 8725, 3.1 (the key fits one algorithm, not the token).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, Final, cast

from jwt.algorithms import ECAlgorithm, RSAAlgorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError

from core.auth.endpoint import as_object
from core.auth.http import UNAVAILABLE
from core.errors import AuthUnavailable, Unauthenticated

PAUSE: Final = 30.0
"""Seconds after an unknown kid in which no other unknown kid makes us ask."""

LEAST_BITS: Final = 2048
RSA: Final = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
CURVES: Final = {"P-256": frozenset(("ES256",)), "P-384": frozenset(("ES384",)), "P-521": frozenset(("ES512",))}
ALGORITHMS: Final = RSA.union(*CURVES.values())
IMPLEMENTED: Final = {name: cast("Any", made) for name, made in get_default_algorithms().items() if name in ALGORITHMS}


@dataclass(frozen=True, slots=True)
class Key:
    """A public key; `issuer` is the one that the discovery document names, None where there was none."""

    kid: str | None
    algorithms: frozenset[str]
    public: Any
    issuer: str | None = None

    def signed(self, algorithm: str, content: bytes, signature: bytes) -> bool:
        """`algorithm` is one of `algorithms`."""
        return bool(IMPLEMENTED[algorithm].verify(content, self.public, signature))


def parse_keys(document: object, issuer: str | None = None) -> list[Key]:
    """The usable keys of a JWKS; what is malformed, secret, weak or not for signatures is left out.

    Raises:
        ValueError: it is no JWKS.
    """
    entries = as_object(document).get("keys")
    if not isinstance(entries, list):
        raise ValueError("no JWKS")  # noqa: TRY004 - one kind for all that is malformed
    keys = (_key(cast("dict[str, Any]", entry), issuer) for entry in cast("list[object]", entries) if _usable(entry))
    return [key for key in keys if key is not None]


class KeySet:
    """What `publish` answers, for `recheck` seconds; after that nothing of it is used. A failure is not remembered."""

    def __init__(
        self,
        publish: Callable[[], Awaitable[Sequence[Key]]],
        *,
        recheck: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`publish` raises AuthUnavailable."""
        self._publish = publish
        self._recheck = recheck
        self._clock = clock
        self._keys: Sequence[Key] = ()
        self._stale_at = -inf
        self._paused_until = -inf
        self._answered = False
        self._flight: asyncio.Task[Sequence[Key]] | None = None

    async def find(self, kid: str | None, algorithm: str) -> list[Key]:
        """The keys that may have signed a token with this header, at least one.

        Raises:
            Unauthenticated: the issuer has no such key.
            AuthUnavailable: the issuer does not say.
        """
        asked = self._clock() >= self._stale_at
        keys = await self._fetched() if asked else self._keys
        if kid is None:
            return _only(keys, algorithm)
        named = _named(keys, kid)
        if not named:
            named = _named(await self._again(asked=asked), kid)
        if not named:
            raise Unauthenticated("The token's key (kid) is not one of the issuer's. Get a new token.")
        found = [key for key in named if algorithm in key.algorithms]
        if not found:
            raise Unauthenticated("The token's algorithm (alg) does not fit its key (kid).")
        return found

    async def _again(self, *, asked: bool) -> Sequence[Key]:
        """What the issuer publishes now, if it was not asked for an unknown kid within PAUSE, else nothing."""
        due = self._clock() >= self._paused_until
        if due:
            self._paused_until = self._clock() + PAUSE
        if not asked and (due or self._flying()):
            return await self._fetched()
        if not self._answered:
            raise AuthUnavailable(UNAVAILABLE)
        return ()

    async def _fetched(self) -> Sequence[Key]:
        """One request for all who wait; one who leaves takes nobody along."""
        if self._flight is None or not self._flying():
            self._flight = asyncio.create_task(self._fetch())
            self._flight.add_done_callback(_seen)
        return await asyncio.shield(self._flight)

    def _flying(self) -> bool:
        flight = self._flight
        return flight is not None and not flight.done() and flight.get_loop() is asyncio.get_running_loop()

    async def _fetch(self) -> Sequence[Key]:
        self._answered = False
        asked_at = self._clock()
        self._keys = await self._publish()
        self._stale_at = asked_at + self._recheck
        self._answered = True
        return self._keys


def _seen(flight: asyncio.Task[Sequence[Key]]) -> None:
    if not flight.cancelled():
        flight.exception()  # else asyncio logs it when everybody who waited has left


def _named(keys: Sequence[Key], kid: str) -> list[Key]:
    return [key for key in keys if key.kid == kid]


def _only(keys: Sequence[Key], algorithm: str) -> list[Key]:
    fitting = [key for key in keys if algorithm in key.algorithms]
    if len(fitting) != 1:
        raise Unauthenticated("The token names no key (kid), and not exactly one of the issuer's fits its algorithm.")
    return fitting


def _usable(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    jwk = cast("dict[str, Any]", entry)
    return jwk.get("use") in (None, "sig") and isinstance(jwk.get("kid"), str | None) and "d" not in jwk


def _key(jwk: Mapping[str, Any], issuer: str | None) -> Key | None:
    fitting, public = _public(jwk)
    named = jwk.get("alg")
    algorithms = fitting if named is None else frozenset(name for name in fitting if name == named)
    return Key(jwk.get("kid"), algorithms, public, issuer) if algorithms else None


def _public(jwk: Mapping[str, Any]) -> tuple[frozenset[str], Any]:
    """The algorithms that a key of this type fits, none if it is not usable, and the key."""
    none: frozenset[str] = frozenset()
    kind = jwk.get("kty")
    members = ("n", "e") if kind == "RSA" else ("crv", "x", "y")
    parts = {name: jwk.get(name) for name in members}
    if kind not in ("RSA", "EC") or not all(isinstance(part, str) for part in parts.values()):
        return none, None
    try:
        if kind == "EC":
            fits = CURVES.get(parts["crv"] or "", none)
            return fits, ECAlgorithm.from_jwk({"kty": "EC", **parts}) if fits else None
        public = RSAAlgorithm.from_jwk({"kty": "RSA", **parts})
    except (InvalidKeyError, ValueError):
        return none, None
    return (RSA if cast("Any", public).key_size >= LEAST_BITS else none), public
