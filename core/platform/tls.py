"""Certificates of authorities, read at the first handshake: reading them is tens of milliseconds of a cold start.

A context that has not read them yet trusts nobody, so whatever might use it otherwise fails.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
import ssl
from typing import Any, Final, override

READS: Final[dict[str, Callable[..., None]]] = {
    "load_default_certs": ssl.SSLContext.load_default_certs,
    "set_default_verify_paths": ssl.SSLContext.set_default_verify_paths,
    "load_verify_locations": ssl.SSLContext.load_verify_locations,
}
SYSTEMS: Final = ("load_default_certs", "set_default_verify_paths")


class Deferred(ssl.SSLContext):
    """Notes what it is told to read; at a handshake it becomes an ordinary context, and reads it."""

    @override
    def load_default_certs(self, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
        self._note("load_default_certs", purpose)

    @override
    def set_default_verify_paths(self) -> None:
        self._note("set_default_verify_paths")

    @override
    def load_verify_locations(self, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        self._note("load_verify_locations", cafile, capath, cadata)

    @override
    def wrap_bio(self, *streams: Any, **more: Any) -> ssl.SSLObject:
        return self._read().wrap_bio(*streams, **more)

    @override
    def wrap_socket(self, *socket: Any, **more: Any) -> ssl.SSLSocket:
        return self._read().wrap_socket(*socket, **more)

    def _note(self, name: str, *arguments: object) -> None:
        vars(self).setdefault("noted", []).append((name, arguments))

    def _read(self) -> ssl.SSLContext:
        """The same context, as an ordinary one; raises OSError."""
        context: Any = self
        noted = vars(self).pop("noted", ())
        context.__class__ = ssl.SSLContext
        for name, arguments in noted:
            READS[name](context, *arguments)
        return self


def deferring(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context, which reads nothing more until its first handshake."""
    context.__class__ = Deferred
    return context


@contextmanager
def deferred() -> Generator[None]:
    """A context that is told to read the system's authorities meanwhile is deferred.

    Importing aiohttp makes two such contexts, whether or not anything will speak TLS.
    """
    for name in SYSTEMS:
        setattr(ssl.SSLContext, name, _putting_off(name))
    try:
        yield
    finally:
        for name in SYSTEMS:
            setattr(ssl.SSLContext, name, READS[name])


def _putting_off(name: str) -> Callable[..., None]:
    def put_off(context: ssl.SSLContext, *what: object) -> None:
        getattr(deferring(context), name)(*what)

    return put_off
