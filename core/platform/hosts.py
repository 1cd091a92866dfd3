"""Names and addresses of hosts, as HTTP headers have them, in one form that can be compared."""

import re
from typing import Final

HOST: Final = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9_][a-z0-9._-]{0,252}))(?::([0-9]{0,5}))?")
ADDRESS: Final = re.compile(r"[0-9.]+")


def host_of(header: str) -> str | None:
    """The host of `host`, `host:port` or `[IPv6]:port`, in lower case and without a last dot; None where it is none.

    An address is in its canonical form: `127.1` is a name that nobody has.
    """
    match = HOST.fullmatch(header.lower())
    if match is None:
        return None
    address, name, _ = match.groups()
    if address is None:
        return name.removesuffix(".") or None
    from ipaddress import IPv6Address

    try:
        return IPv6Address(address).compressed
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether `host`, in the form of `host_of`, is this machine to itself: no other machine's DNS says where it is."""
    if host == "localhost":
        return True
    if ":" not in host and not ADDRESS.fullmatch(host):
        return False
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
