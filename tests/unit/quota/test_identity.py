"""Two clients never share a counter, and one client never has two for free."""

from ipaddress import IPv6Address
import re

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.frame.callers import ANONYMOUS, Call, Principal
from core.quota.identity import LONGEST, identity
from tests.unit.quota.fakes import anonymous, user

TEXTS = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(
    [":", "a:b", "%3A", "%", "\ud800", "é", "ada"]
)
NAMES = TEXTS | st.text(st.sampled_from("a:%é🦙"), max_size=300)
HOSTS = st.integers(0, 2**64 - 1)
CALLS = st.one_of(
    st.builds(lambda name, by: Call(Principal(name, {}, by)), NAMES.filter(bool), TEXTS),
    st.builds(lambda source: Call(ANONYMOUS, source), st.ip_addresses(v=4).map(str)),
)


def client(call: Call) -> tuple[str, ...]:
    return (call.source,) if call.principal.anonymous else (call.principal.vouched_by, call.principal.id)


@given(CALLS, CALLS)
def test_two_clients_never_share_a_name(one: Call, other: Call) -> None:
    assert (identity(one) == identity(other)) == (client(one) == client(other))


@given(NAMES.filter(bool), TEXTS)
def test_a_name_is_short_ascii_that_says_where_its_parts_end(name: str, by: str) -> None:
    key = identity(Call(Principal(name, {}, by)))
    assert re.fullmatch(r"user:[\w.~%-]*:[\w.~%-]+|sha256:[0-9a-f]{64}", key, re.ASCII)
    assert len(key) <= LONGEST


def test_a_readable_identity_stays_readable() -> None:
    assert identity(user("ada@example.com")) == "user:issuer:ada%40example.com"
    assert identity(anonymous("203.0.113.7")) == "anonymous:203.0.113.7"


def test_separators_in_names_move_nothing() -> None:
    assert identity(user("b:c", vouched_by="a")) != identity(user("c", vouched_by="a:b"))
    assert identity(user("203.0.113.7", vouched_by="")) != identity(anonymous("203.0.113.7"))


def test_a_long_name_becomes_its_hash_and_stays_its_own() -> None:
    one, other = identity(user("x" * 2000)), identity(user("x" * 1999))
    assert one != other
    assert one.startswith("sha256:")
    assert identity(user(one)) != one


@given(st.integers(2, 2**64 - 1), HOSTS, HOSTS)
def test_all_addresses_of_one_ipv6_network_are_one_client(network: int, host: int, beside: int) -> None:
    here, there = (anonymous(str(IPv6Address(network << 64 | part))) for part in (host, beside))
    assert identity(here) == identity(there)
    neighbour = IPv6Address((network ^ 1) << 64 | host)
    assert identity(anonymous(str(neighbour))) != identity(here)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("2001:DB8:0:1::5", "2001%3Adb8%3A0%3A1%3A%3A%2F64"),
        ("fe80::1%eth0", "fe80%3A%3A%2F64"),
        ("", "unknown"),
        ("testclient", "unknown"),
        ("203.0.113.7, 198.51.100.1", "unknown"),
        ("203.0.113.007", "unknown"),
    ],
)
def test_addresses_in_other_spellings(source: str, name: str) -> None:
    assert identity(anonymous(source)) == f"anonymous:{name}"
