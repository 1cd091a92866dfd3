"""The guarded fetcher over real sockets: which hosts it connects to, and where it follows."""

from collections.abc import AsyncIterator
import datetime as dt
from ipaddress import ip_address
from pathlib import Path
import socket
import ssl
from urllib.parse import urlsplit

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.fetch import FetchConfig
from core.providers.http.fetch import UNREACHABLE, GuardedFetcher
from tests.contract.fetching import PNG, Names, at, fetching, refusal, serving, to, writes
from tests.parts.issuer import rsa_key
from tests.parts.upstream import FakeUpstream, Reply, in_turn, raw, running

ANY = "0.0.0.0"  # noqa: S104 - no address of a peer, but Linux connects it to loopback: refused, yet not out of reach


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with running() as upstream:
        upstream.replies["/i.png"] = raw(PNG, "image/png")
        yield upstream


SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "2130706433",
    "%31%32%37.0.0.1",
    "\uff11\uff12\uff17.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[::1%25lo]",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
    "0",
    ANY,
    "[::]",
]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_loopback_is_refused_in_every_spelling_and_never_connectedto(host: str) -> None:
    async with serving(writes()) as (url, accepted):
        port = urlsplit(url).port
        async with fetching(url, allow_private_addresses=False) as fetcher:
            message = await refusal(fetcher, f"http://{host}:{port}/")
        assert message in {UNREACHABLE, "must be an http:// or https:// URL."}
        assert not accepted


async def test_a_refusal_does_not_tell_what_is_there(upstream: FakeUpstream) -> None:
    names = Names(open=[["127.0.0.1"]], metadata=[["169.254.169.254"]], mapped=[["::ffff:127.0.0.1"]])
    hosts = ("127.0.0.1", "open.test", "metadata.test", "mapped.test", "unknown.test", "a" * 64 + ".test")
    async with fetching(upstream.url, names, allow_private_addresses=False) as fetcher:
        messages = {await refusal(fetcher, at(upstream, host)) for host in hosts}
    port = _closed_port()
    async with fetching(upstream.url, names, allow_private_addresses=False, allowed_ports=[port]) as fetcher:
        messages |= {await refusal(fetcher, f"http://{host}:{port}/i.png") for host in hosts}
    async with fetching(upstream.url, names, allowed_ports=[port]) as fetcher:
        messages.add(await refusal(fetcher, f"http://open.test:{port}/i.png"))
    assert messages == {UNREACHABLE}
    assert not upstream.seen


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_a_name_that_no_resolver_can_take_is_refused(upstream: FakeUpstream) -> None:
    async with fetching(upstream.url) as fetcher:
        for host in ("a" * 64 + ".test", "a..test"):
            assert await refusal(fetcher, at(upstream, host)) == UNREACHABLE


@given(st.text(max_size=9), st.text(max_size=9))
async def test_any_text_in_a_url_that_names_no_host_is_an_invalid_request(host: str, path: str) -> None:
    fetcher = GuardedFetcher(FetchConfig(), resolver=Names())
    for url in (f"http://{host}/{path}", f"http:{path}"):
        await refusal(fetcher, url)
    await fetcher.close()


async def test_of_several_addresses_only_the_allowed_are_connectedto(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    names = Names(both=[[ANY, "169.254.169.254", "127.0.0.1"]], none=[[ANY, "169.254.169.254"]])
    async with fetching(upstream.url, names) as fetcher:
        assert (await fetcher.fetch(at(upstream, "both.test"), param="p")).content == PNG
        assert len(upstream.seen) == 1
        assert await refusal(fetcher, at(upstream, "none.test")) == UNREACHABLE
    assert len(upstream.seen) == 1
    assert f"{ANY} is not an address to fetch from" in caplog.text


async def test_a_name_that_changes_its_address_after_it_was_judged_gains_nothing(upstream: FakeUpstream) -> None:
    upstream.replies["/i.png"] = in_turn(_closing(PNG), raw(b"secret"))
    async with fetching(upstream.url, Names(a=[["127.0.0.1"], [ANY]])) as fetcher:
        assert (await fetcher.fetch(at(upstream, "a.test"), param="p")).content == PNG
        assert await refusal(fetcher, at(upstream, "a.test")) == UNREACHABLE
    assert len(upstream.seen) == 1


async def test_each_connection_resolves_once_and_goes_to_that_answer(upstream: FakeUpstream) -> None:
    names = Names(a=[["127.0.0.1"], [ANY]])
    async with fetching(upstream.url, names) as fetcher:
        await fetcher.fetch(at(upstream, "a.test"), param="p")
    assert names.names["a.test"] == [[ANY]]


def _closing(body: bytes) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        response = web.Response(body=body)
        response.force_close()
        return response

    return reply


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(upstream: FakeUpstream, code: int) -> None:
    upstream.replies["/a"] = to("i.png", code)
    async with fetching(upstream.url) as fetcher:
        assert (await fetcher.fetch(upstream.url + "/a", param="p")).content == PNG


async def test_three_redirects_are_followed_and_no_more(upstream: FakeUpstream) -> None:
    for number in range(9):
        upstream.replies[f"/{number}"] = to(f"/{number - 1}" if number else "/i.png")
    async with fetching(upstream.url) as fetcher:
        assert (await fetcher.fetch(upstream.url + "/2", param="p")).content == PNG
        upstream.seen.clear()
        assert await refusal(fetcher, upstream.url + "/3") == "redirects more than 3 times."
        assert "/i.png" not in [seen.path for seen in upstream.seen]


@pytest.mark.parametrize("host", [ANY, f"[::ffff:{ANY}]", "0", "inside.test", "unknown.test", "169.254.169.254"])
async def test_a_redirect_to_an_address_that_is_refused_is_not_followed(upstream: FakeUpstream, host: str) -> None:
    upstream.replies["/a"] = to(at(upstream, host, "/secret"))
    async with fetching(upstream.url, Names(inside=[[ANY]])) as fetcher:
        assert await refusal(fetcher, upstream.url + "/a") == UNREACHABLE
    assert [seen.path for seen in upstream.seen] == ["/a"]


async def test_a_redirect_to_the_same_name_with_another_address_is_judged_anew(upstream: FakeUpstream) -> None:
    async def reply(_: web.Request) -> web.StreamResponse:
        response = web.Response(status=302, headers={"location": "/secret"})
        response.force_close()
        return response

    upstream.replies["/a"] = reply
    async with fetching(upstream.url, Names(a=[["127.0.0.1"], [ANY]])) as fetcher:
        assert await refusal(fetcher, at(upstream, "a.test", "/a")) == UNREACHABLE
    assert [seen.path for seen in upstream.seen] == ["/a"]


@pytest.mark.parametrize(
    "location", ["ftp://a/", "file:///etc/passwd", "http://127.0.0.1:22/", "http://u:p@a/", "//[", ""]
)
async def test_a_redirect_to_what_is_no_url_to_fetch_is_refused(upstream: FakeUpstream, location: str) -> None:
    upstream.replies["/a"] = to(location)
    async with fetching(upstream.url) as fetcher:
        assert await refusal(fetcher, upstream.url + "/a") == "redirects to a place that may not be fetched."


async def test_a_certificate_that_nobody_vouches_for_is_refused(upstream: FakeUpstream, tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(_self_signed(tmp_path))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", upstream.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/i.png"
    try:
        async with fetching(url) as fetcher:
            assert await refusal(fetcher, url) == UNREACHABLE
    finally:
        await runner.cleanup()
    assert not upstream.seen


def _self_signed(folder: Path) -> Path:
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "llambda test")]), dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, rsa_key("tls").public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(rsa_key("tls"), hashes.SHA256())
    )
    private = rsa_key("tls").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / "tls.pem"
    file.write_bytes(private + made.public_bytes(Encoding.PEM))
    return file


async def test_an_allowed_host_still_needs_an_allowed_address(upstream: FakeUpstream) -> None:
    names = Names(a=[["127.0.0.1"]], b=[["127.0.0.1"]])
    async with fetching(upstream.url, names, allowed_hosts=["a.test"]) as fetcher:
        assert (await fetcher.fetch(at(upstream, "a.test"), param="p")).content == PNG
        assert "operator does not allow" in await refusal(fetcher, at(upstream, "b.test"))
    async with fetching(upstream.url, names, allowed_hosts=["a.test"], allow_private_addresses=False) as fetcher:
        assert await refusal(fetcher, at(upstream, "a.test")) == UNREACHABLE
