"""The hosts that a stack answers as, where it listens itself: what a page's DNS made of this machine is none of them."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from core.config.browsers import ANY
from core.config.document import ServerConfig
from core.errors import ApiError, InvalidRequest, PermissionDenied
from core.platform.hosts import host_of, is_loopback
from core.web.origins import HostCheck

LONGEST: Final = 300  # bytes of a Host header


def host_check(server: ServerConfig, own: Iterable[str] = ()) -> HostCheck | None:
    """For a server that was told to listen on the hosts `own`; None where `server` is open to every name.

    With authentication, a page that DNS brought here has no token: names are checked only where the run config has any.
    """
    if ANY in server.hosts or (server.auth is not None and not server.hosts):
        return None
    hosts = frozenset((*server.hosts, *own))

    @lru_cache(maxsize=64)
    def check(header: bytes) -> ApiError | None:
        host = host_of(header.decode("latin-1"))
        if host is None:
            return InvalidRequest("The header Host must have one name or address, and a port if need be.")
        return None if host in hosts or is_loopback(host) else _not_ours(host, is_open=server.auth is None)

    def check_all(headers: list[bytes]) -> ApiError | None:
        if len(headers) != 1 or len(headers[0]) > LONGEST:
            return InvalidRequest("A request needs one header Host, with the name or address that it was sent to.")
        return check(headers[0])

    return check_all


def _not_ours(host: str, *, is_open: bool) -> PermissionDenied:
    why = "has no authentication and so answers only to its own names" if is_open else "answers only to its own names"
    return PermissionDenied(
        f'This stack {why}. If {host} is one, add it in the run config, as server.hosts: ["{host}"];'
        f" most distributions take LLAMBDA_HOSTS={host}."
    )
