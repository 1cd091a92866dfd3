"""An issuer on loopback: it publishes keys, introspects tokens and reviews users, over real HTTP, as a test says."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
import json
from time import time
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm, get_default_algorithms
import pytest

from core.auth.http import Http
from core.auth.verifier import Services
from tests.fakes import MemoryStore
from tests.parts.upstream import Reply

AUDIENCE = "llama-stack"
JWKS = "/keys"
DISCOVERY = "/.well-known/openid-configuration"
INTROSPECTION = "/introspect"
REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}

type Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(name: str = "", bits: int = 2048) -> rsa.RSAPrivateKey:
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(algorithm: str = "ES256", name: str = "") -> ec.EllipticCurvePrivateKey:
    del name
    return ec.generate_private_key(CURVES[algorithm])


def pem(key: Private) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(key: Private, kid: str | None, **members: Any) -> dict[str, Any]:
    public = key.public_key()
    entry = (
        RSAAlgorithm.to_jwk(public, as_dict=True)
        if isinstance(public, rsa.RSAPublicKey)
        else ECAlgorithm.to_jwk(public, as_dict=True)
    )
    entry.pop("key_ops", None)
    named = {} if kid is None else {"kid": kid}
    return {**entry, **named, "use": "sig", **members}


def segment(content: Any) -> str:
    """base64url of bytes as they are, and of all else as JSON."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(header: Any, claims: Any, key: Any, algorithm: str) -> str:
    """A compact JWS signed with `algorithm`, whatever the header says; `key` is bytes for HS256."""
    content = f"{segment(header)}.{segment(claims)}"
    signature = get_default_algorithms()[algorithm].sign(content.encode(), key)
    return f"{content}.{segment(signature)}"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    authorization: str | None
    body: bytes


@dataclass
class Issuer:
    """`keys` is the JWKS; `tokens` are introspected, `users` reviewed; `replies` go before all, by path."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=lambda: [jwk(rsa_key(), "a")])
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    users: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    replies: dict[str, Reply] = field(default_factory=dict[str, Reply])
    seen: list[Asked] = field(default_factory=list[Asked])

    @property
    def jwks_uri(self) -> str:
        return self.url + JWKS

    def asked(self, path: str = JWKS) -> int:
        return sum(asked.path == path for asked in self.seen)

    def die(self, path: str = JWKS) -> None:
        """Break connections at `path` from now on."""
        self.replies[path] = _hung_up

    def revive(self, path: str = JWKS) -> None:
        del self.replies[path]

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a good token; None takes one out."""
        now = int(time())
        claims = {"iss": self.url, "sub": "ada", "aud": AUDIENCE, "iat": now, "exp": now + 600, **changed}
        return {name: value for name, value in claims.items() if value is not None}

    def mint(
        self,
        *,
        key: Private | None = None,
        algorithm: str = "RS256",
        header: dict[str, Any] | None = None,
        **changed: Any,
    ) -> str:
        """A token that is good but for what is changed; `header` replaces members, None takes one out."""
        members = {"alg": algorithm, "typ": "JWT", "kid": "a", **(header or {})}
        kept = {name: value for name, value in members.items() if value is not None}
        return sign(kept, self.claims(**changed), key or rsa_key(), algorithm)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(Asked(request.method, request.path, request.headers.get("authorization"), body))
        if request.path in self.replies:
            return await self.replies[request.path](request)
        if request.path == JWKS:
            return web.json_response({"keys": self.keys})
        if request.path == DISCOVERY:
            return web.json_response({"issuer": self.url, "jwks_uri": self.jwks_uri})
        if request.path == INTROSPECTION:
            token = parse_qs(body.decode())["token"][0]
            return web.json_response(self.tokens.get(token, {"active": False}))
        if request.path == REVIEW:
            return self._review(request)
        return web.json_response({}, status=404)

    def _review(self, request: web.Request) -> web.StreamResponse:
        user = self.users.get(request.headers["authorization"].removeprefix("Bearer "))
        if user is None:
            return web.json_response({"kind": "Status", "code": 401}, status=401)
        return web.json_response({"kind": "SelfSubjectReview", "status": {"userInfo": user}}, status=201)


async def _hung_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def issuing() -> AsyncGenerator[Issuer]:
    """An issuer for the length of a `with` block."""
    issuer = Issuer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", issuer.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield issuer
    finally:
        await runner.cleanup()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as issuer:
        yield issuer


@pytest.fixture
async def auth_services() -> AsyncIterator[Services]:
    services = Services(Http(seconds=2), MemoryStore())
    try:
        yield services
    finally:
        await services.http.close()
