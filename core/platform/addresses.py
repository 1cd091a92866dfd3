"""Which addresses a connection may go to, and which one a URL's host spells.

Sources: https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/ipv6-unicast-address-assignments,
https://www.iana.org/assignments/iana-ipv6-special-registry, RFC 6052 for NAT64, RFC 3056 for 6to4, and the clouds' manuals for metadata.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
import re
import socket
from typing import Final, Literal
from unicodedata import normalize
from urllib.parse import unquote

from core.platform.environment import values_of

type Reach = Literal["public", "private", "operator"]
"""`private` is public, private and loopback addresses; `operator` is all but what nobody has a reason to connect to."""
type Address = IPv4Address | IPv6Address

PRIVATE: Final = tuple(
    map(
        ip_network,
        ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
    )
)
METADATA: Final = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # most clouds'; ECS, EKS, Lambda's X-Ray daemon
            "fe80::/10",
            "100.100.100.200/32",  # Alibaba Cloud
            "168.63.129.16/32",  # Azure
            "192.0.0.192/32",  # Oracle Cloud
            "fd00:ec2::/32",  # AWS: instances ::254, containers ::23
            "fd20:ce::254/128",  # Google Cloud
        ),
    )
)
METADATA_NAMES: Final = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.tencentyun.com",
        "rancher-metadata",
    }
)
SPECIAL: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "2001::/23",  # Teredo is in it
            "2001:db8::/32",
            "2002::/16",  # 6to4
            "3fff::/20",
        ),
    )
)
UNICAST: Final = IPv6Network("2000::/3")  # all that is assigned; no other IPv6 address is public
NAT64: Final = IPv6Network("64:ff9b::/96")
CLOTHES: Final = tuple(  # the ranges whose last 32 bits are an IPv4 address that something may translate them to
    map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
)
HERE: Final = tuple(map(ip_network, ("127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128")))
RESERVED_BY: Final = (  # variables that say where the machine gives out credentials or work; a host and a port in each
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_XRAY_DAEMON_ADDRESS",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
)
HOST_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|(?<![^\s/:\[\]])[^\s/:\[\]]+):(\d{1,5})(?![\d.])")
SPELLED: Final = re.compile(r"(?<!\d)(\d{1,3})[.-](\d{1,3})[.-](\d{1,3})[.-](\d{1,3})(?!\d)")
SPELLED_HEX: Final = re.compile(r"(?<![0-9a-z])[0-9a-f]{8}(?![0-9a-z])")
ZEROS: Final = re.compile(r"(?<![0-9a-fx])0+(?=[0-9])")
LOCAL_NAME: Final = re.compile(
    r"[^.]*|(.+\.)?(localhost[46]?|localdomain[46]?|local|internal|intranet|lan|corp|home\.arpa|svc|localtest\.me|lvh\.me|vcap\.me)"
)
"""What no public name is, or is for this machine by what its owner says: a name without a dot, and these."""
WILDCARD: Final = re.compile(
    r".+\.(nip|sslip|xip)\.io|.+\.traefik\.me"
)  # they answer a name with the address within it
DOTS: Final = str.maketrans("\u3002\uff61", "..")  # which IDNA takes for dots; NFKC makes the third, \uff0e, one
IGNORED: Final = (
    "\ufe00\ufe01\ufe0e\ufe0f"  # variation selectors, which IDNA drops; the other signs that it drops do not print
)


def may_connect(address: str, port: int, reach: Reach) -> bool:
    """Whether a socket may be connected to `address`, in its usual notation; False for what is no address.

    Nobody connects to metadata or link-local addresses, whatever clothes they are in, nor to where this machine gives out
    work and credentials, as Lambda's runtime API.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if is_metadata(ip) or _is_reserved(ip, port):
        return False
    return reach == "operator" or _may_name(ip, private=reach == "private")


def is_metadata(ip: Address) -> bool:
    """Whether it is link-local or a cloud's metadata service, itself or as the IPv4 address that it holds."""
    return any(form in network for form in (ip, *_forms(ip)) for network in METADATA)


def literal_addresses(host: str) -> list[Address]:
    """The addresses that the host of a URL spells, as any of its readers may read it; none for a name.

    So 169.254.169.254 is also 2852039166, 0xa9fea9fe, 0251.0376.0251.0376, 169.254.43518 and, in full-width digits or
    percent-encoded, what these are. 010.0.0.1 is two: some take it for octal.
    """
    text = _plain(host).strip("[]")
    readings = [text, ZEROS.sub("", text)] if text[:1].isdigit() else [text]
    return [ip for reading in readings if (ip := _parse(reading)) is not None]


def _parse(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(text)) if text[:1].isdigit() else None
    except (OSError, ValueError):  # ValueError: a null within it
        return None


def may_name(host: str, port: int, reach: Reach) -> bool:
    """Whether a URL may have this host, as far as that can be told without asking for its address.

    A name may hold an address, as 169-254-169-254.example.com does: there are servers that answer such names with it.
    """
    literals = literal_addresses(host)
    if literals:
        return all(may_connect(str(ip), port, reach) for ip in literals)
    name = _plain(host)
    if reach == "public" and LOCAL_NAME.fullmatch(name):
        return False
    if WILDCARD.fullmatch(name) and not all(may_connect(str(address), port, reach) for address in _spelled(name)):
        return False
    return name not in METADATA_NAMES and not any(is_metadata(address) for address in _spelled(name))


def _plain(host: str) -> str:
    """As it is after all that browsers and libraries do to a host before they look it up."""
    text = normalize("NFKC", unquote(host)).translate(DOTS).lower()
    return "".join(sign for sign in text if sign.isprintable() and sign not in IGNORED).strip(" .")


def _spelled(name: str) -> Iterator[Address]:
    for match in SPELLED.finditer(name):
        octets = [int(octet) for octet in match.groups()]
        if max(octets) <= 0xFF:  # noqa: PLR2004 - an octet
            yield IPv4Address(bytes(octets))
    for digits in SPELLED_HEX.findall(name):
        yield IPv4Address(int(digits, 16))


def _may_name(ip: Address, *, private: bool) -> bool:
    target = _underlying(ip)
    if any(target in network for network in METADATA + SPECIAL):
        return False
    if any(target in network for network in PRIVATE):
        return private
    return isinstance(target, IPv4Address) or target in UNICAST


def _underlying(ip: Address) -> Address:
    """The IPv4 address that a mapped or NAT64 one reaches."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip


def _forms(ip: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 one holds."""
    if isinstance(ip, IPv4Address):
        return
    if any(ip in network for network in CLOTHES):
        yield IPv4Address(int(ip) & 0xFFFF_FFFF)
    if ip.sixtofour is not None:
        yield ip.sixtofour
    if ip.teredo is not None:
        yield from ip.teredo


def _is_reserved(ip: Address, port: int) -> bool:
    """Whether one of `RESERVED_BY` is there; on this machine by its port alone, for loopback has many addresses."""
    target = next((form for form in _forms(ip) if any(form in network for network in HERE)), ip)
    here = any(target in network for network in HERE)
    return any(port == reserved and (host is None if here else host == ip) for host, reserved in _reserved())


def _reserved() -> Sequence[tuple[Address | None, int]]:
    """The address, None for this machine's own and for a name, and the port of each."""
    return _read_reserved(values_of(RESERVED_BY))


@lru_cache(maxsize=16)
def _read_reserved(values: tuple[str, ...]) -> Sequence[tuple[Address | None, int]]:
    places = list[tuple[Address | None, int]]()
    for value in values:
        for host, port in HOST_AND_PORT.findall(value):
            ip = next(iter(literal_addresses(host)), None)
            here = ip is None or any(ip in network for network in HERE)
            places.append((None if here else ip, int(port)))
    return places
