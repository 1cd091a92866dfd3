"""The keys that an issuer publishes: which algorithms each fits, how long they hold, and when the issuer is asked again.

Sources: RFC 7517 (JWK), RFC 7518, 3 (algorithms, 2048 bits), RFC 8725, 3.1 (the key fits one algorithm, not the token).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, Final, cast

from jwt.api_jwk import PyJWK
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from core.auth.http import UNAVAILABLE
from core.errors import AuthUnavailable, Unauthenticated
from core.frame.types import JsonObject
from core.platform.json_values import to_object
from core.platform.ttl_cache import TtlCache

PAUSE: Final = 30.0
"""Seconds after an unknown kid in which no other unknown kid makes us ask."""

RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS: Final = (*RSA, "ES256", "ES384", "ES512")
JWS: Final = PyJWS(ALGORITHMS)
USABLE: Final[Mapping[str, tuple[object, ...]]] = {
    "kty": ("RSA", "EC"),
    "crv": (None, "P-256", "P-384", "P-521"),
    "use": (None, "sig"),
    "alg": (None, *ALGORITHMS),
    "d": (None,),  # a secret key that somebody published
}


@dataclass(frozen=True, slots=True)
class Key:
    """A public key; `issuer` is the one that the discovery document names, None where there was none."""

    kid: str | None
    algorithms: tuple[str, ...]
    public: Any
    issuer: str | None = None

    def verifies(self, algorithm: str, content: bytes, signature: bytes) -> bool:
        """`algorithm` is one of `algorithms`."""
        return JWS.get_algorithm_by_name(algorithm).verify(content, self.public, signature)


def parse_keys(document: object, issuer: str | None = None) -> list[Key]:
    """The usable keys of a JWKS; what is malformed, secret, weak or not for signatures is left out.

    PyJWKSet does not do: it takes secret keys and weak ones, and one odd entry can make it fail.

    Raises:
        ValueError: it is no JWKS.
    """
    entries = to_object(document).get("keys")
    if not isinstance(entries, list):
        raise ValueError("no JWKS")  # noqa: TRY004 - one kind for all that is malformed
    keys = (_key(to_object(entry), issuer) for entry in cast("list[object]", entries))
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
        self._clock = clock
        self._keys: TtlCache[None, Sequence[Key]] = TtlCache(recheck, clock=clock)
        self._paused_until = -inf
        self._answered = False

    async def find(self, kid: str | None, algorithm: str) -> list[Key]:
        """The keys that may have signed a token with this header, at least one.

        Raises:
            Unauthenticated: the issuer has no such key.
            AuthUnavailable: the issuer does not say.
        """
        remembered = self._keys.peek(None)
        fresh = remembered is None
        keys = await self._keys.refresh(None, self._fetch) if remembered is None else remembered
        if kid is None:
            return _only_fit(keys, algorithm)
        candidates = _with_kid(keys, kid) or _with_kid(await self._look_again(fresh=fresh), kid)
        if not candidates:
            raise Unauthenticated("The token's key (kid) is not one of the issuer's. Get a new token.")
        fitting = [key for key in candidates if algorithm in key.algorithms]
        if not fitting:
            raise Unauthenticated("The token's algorithm (alg) does not fit its key (kid).")
        return fitting

    async def close(self) -> None:
        """End the asking that is under way; a later one raises ServerStopping."""
        await self._keys.close()

    async def _look_again(self, *, fresh: bool) -> Sequence[Key]:
        """What the issuer publishes now, if it was not asked for an unknown kid within PAUSE, else nothing.

        `fresh` says that it was asked a moment ago, for the same token: it is not asked twice.
        """
        due = self._clock() >= self._paused_until
        if due:
            self._paused_until = self._clock() + PAUSE
        if not fresh and (due or self._keys.is_reading(None)):
            return await self._keys.refresh(None, self._fetch)
        if not self._answered:
            raise AuthUnavailable(UNAVAILABLE)
        return ()

    async def _fetch(self) -> Sequence[Key]:
        self._answered = False
        keys = await self._publish()
        self._answered = True
        return keys


def _with_kid(keys: Sequence[Key], kid: str) -> list[Key]:
    return [key for key in keys if key.kid == kid]


def _only_fit(keys: Sequence[Key], algorithm: str) -> list[Key]:
    fitting = [key for key in keys if algorithm in key.algorithms]
    if len(fitting) != 1:
        raise Unauthenticated(
            "The token names no key (kid), and the issuer does not have exactly one that fits its algorithm."
        )
    return fitting


def _key(entry: JsonObject, issuer: str | None) -> Key | None:
    usable = all(entry.get(name) in values for name, values in USABLE.items())
    if not usable or not isinstance(entry.get("kid"), str | None):
        return None
    try:
        jwk = PyJWK(entry)  # for one algorithm: that of `alg`, else one that fits the type and curve
        public = jwk.Algorithm.prepare_key(jwk.key)  # the curve of `crv` may not be that of `alg`
    except PyJWTError:
        return None
    if jwk.Algorithm.check_key_length(public) is not None:  # less than 2048 bits (RFC 7518, 3.3)
        return None
    any_of_rsa = jwk.key_type == "RSA" and entry.get("alg") is None
    return Key(jwk.key_id, RSA if any_of_rsa else (jwk.algorithm_name,), public, issuer)
