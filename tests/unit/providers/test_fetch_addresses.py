"""Which addresses may be fetched from, in every spelling, and which URLs come as far as to have one."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest
from yarl import URL

from core.config.fetch import FetchConfig
from core.errors import InvalidRequest
from core.platform.addresses import may_connect
from core.providers.http.fetch import check_url, redirect_target

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "223.255.255.255", "2606:4700::1111"]
PRIVATE = [
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fc00::1",
    "fdff::1",
]
NEVER = [
    "0.0.0.0",  # noqa: S104 - to be refused
    "0.1.2.3",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::ffff:0:8.8.8.8",
    "64:ff9b:1::808:808",
    "100::1",
    "2001:0:808:808::1",
    "2001:db8::1",
    "2002:808:808::1",
    "2002:7f00:1::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
NO_ADDRESSES = ["", "localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1.", "[::1]", "8.8.8.8/32"]

v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6)


def may_fetch(address: str, *, private: bool) -> bool:
    return may_connect(address, 443, "private" if private else "public")


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("private", [False, True])
def test_a_public_address_may_be_fetched_from(address: str, *, private: bool) -> None:
    assert may_fetch(address, private=private)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_may_be_fetched_from_only_when_the_operator_says_so(address: str) -> None:
    assert not may_fetch(address, private=False)
    assert may_fetch(address, private=True)


@pytest.mark.parametrize("address", [*NEVER, *NO_ADDRESSES])
def test_special_and_metadata_addresses_and_what_is_none_are_never_fetched_from(address: str) -> None:
    assert not may_fetch(address, private=False)
    assert not may_fetch(address, private=True)


@given(v4 | v6)
def test_what_python_calls_not_global_is_never_public(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert not may_fetch(str(address), private=False)


@given(v4)
def test_an_ipv4_address_that_python_calls_global_is_public_but_for_a_few(address: IPv4Address) -> None:
    few = [ip_network(each) for each in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "224.0.0.0/4")]
    if address.is_global and not any(address in each for each in few):
        assert may_fetch(str(address), private=False)


@given(v4, st.booleans(), st.sampled_from(["::ffff:0:0", "64:ff9b::"]))
def test_an_ipv4_address_in_ipv6s_clothes_is_judged_as_itself(
    address: IPv4Address,
    private: bool,  # noqa: FBT001 - drawn
    prefix: str,
) -> None:
    clothed = IPv6Address(int(IPv6Address(prefix)) | int(address))
    assert may_fetch(str(clothed), private=private) == may_fetch(str(address), private=private)


@given(v4, st.sampled_from(["::", "::ffff:0:0:0", "64:ff9b:1::"]))
def test_an_ipv4_address_in_any_other_ipv6_form_is_refused(address: IPv4Address, prefix: str) -> None:
    clothed = IPv6Address(int(IPv6Address(prefix)) | int(address))
    assert not may_fetch(str(clothed), private=False)


@given(v4)
def test_6to4_and_teredo_are_refused_whatever_they_hold(address: IPv4Address) -> None:
    for base, shift in ((0x2002 << 112, 80), (0x2001_0000 << 96, 64), (0x2001_0000 << 96, 0)):
        assert not may_fetch(str(IPv6Address(base | int(address) << shift)), private=True)


@given(v6)
def test_no_ipv6_address_outside_of_global_unicast_is_public_by_itself(address: IPv6Address) -> None:
    clothed = any(address in ip_network(each) for each in ("::ffff:0:0/96", "64:ff9b::/96"))
    if may_fetch(str(address), private=False) and not clothed:
        assert address in ip_network("2000::/3")


@given(v4 | v6, st.integers(1, 65535))
def test_each_reach_has_what_the_narrower_one_has(address: IPv4Address | IPv6Address, port: int) -> None:
    public, private, operators = (may_connect(str(address), port, reach) for reach in ("public", "private", "operator"))
    assert public <= private <= operators


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "0.0.0.0", "198.18.0.1", "2001:db8::1", "fd12::1"])  # noqa: S104 - a text
def test_an_operator_may_name_what_no_fetch_reaches(address: str) -> None:
    assert may_connect(address, 8000, "operator")


@given(st.integers(0xA9FE0000, 0xA9FEFFFF))
def test_nobody_reaches_a_link_local_address_in_whatever_clothes(number: int) -> None:
    prefixes = (0, 0xFFFF << 32, 0xFFFF << 48, 0x64FF9B << 96, 0x64FF9B0001 << 80)
    forms = [IPv4Address(number), *(IPv6Address(prefix | number) for prefix in prefixes)]
    forms += [IPv6Address(0x2002 << 112 | number << 80), IPv6Address(0x2001_0000 << 96 | number ^ 0xFFFF_FFFF)]
    assert not any(may_connect(str(form), 80, "operator") for form in forms)


@pytest.mark.parametrize(
    ("value", "address", "port", "may"),
    [
        ("127.0.0.1:9001", "127.0.0.1", 9001, False),
        ("127.0.0.1:9001", "127.3.2.1", 9001, False),
        ("127.0.0.1:9001", "0.0.0.0", 9001, False),  # noqa: S104 - a text
        ("127.0.0.1:9001", "::1", 9001, False),
        ("127.0.0.1:9001", "::ffff:127.0.0.1", 9001, False),
        ("[::1]:9001", "127.0.0.1", 9001, False),
        ("localhost:9001", "127.0.0.1", 9001, False),
        ("127.0.0.1:9001", "127.0.0.1", 9002, True),
        ("127.0.0.1:9001", "10.0.0.1", 9001, True),
        ("tcp:10.0.0.1:2000 udp:10.0.0.2:2001", "10.0.0.1", 2000, False),
        ("tcp:10.0.0.1:2000 udp:10.0.0.2:2001", "10.0.0.2", 2001, False),
        ("tcp:10.0.0.1:2000 udp:10.0.0.2:2001", "10.0.0.2", 2000, True),
        ("http://10.0.0.1:80/x", "10.0.0.1", 80, False),
        ("http://10.0.0.1:80/x", "127.0.0.1", 80, True),
        ("", "127.0.0.1", 80, True),
    ],
)
def test_where_the_environment_says_that_work_is_given_out_nobody_connects(
    monkeypatch: pytest.MonkeyPatch, value: str, address: str, port: int, *, may: bool
) -> None:
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", value)
    assert may_connect(address, port, "operator") == may


@given(st.text())
def test_any_text_is_judged_without_an_error(text: str) -> None:
    if may_fetch(text, private=True):
        assert ip_address(text).version in {4, 6}


def config(**more: Any) -> FetchConfig:
    return FetchConfig.model_validate(more)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com",
        "https:///x",
        "http:x",
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com",
        "data:image/png;base64,eA==",
        "http://[::1",
        "http://[a]@/",
        "http://a\\@example.com/",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http://\ud800/",
    ],
)
def test_what_is_no_http_url_with_a_host_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="must be an http:// or https:// URL") as refusal:
        check_url(url, config(), "p")
    assert refusal.value.param == "p"


@pytest.mark.parametrize("url", ["http://u@a.test/", "http://u:p@a.test/", "https://:p@a.test/"])
def test_a_url_with_a_user_or_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidRequest, match="user name or a password") as refusal:
        check_url(url, config(), "p")
    assert "a.test" not in refusal.value.message


@pytest.mark.parametrize("port", [0, 22, 25, 79, 81, 6379, 9001])
def test_other_ports_than_the_allowed_are_refused(port: int) -> None:
    with pytest.raises(InvalidRequest, match="one of these ports: 80, 443"):
        check_url(f"http://a.test:{port}/", config(), "p")
    if port:
        assert check_url(f"http://a.test:{port}/", config(allowed_ports=[port]), "p").port == port


def test_a_url_of_endless_length_is_refused() -> None:
    start = "https://a.test/"
    assert check_url(start + "x" * (8192 - len(start)), config(), "p")
    with pytest.raises(InvalidRequest, match="at most 8192"):
        check_url(start + "x" * (8193 - len(start)), config(), "p")


@pytest.mark.parametrize("host", ["a.test", "A.TEST", "a.test.", "x.b.test", "x.y.B.test"])
def test_an_allowed_host_is_named_whole_or_by_what_it_is_below(host: str) -> None:
    assert check_url(f"https://{host}/i.png", config(allowed_hosts=["A.test", "*.b.test"]), "p").scheme == "https"


@pytest.mark.parametrize(
    "host", ["b.test", "xb.test", "x.a.test", "a.test.evil.test", "evil.test", "8.8.8.8", "[2606:4700::1111]", "a.tes"]
)
def test_another_host_than_the_allowed_is_refused(host: str) -> None:
    with pytest.raises(InvalidRequest, match="operator does not allow"):
        check_url(f"https://{host}/", config(allowed_hosts=["a.test", "*.b.test"]), "p")


def test_no_host_is_allowed_where_the_operator_names_none() -> None:
    with pytest.raises(InvalidRequest):
        check_url("https://a.test/", config(allowed_hosts=[]), "p")


@pytest.mark.parametrize(
    ("location", "wanted"),
    [
        ("/b?c#d", "https://a.test/b?c"),
        ("b", "https://a.test/x/b"),
        ("//b.test/", "https://b.test/"),
        ("https://b.test/é", "https://b.test/%C3%A9"),
    ],
)
def test_a_redirect_may_be_relative(location: str, wanted: str) -> None:
    start = check_url("https://a.test/x/y", config(), "p")
    assert str(redirect_target(start, location, config(), "p").with_fragment(None)) == wanted


@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://a.test/",
        "ftp://a.test/",
        "file:///x",
        "//u:p@a.test/",
        "//a.test:22/",
        "//c.test/",
        "//[::1",
        "//[a]@/",
    ],
)
def test_a_redirect_is_checked_like_the_url_and_never_leaves_https(location: str) -> None:
    only = config(allowed_hosts=["a.test"])
    with pytest.raises(InvalidRequest, match="may not be fetched") as refusal:
        redirect_target(check_url("https://a.test/", only, "p"), location, only, "p")
    assert refusal.value.param == "p"


def test_a_redirect_may_go_from_http_to_https() -> None:
    assert redirect_target(check_url("http://a.test/", config(), "p"), "https://a.test/", config(), "p").port == 443


@given(st.text() | st.text().map("https://{}".format))
def test_any_text_is_a_url_that_is_checked_or_refused(text: str) -> None:
    start = check_url("https://a.test/", config(), "p")
    made: list[URL] = []
    with suppress(InvalidRequest):
        made.append(check_url(text, config(), "p"))
    with suppress(InvalidRequest):
        made.append(redirect_target(start, text, config(), "p"))
    for url in made:
        assert url.raw_host
        assert (url.scheme, url.port) in {("http", 80), ("http", 443), ("https", 80), ("https", 443)}
        assert (url.user, url.password) == (None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": 0},
        {"connect_timeout": -1},
        {"timeout": float("inf")},
        {"max_bytes": 0},
        {"max_bytes": True},
        {"allowed_ports": [0]},
        {"allowed_ports": [65536]},
        {"allowed_hosts": ["*"]},
        {"allowed_hosts": ["*.*.test"]},
        {"allowed_hosts": ["a.test/x"]},
        {"allowed_hosts": ["https://a.test"]},
        {"allowed_hosts": ["a.test:443"]},
        {"allow_private": True},
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        config(**wrong)
