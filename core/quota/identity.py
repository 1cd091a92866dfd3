"""Whose quota a call takes from, as a name: readable, without separators in its parts, and never another client's.

user:{auth provider}:{principal}     a caller whose identity was verified
anonymous:{address}                  IPv6 by its /64, which one client has for itself alone
sha256:{digest}                      of a name that would be longer than 400 bytes
"""

from functools import lru_cache
import hashlib
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import quote

from core.frame.callers import Call, Principal

LONGEST: Final = 400  # bytes; with the window and the shard, a key has fewer than 512
MOST: Final = 1024  # callers whose names are remembered
HOST_BITS: Final = 64
UNKNOWN: Final = "unknown"


def identity(call: Call) -> str:
    """ASCII, of at most 400 bytes."""
    caller = call.principal
    if caller.anonymous:
        return f"anonymous:{quote(_network(call.source), safe='')}"
    return _name(caller.vouched_by, caller.id)


@lru_cache(MOST)
def _name(vouched_by: str, caller_id: str) -> str:
    name = f"user:{Principal(caller_id, {}, vouched_by).identity}"
    return name if len(name) <= LONGEST else f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def _network(source: str) -> str:
    try:
        address: IPv4Address | IPv6Address = ip_address(source)
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return f"{IPv6Address(int(address) >> HOST_BITS << HOST_BITS)}/{HOST_BITS}"
        address = address.ipv4_mapped
    return str(address)
