"""Attacks on JWTs: what each is, how its token is made, and what the refusal says. The good token is `Issuer.mint()`."""

from collections.abc import Callable
import hashlib
import hmac
from time import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.auth.verifier import MOST_TOKEN_BYTES
from tests.parts.issuer import Issuer, ec_key, jwk, pem, rsa_key, segment, sign

NOT_A_JWT = "not a JSON Web Token"
ALGORITHM = "algorithm .* is not allowed"
UNKNOWN = "not one of the issuer's"
SIGNATURE = "signature is not valid"
AUDIENCE = "not for this audience"
ISSUER = "not issued by the configured issuer"
FUTURE = "in the future"

type Make = Callable[[Issuer], str]


def without_signature(algorithm: str) -> Make:
    return lambda issuer: f"{segment({'alg': algorithm, 'kid': 'a'})}.{segment(issuer.claims())}."


def headed(**header: Any) -> Make:
    return lambda issuer: issuer.mint(header=header)


def claiming(**claims: Any) -> Make:
    return lambda issuer: issuer.mint(**claims)


def forged(**header: Any) -> Make:
    """Signed by a key of the attacker's, which the header offers."""
    return lambda issuer: issuer.mint(key=rsa_key("attacker"), header=header)


def hmac_with(key: bytes, kid: str = "a") -> Make:
    def make(issuer: Issuer) -> str:
        content = f"{segment({'alg': 'HS256', 'kid': kid})}.{segment(issuer.claims())}"
        return f"{content}.{segment(hmac.digest(key, content.encode(), hashlib.sha256))}"

    return make


def raw_header(header: bytes) -> Make:
    return lambda issuer: sign(header, issuer.claims(), rsa_key(), "RS256")


def raw_claims(claims: bytes) -> Make:
    return lambda _: sign({"alg": "RS256", "kid": "a"}, claims, rsa_key(), "RS256")


def spoilt(index: int, change: Callable[[str], str]) -> Make:
    def make(issuer: Issuer) -> str:
        parts = issuer.mint().split(".")
        parts[index] = change(parts[index])
        return ".".join(parts)

    return make


def last_bits(text: str) -> str:
    """The same bytes, written with other spare bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def other_payload(issuer: Issuer) -> str:
    header, _, signature = issuer.mint().split(".")
    return f"{header}.{segment(issuer.claims(sub='root'))}.{signature}"


def zeros(issuer: Issuer) -> str:
    return (
        issuer.mint(key=ec_key(), algorithm="ES256", header={"kid": "ec"}).rpartition(".")[0] + "." + segment(bytes(64))
    )


def in_der(issuer: Issuer) -> str:
    content = f"{segment({'alg': 'ES256', 'kid': 'ec'})}.{segment(issuer.claims())}"
    return f"{content}.{segment(ec_key().sign(content.encode(), ec.ECDSA(hashes.SHA256())))}"


def as_is(text: str) -> Make:
    return lambda _: text


def published() -> list[dict[str, Any]]:
    """The JWKS that the attacks are against; entries from `enc` on, and those of no use at all, are not keys for us."""
    return [
        jwk(rsa_key(), "a"),
        jwk(ec_key(), "ec"),
        jwk(rsa_key(), "rs256", alg="RS256"),
        jwk(rsa_key(), "enc", use="enc"),
        {"kty": "oct", "kid": "oct", "k": segment(pem(rsa_key()))},
        jwk(rsa_key("short", 1024), "short"),
        jwk(rsa_key(), "secret", d="AQAB"),
    ]


NOW = int(time())
DER = rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
OWN_KEY = jwk(rsa_key("attacker"), "a")
ELSEWHERE = "http://127.0.0.1:1/keys"

GARBAGE = (
    "",
    ".",
    "..",
    "...",
    "a.b.c",
    "\x00",
    "\u00e9.\u00e9.\u00e9",
    "\U0001f511",
    "e30.e30.",
    "null",
    "x y",
    "=.=.=",
)

ATTACKS: list[tuple[str, Make, str]] = [
    *((f"alg {name}", without_signature(name), ALGORITHM) for name in ("none", "None", "NONE", "nOnE", "")),
    ("alg none with a signature", headed(alg="none"), ALGORITHM),
    ("alg null", raw_header(b'{"alg":null,"kid":"a"}'), ALGORITHM),
    ("alg a list", headed(alg=["RS256"]), ALGORITHM),
    ("alg a mapping", headed(alg={"RS256": 1}), ALGORITHM),
    ("alg in lower case", headed(alg="rs256"), ALGORITHM),
    ("alg with a blank", headed(alg="RS256 "), ALGORITHM),
    ("no alg", headed(alg=None), NOT_A_JWT),
    ("alg twice, none first", raw_header(b'{"alg":"RS256","alg":"none","kid":"a"}'), ALGORITHM),
    ("HS256 with the public PEM", hmac_with(pem(rsa_key())), ALGORITHM),
    ("HS256 with the public PEM, stripped", hmac_with(pem(rsa_key()).strip()), ALGORITHM),
    ("HS256 with the public DER", hmac_with(DER), ALGORITHM),
    ("HS256 with no key", hmac_with(b""), ALGORITHM),
    ("EdDSA", headed(alg="EdDSA"), ALGORITHM),
    ("ES256K", headed(alg="ES256K"), ALGORITHM),
    ("RSA-OAEP", headed(alg="RSA-OAEP"), ALGORITHM),
    ("wrong issuer", claiming(iss="https://evil.example"), ISSUER),
    ("issuer with a slash more", lambda issuer: issuer.mint(iss=issuer.url + "/"), ISSUER),
    ("issuer a list", lambda issuer: issuer.mint(iss=[issuer.url]), ISSUER),
    ("no issuer", claiming(iss=None), ISSUER),
    ("wrong audience", claiming(aud="other"), AUDIENCE),
    ("an ID token: its audience is the client", claiming(aud="client-1", nonce="n"), AUDIENCE),
    ("audience a part of ours", claiming(aud="llama"), AUDIENCE),
    ("audience with ours in it", claiming(aud="llama-stack-2"), AUDIENCE),
    ("no audience", claiming(aud=None), AUDIENCE),
    ("audiences of others", claiming(aud=["x", "y"]), AUDIENCE),
    ("audience a mapping", claiming(aud={"llama-stack": 1}), AUDIENCE),
    ("expired", claiming(exp=NOW - 3600), "has expired"),
    ("expired, as text", claiming(exp="9999999999"), "not a number"),
    ("exp true", claiming(exp=True), "not a number"),
    ("no exp", claiming(exp=None), "no expiry"),
    ("exp not a number", raw_claims(b'{"exp":NaN,"sub":"a"}'), NOT_A_JWT),
    ("exp infinite", raw_claims(b'{"exp":Infinity,"sub":"a"}'), NOT_A_JWT),
    ("not yet valid", claiming(nbf=NOW + 86_400), "not valid yet"),
    ("iat in the future", claiming(iat=NOW + 86_400), FUTURE),
    ("iat text", claiming(iat="now"), "not a number"),
    ("unknown kid", headed(kid="b"), UNKNOWN),
    ("kid a path", headed(kid="../../etc/passwd"), UNKNOWN),
    ("kid /dev/null, HS256 with its content", hmac_with(b"", kid="/dev/null"), ALGORITHM),
    ("kid a URL", headed(kid=ELSEWHERE), UNKNOWN),
    ("kid with SQL", headed(kid="a' OR '1'='1"), UNKNOWN),
    ("kid with a zero byte", headed(kid="a\x00"), UNKNOWN),
    ("kid in other case", headed(kid="A"), UNKNOWN),
    ("kid empty", headed(kid=""), UNKNOWN),
    ("kid very long", headed(kid="k" * 8000), UNKNOWN),
    ("kid a number", headed(kid=1), "is not text"),
    ("kid a list", headed(kid=["a"]), "is not text"),
    ("kid a mapping", headed(kid={"a": 1}), "is not text"),
    ("no kid, several keys", headed(kid=None), "names no key"),
    ("embedded jwk", forged(jwk=OWN_KEY), SIGNATURE),
    ("embedded jwk, no kid", forged(jwk=OWN_KEY, kid=None), "names no key"),
    ("embedded jku", lambda issuer: forged(jku=f"{issuer.url}/evil", kid="evil")(issuer), UNKNOWN),
    ("embedded x5u", lambda issuer: forged(x5u=f"{issuer.url}/evil")(issuer), SIGNATURE),
    ("embedded x5c", forged(x5c=["MIIB"]), SIGNATURE),
    ("another key under a known kid", forged(), SIGNATURE),
    ("crit", headed(crit=["exp"]), "critical header"),
    ("crit b64", headed(crit=["b64"], b64=True), "critical header"),
    ("crit b64 and an encoded payload", headed(crit=["b64"], b64=False), NOT_A_JWT),
    ("b64 false alone", headed(b64=False), NOT_A_JWT),
    ("crit unknown", headed(crit=["x"], x=1), "critical header"),
    ("kid null", raw_header(b'{"alg":"RS256","kid":null}'), "is not text"),
    ("crit empty", headed(crit=[]), "critical header"),
    ("RS256 with an EC key's kid", headed(kid="ec"), "does not fit"),
    ("ES256 with an RSA key's kid", lambda i: i.mint(key=ec_key(), algorithm="ES256"), "does not fit"),
    ("ES384 with a P-256 key's kid", headed(alg="ES384", kid="ec"), "does not fit"),
    ("PS256 where the key says RS256", lambda i: i.mint(algorithm="PS256", header={"kid": "rs256"}), "does not fit"),
    ("RS512 where the key says RS256", lambda i: i.mint(algorithm="RS512", header={"kid": "rs256"}), "does not fit"),
    ("alg other than the signature's", lambda i: i.mint(algorithm="PS256", header={"alg": "RS256"}), SIGNATURE),
    ("a key for encryption", headed(kid="enc"), UNKNOWN),
    ("an oct key's kid", headed(kid="oct"), UNKNOWN),
    ("a key too short", lambda i: i.mint(key=rsa_key("short", 1024), header={"kid": "short"}), UNKNOWN),
    ("a key published with its secret", headed(kid="secret"), UNKNOWN),
    ("ECDSA signature of zeros", zeros, SIGNATURE),
    ("ECDSA signature in DER", in_der, SIGNATURE),
    ("signature stripped", spoilt(2, lambda _: ""), SIGNATURE),
    ("signature shortened", spoilt(2, lambda text: text[:-2]), SIGNATURE),
    ("signature changed", spoilt(2, lambda text: ("B" if text[0] == "A" else "A") + text[1:]), SIGNATURE),
    ("signature with other spare bits", spoilt(2, last_bits), NOT_A_JWT),
    ("signature padded", spoilt(2, lambda text: text + "=="), NOT_A_JWT),
    ("header padded", spoilt(0, lambda text: text + "=" * (-len(text) % 4 or 4)), NOT_A_JWT),
    ("signature in the other alphabet", spoilt(2, lambda _: "+/+/"), NOT_A_JWT),
    ("signature of a third segment more", lambda i: i.mint() + ".AAAA", NOT_A_JWT),
    ("payload changed", other_payload, SIGNATURE),
    ("payload empty", spoilt(1, lambda _: ""), NOT_A_JWT),
    ("payload a list", raw_claims(b"[]"), NOT_A_JWT),
    ("payload nested deeply", raw_claims(b'{"sub":' + b"[" * 3000 + b"]" * 3000 + b"}"), NOT_A_JWT),
    ("payload with a lone surrogate", raw_claims(b'{"sub":"\\ud800"}'), NOT_A_JWT),
    ("payload not UTF-8", raw_claims(b'{"sub":"\xff"}'), NOT_A_JWT),
    ("header a list", raw_header(b'["RS256"]'), NOT_A_JWT),
    ("header no JSON", raw_header(b"alg=RS256"), NOT_A_JWT),
    ("header text", raw_header(b'"RS256"'), NOT_A_JWT),
    ("oversized", lambda i: i.mint(pad="p" * MOST_TOKEN_BYTES), NOT_A_JWT),
    ("two segments", lambda i: i.mint().rpartition(".")[0], NOT_A_JWT),
    ("five segments, as a JWE", lambda i: i.mint() + ".AAAA.AAAA", NOT_A_JWT),
    ("nobody", claiming(sub=None), "names no subject"),
    ("subject empty", claiming(sub=""), "names no subject"),
    ("subject a number", claiming(sub=0), "names no subject"),
    *((f"garbage {text!r}", as_is(text), NOT_A_JWT) for text in GARBAGE),
]
