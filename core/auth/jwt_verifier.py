"""Tokens that an issuer has signed: JWTs in compact form, verified with the keys that it publishes.

Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best practices; 3.11 of `typ`). The header is only ever used to choose: among our
algorithms, among the issuer's keys. What it embeds or points to (jwk, jku, x5c, x5u) is not looked at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import time
from typing import Final

from jwt.exceptions import DecodeError, InvalidTokenError

from core.auth.claims import Claims, check_issuer, check_kind, check_times
from core.auth.keys import ALGORITHMS, JWS, KeySet
from core.auth.verifier import MOST_TOKEN_BYTES, Fit, Incoming
from core.errors import Unauthenticated
from core.frame.callers import Principal
from core.frame.types import JsonObject
from core.platform.json_reader import read_object
from core.platform.ttl_cache import TtlCache

DECODED_SECONDS: Final = 300.0
MOST_DECODED: Final = 200  # tokens, of at most 16 KB each
TYPES: Final = frozenset(("jwt", "at+jwt", "application/jwt", "application/at+jwt"))
"""What the header may call an access token: RFC 9068, 2.1, and what issuers of before it, and since, write."""
OTHER_TYPE: Final = "The token is of another type (typ) than JWT and at+jwt. Send an access token."
NOT_A_JWT: Final = "The token is not a JSON Web Token of an acceptable size."
BAD_HEADER: Final = (
    "The token has critical header fields (crit), which are not supported, or a key (kid) that is not text."
)


@dataclass(frozen=True, slots=True, repr=False)
class UnverifiedToken:
    """`content` is what `signature` is of."""

    header: JsonObject
    claims: JsonObject
    content: bytes
    signature: bytes


def parse(token: str) -> UnverifiedToken:
    """Nothing is verified. Raises Unauthenticated for what is no JWT, or has a header that we cannot honour."""
    # PyJWT also takes segments with padding, as AWS load balancers write them: a token has one spelling here.
    if len(token) > MOST_TOKEN_BYTES or "=" in token:
        raise Unauthenticated(NOT_A_JWT)
    try:
        parts = JWS.decode_complete(token, options={"verify_signature": False})
        claims = read_object(parts["payload"])  # jwt.decode would take NaN and lone surrogates
    except (DecodeError, ValueError):
        raise Unauthenticated(NOT_A_JWT) from None
    except InvalidTokenError:
        raise Unauthenticated(BAD_HEADER) from None
    header, signature = parts["header"], parts["signature"]
    if "alg" not in header:
        raise Unauthenticated(NOT_A_JWT)
    if str(header.get("typ", "JWT")).lower() not in TYPES:
        raise Unauthenticated(OTHER_TYPE)
    if "crit" in header:  # PyJWT knows one of them, b64, which no JWT may have (RFC 7797, 7)
        raise Unauthenticated(BAD_HEADER)
    return UnverifiedToken(header, claims, token.rpartition(".")[0].encode(), signature)


class JwtVerifier:
    """`accept` decides what of verified claims is enough, and who they are about; it raises Unauthenticated."""

    def __init__(
        self,
        keys: KeySet,
        accept: Callable[[Claims], Principal],
        *,
        issuer: str | None = None,
        algorithms: Sequence[str] = ALGORITHMS,
    ) -> None:
        """Without `issuer`, it is the one that the discovery document names, if the keys come by way of one."""
        self._keys = keys
        self._accept = accept
        self._issuer = issuer
        self._algorithms = algorithms
        self._decoded: TtlCache[bytes, UnverifiedToken] = TtlCache(DECODED_SECONDS, most=MOST_DECODED)

    def fit(self, token: str) -> Fit:
        """MINE if the token says that the configured issuer issued it."""
        try:
            issuer = (self._decoded.peek(_digest(token)) or parse(token)).claims.get("iss")
        except Unauthenticated:
            return Fit.NO
        if self._issuer is None or issuer is None:
            return Fit.MAYBE
        return Fit.MINE if issuer == self._issuer else Fit.NO

    async def verify(self, incoming: Incoming) -> Principal:
        # Callers send one token many times, and PyJWT's decoding costs more than the check of an RSA signature. Only what
        # a key has signed is remembered, so that nobody else can push it out; it is verified every time.
        digest = _digest(incoming.token)
        remembered = self._decoded.peek(digest)
        token = remembered or parse(incoming.token)
        algorithm = token.header["alg"]
        if algorithm not in self._algorithms:
            raise Unauthenticated(
                "The token's algorithm (alg) is not allowed. Use one with a public key, such as RS256."
            )
        keys = await self._keys.find(token.header.get("kid"), algorithm)
        signer = next((key for key in keys if key.verifies(algorithm, token.content, token.signature)), None)
        if signer is None:
            raise Unauthenticated("The token's signature is not valid.")
        if remembered is None:
            self._decoded.put(digest, token)
        check_issuer(token.claims, self._issuer or signer.issuer)
        check_kind(token.claims)
        check_times(token.claims, time())
        return self._accept(token.claims)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
