"""Tokens that an issuer has signed: JWTs in compact form, verified with the keys that it publishes.

Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best practices). The header is only ever used to choose: among our
algorithms, among the issuer's keys. What it embeds or points to (jwk, jku, x5c, x5u) is not looked at.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Container
from dataclasses import dataclass
from time import time
from typing import Any, cast

from pydantic_core import from_json

from core.auth.claims import Claims, check_issuer, check_times
from core.auth.keys import ALGORITHMS, KeySet
from core.auth.verifier import MOST_TOKEN_BYTES, Fit, Incoming
from core.errors import Unauthenticated
from core.frame.callers import Principal
from core.frame.types import JsonObject


@dataclass(frozen=True, slots=True, repr=False)
class Signed:
    """A JWT taken apart, with nothing verified; `content` is what `signature` is of."""

    header: JsonObject
    claims: JsonObject
    content: bytes
    signature: bytes


def take_apart(token: str) -> Signed | None:
    """None if it is not of a JWT's shape. Of members that repeat, the last counts (RFC 7519, 4)."""
    if len(token) > MOST_TOKEN_BYTES:
        return None
    try:
        header, claims, signature = token.encode("ascii").split(b".")
        signed = Signed(_object(header), _object(claims), header + b"." + claims, _decoded(signature))
    except ValueError:
        return None
    return signed if "alg" in signed.header else None


class JwtVerifier:
    """`accept` decides what of verified claims is enough, and who they are about; it raises Unauthenticated."""

    def __init__(
        self,
        keys: KeySet,
        accept: Callable[[Claims], Principal],
        *,
        issuer: str | None = None,
        algorithms: Container[str] = ALGORITHMS,
    ) -> None:
        """Without `issuer`, it is the one that the discovery document names, if the keys come by way of one."""
        self._keys = keys
        self._accept = accept
        self._issuer = issuer
        self._algorithms = algorithms

    def fit(self, token: str) -> Fit:
        """MINE if the token says that the configured issuer issued it."""
        signed = take_apart(token)
        if signed is None:
            return Fit.NO
        issuer = signed.claims.get("iss")
        if self._issuer is None or issuer is None:
            return Fit.MAYBE
        return Fit.MINE if issuer == self._issuer else Fit.NO

    async def verify(self, incoming: Incoming) -> Principal:
        signed = take_apart(incoming.token)
        if signed is None:
            raise Unauthenticated("The token is not a JSON Web Token of an acceptable size.")
        kid, algorithm = self._chosen(signed.header)
        keys = await self._keys.find(kid, algorithm)
        signer = next((key for key in keys if key.signed(algorithm, signed.content, signed.signature)), None)
        if signer is None:
            raise Unauthenticated("The token's signature is not valid.")
        check_issuer(signed.claims, self._issuer or signer.issuer)
        check_times(signed.claims, time())
        return self._accept(signed.claims)

    def _chosen(self, header: JsonObject) -> tuple[str | None, str]:
        kid, algorithm = header.get("kid"), header["alg"]
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise Unauthenticated("The token's algorithm (alg) is not allowed. Use one with a public key, as RS256.")
        if "crit" in header:
            raise Unauthenticated("The token has critical header fields (crit), which are not supported.")
        if not isinstance(kid, str | None):
            raise Unauthenticated("The token's key (kid) is not text.")
        return kid, algorithm


def _object(segment: bytes) -> JsonObject:
    value = from_json(_decoded(segment), allow_inf_nan=False)
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - one kind for all that is malformed
    return cast("dict[str, Any]", value)


def _decoded(segment: bytes) -> bytes:
    """Raises ValueError unless `segment` is the one way to write it: no padding, no other alphabet, no spare bits."""
    content = urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    if urlsafe_b64encode(content).rstrip(b"=") != segment:
        raise ValueError("no base64url")
    return content
