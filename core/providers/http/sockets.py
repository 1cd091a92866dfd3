"""Where a socket is made, its address is judged: between a look-up and a connection DNS may change its mind.

What was judged is what is connected to, whether DNS said it or the URL, and a name that has another address the next time
gains nothing. aiohttp asks for a socket for literals too, which it does not resolve.
"""

from collections.abc import Callable
import logging
import socket
import ssl
from typing import TYPE_CHECKING, Any

from core.platform.addresses import may_connect

if TYPE_CHECKING:
    from core.platform.addresses import Reach

log = logging.getLogger(__name__)

type AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


def socket_factory(reach: "Reach", user: str) -> Callable[[AddressInfo], socket.socket]:
    """For aiohttp's connector; `user` is who connects, for the log. Its sockets raise PermissionError where they may not."""

    def make(address: AddressInfo) -> socket.socket:
        family, kind, protocol, _, (host, port, *_) = address
        if not may_connect(host, port, reach):
            log.warning("%s: %s is not an address to fetch from", user, host)
            raise PermissionError("not an address to fetch from")
        return socket.socket(family, kind, protocol)

    return make


def tls_of(verify: bool | str) -> ssl.SSLContext | bool:  # noqa: FBT001 - the config's own value
    """As aiohttp's connector takes it; raises OSError for a file of authorities that cannot be used."""
    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
