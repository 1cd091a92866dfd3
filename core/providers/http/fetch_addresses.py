"""Which addresses may be fetched from. Pure.

Sources: https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/ipv6-unicast-address-assignments,
https://www.iana.org/assignments/iana-ipv6-special-registry, RFC 6052 for NAT64, and the clouds' manuals for metadata.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

PRIVATE: Final = tuple(
    map(
        ip_network,
        ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
    )
)
METADATA: Final = tuple(  # those that are in no range that is refused anyway
    map(
        ip_network,
        (
            "100.100.100.200/32",  # Alibaba Cloud
            "168.63.129.16/32",  # Azure
            "fd00:ec2::/32",  # AWS: instances ::254, containers ::23
            "fd20:ce::254/128",  # Google Cloud
        ),
    )
)
SPECIAL: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",  # link-local, and most clouds' metadata
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


def may_fetch_from(address: str, *, private: bool) -> bool:
    """Whether `address`, in its usual notation, is public, or `private` and we may; False for what is no address.

    Metadata and link-local addresses are neither.
    """
    try:
        ip = _underlying(ip_address(address))
    except ValueError:
        return False
    if any(ip in network for network in METADATA + SPECIAL):
        return False
    if any(ip in network for network in PRIVATE):
        return private
    return isinstance(ip, IPv4Address) or ip in UNICAST


def _underlying(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that a mapped or NAT64 one reaches."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip
