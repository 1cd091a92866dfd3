"""Keys over HTTP: rotation, discovery, an issuer that is dead, slow or talks nonsense; nothing of a failure is kept."""

import asyncio
import datetime as dt
from ipaddress import ip_address
import json
from pathlib import Path
import ssl
from time import time
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
import pytest

from core.auth import oauth2_token
from core.auth.claims import DEFAULT_MAPPING, principal
from core.auth.endpoint import Endpoint
from core.auth.http import Http
from core.auth.jwks import keys_from_url
from core.auth.jwt_verifier import JwtVerifier
from core.auth.keys import PAUSE, KeySet
from core.auth.verifier import Incoming, Services, Verifier
from core.errors import AuthUnavailable, Unauthenticated
from tests.fakes import Clock, MemoryStore
from tests.parts.issuer import DISCOVERY, JWKS, Issuer, jwk, rsa_key
from tests.parts.refusals import refused
from tests.parts.secrets import plant
from tests.parts.upstream import Reply, hang, raw, status

RECHECK = 3600.0


def verifier(uri: str, services: Services, /, **jwks: Any) -> Verifier:
    return oauth2_token.connect(oauth2_token.Config.model_validate({"jwks": {"uri": uri, **jwks}}), services)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(issuer: Issuer, auth_services: Services, clock: Clock) -> Verifier:
    keys = KeySet(keys_from_url(Endpoint(auth_services.http), issuer.jwks_uri), recheck=RECHECK, clock=clock)
    return JwtVerifier(keys, lambda claims: principal(claims, DEFAULT_MAPPING, "t"), issuer=issuer.url)


def by_b(issuer: Issuer) -> str:
    return issuer.mint(key=rsa_key("b"), header={"kid": "b"})


async def test_rotation_is_followed_by_one_request_and_the_old_key_ends(
    issuer: Issuer, timed: Verifier, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    old = issuer.mint()
    await timed.verify(Incoming(old))
    issuer.keys = [jwk(rsa_key(), "a"), jwk(rsa_key("b"), "b")]
    for token in (by_b(issuer), old, by_b(issuer)):
        assert (await timed.verify(Incoming(token))).id == "ada"
    assert issuer.asked() == 2
    issuer.keys = [jwk(rsa_key("b"), "b")]
    assert (await timed.verify(Incoming(old))).id == "ada"
    clock.now = RECHECK
    assert "not one of the issuer's" in (await refused(timed, old, caplog)).message
    assert (await timed.verify(Incoming(by_b(issuer)))).id == "ada"


async def test_a_token_that_was_verified_before_expires_all_the_same(
    issuer: Issuer, timed: Verifier, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.mint()
    assert await timed.verify(Incoming(token)) == await timed.verify(Incoming(token))
    monkeypatch.setattr("core.auth.jwt_verifier.time", lambda: time() + 86_400)
    assert "has expired" in (await refused(timed, token, caplog)).message


async def test_a_token_that_was_verified_before_needs_its_key_all_the_same(
    issuer: Issuer, timed: Verifier, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.mint()
    await timed.verify(Incoming(token))
    issuer.keys = [jwk(rsa_key("b"), "a")]  # another key under the same kid
    clock.now = RECHECK
    assert "signature is not valid" in (await refused(timed, token, caplog)).message


async def test_unknown_kids_ask_the_issuer_once_in_thirty_seconds(
    issuer: Issuer, timed: Verifier, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await timed.verify(Incoming(issuer.mint()))
    for kid in ("x", "y", "../../x", "x"):
        await refused(timed, issuer.mint(header={"kid": kid}), caplog)
    assert issuer.asked() == 2
    clock.now = PAUSE
    await refused(timed, issuer.mint(header={"kid": "x"}), caplog)
    assert issuer.asked() == 3


async def test_a_dead_issuer_is_a_503_once_its_keys_are_due_and_never_a_pass(
    issuer: Issuer, timed: Verifier, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.mint()
    await timed.verify(Incoming(token))
    issuer.die()
    await timed.verify(Incoming(token))
    assert (await refused(timed, by_b(issuer), caplog, AuthUnavailable)).status == 503
    clock.now = RECHECK
    assert (await refused(timed, token, caplog, AuthUnavailable)).status == 503
    issuer.revive()
    assert (await timed.verify(Incoming(token))).id == "ada"


async def test_callers_at_the_same_time_are_one_request(issuer: Issuer, timed: Verifier) -> None:
    token = issuer.mint()
    found = await asyncio.gather(*(timed.verify(Incoming(token)) for _ in range(50)))
    assert ({caller.id for caller in found}, issuer.asked()) == ({"ada"}, 1)


NONSENSE: dict[str, Reply] = {
    "500": status(500, {"keys": []}),
    "404": status(404),
    "a redirect": status(302, {"keys": []}, {"location": "/elsewhere"}),
    "201": status(201, {"keys": []}),
    "no keys": status(200, {"no": "keys"}),
    "keys in a mapping": status(200, {"keys": {"a": 1}}),
    "a list": status(200, []),
    "a page": raw(b"<html>"),
    "nothing": raw(b""),
    "no UTF-8": raw(b"\xff"),
    "too much": raw(b'{"keys": ["' + b"x" * 1_100_000 + b'"]}'),
    "no answer": hang,
}


@pytest.mark.parametrize("path", [JWKS, DISCOVERY])
@pytest.mark.parametrize("reply", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_in_place_of_keys_is_a_503_and_forgotten(
    issuer: Issuer, path: str, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    services = Services(Http(seconds=0.3), MemoryStore())
    subject = verifier(issuer.url, services)
    issuer.replies[path] = reply
    assert "Try again" in (await refused(subject, issuer.mint(), caplog, AuthUnavailable)).message
    issuer.revive(path)
    assert (await subject.verify(Incoming(issuer.mint()))).id == "ada"
    assert not issuer.asked("/elsewhere")
    await services.http.close()


async def test_useless_entries_do_not_hide_the_useful(issuer: Issuer, auth_services: Services) -> None:
    issuer.keys = [{}, {"kty": "oct", "k": "AA", "kid": "a"}, {"kty": "RSA", "kid": "a", "n": 1}, *issuer.keys]
    assert (await verifier(issuer.jwks_uri, auth_services).verify(Incoming(issuer.mint()))).id == "ada"


@pytest.mark.parametrize("tail", ["", "/"])
async def test_a_uri_without_a_path_is_an_issuer_to_discover(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture, tail: str
) -> None:
    subject = verifier(issuer.url + tail, auth_services)
    assert (await subject.verify(Incoming(issuer.mint()))).id == "ada"
    assert [asked.path for asked in issuer.seen] == [DISCOVERY, JWKS]
    failure = await refused(subject, issuer.mint(iss="https://other.example"), caplog)
    assert "not issued by" in failure.message


@pytest.mark.parametrize(
    "document",
    [
        {"jwks_uri": "/keys"},
        {"issuer": "i", "jwks_uri": "https://127.0.0.1:1/keys"},
        {"issuer": "i", "jwks_uri": "http://keys.example/keys"},
        {"issuer": "i", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "i", "jwks_uri": "/keys"},
        {"issuer": "i", "jwks_uri": ["http://127.0.0.1/keys"]},
        {"issuer": 1, "jwks_uri": "http://127.0.0.1:1/keys"},
        {"issuer": "i", "jwks_uri": "http://reader:word@127.0.0.1:{port}/keys"},
        {"issuer": "i"},
    ],
)
async def test_a_discovery_document_leads_nowhere_unsafe(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture, document: dict[str, Any]
) -> None:
    named = json.loads(json.dumps(document).replace("{port}", issuer.url.rpartition(":")[2]))
    issuer.replies[DISCOVERY] = status(200, named)
    await refused(verifier(issuer.url, auth_services), issuer.mint(), caplog, AuthUnavailable)
    assert [asked.path for asked in issuer.seen] == [DISCOVERY]


async def test_a_discovery_document_counts_only_as_a_success(
    issuer: Issuer, auth_services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.replies[DISCOVERY] = status(500, {"issuer": issuer.url, "jwks_uri": issuer.jwks_uri})
    await refused(verifier(issuer.url, auth_services), issuer.mint(), caplog, AuthUnavailable)
    assert not issuer.asked()


async def test_the_token_for_keys_goes_to_the_configured_origin_only(issuer: Issuer, auth_services: Services) -> None:
    secret = plant("jwks-reader-0123456789")
    await verifier(issuer.url, auth_services, token=secret).verify(Incoming(issuer.mint()))
    await verifier(issuer.jwks_uri, auth_services, token=secret).verify(Incoming(issuer.mint()))
    assert {asked.authorization for asked in issuer.seen} == {f"Bearer {secret}"}
    issuer.seen.clear()
    issuer.replies[DISCOVERY] = status(
        200, {"issuer": issuer.url, "jwks_uri": issuer.jwks_uri.replace("127.0.0.1", "localhost")}
    )
    await verifier(issuer.url, auth_services, token=secret).verify(Incoming(issuer.mint()))
    assert [(asked.path, asked.authorization) for asked in issuer.seen] == [
        (DISCOVERY, f"Bearer {secret}"),
        (JWKS, None),
    ]


def _certificate(folder: Path) -> Path:
    """A self-signed one for 127.0.0.1, with its key, in one PEM file."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "llambda test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, rsa_key("tls").public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(rsa_key("tls"), hashes.SHA256())
    )
    private = rsa_key("tls").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / "tls.pem"
    file.write_bytes(private + made.public_bytes(Encoding.PEM))
    return file


async def test_tls_is_verified_with_the_configured_authorities(
    issuer: Issuer, auth_services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pem = _certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", issuer.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    uri, token = f"https://127.0.0.1:{runner.addresses[0][1]}{JWKS}", issuer.mint()
    try:
        for trusted in ({"tls_cafile": str(pem)}, {"verify_tls": False}):
            assert (await verifier(uri, auth_services, **trusted).verify(Incoming(token))).id == "ada"
        for untrusted in ({}, {"tls_cafile": str(tmp_path / "missing.pem")}, {"tls_cafile": __file__}):
            await refused(verifier(uri, auth_services, **untrusted), token, caplog, AuthUnavailable)
        assert issuer.asked() == 2
        secure = uri.removesuffix(JWKS)  # its discovery document leads to plain http
        await refused(verifier(secure, auth_services, verify_tls=False), token, caplog, AuthUnavailable)
        assert issuer.asked() == 2
    finally:
        await auth_services.http.close()
        await runner.cleanup()


async def test_a_refusal_costs_the_issuer_nothing_when_no_key_could_matter(
    issuer: Issuer, auth_services: Services
) -> None:
    subject = verifier(issuer.jwks_uri, auth_services)
    for token in ("a.b.c", issuer.mint(header={"alg": "none"}), issuer.mint(header={"crit": ["x"]})):
        with pytest.raises(Unauthenticated):
            await subject.verify(Incoming(token))
    assert not issuer.seen
