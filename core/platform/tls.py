"""TLS contexts that read the authorities' certificates at their first handshake.

Reading them takes tens of milliseconds, which a cold start must not wait for.
A context that has not read them yet trusts nobody: whatever uses it without a handshake of ours fails.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
import ssl
from typing import Any, Final, override

LOADERS: Final[dict[str, Callable[..., None]]] = {
    "load_default_certs": ssl.SSLContext.load_default_certs,
    "set_default_verify_paths": ssl.SSLContext.set_default_verify_paths,
    "load_verify_locations": ssl.SSLContext.load_verify_locations,
}
SYSTEM_LOADERS: Final = ("load_default_certs", "set_default_verify_paths")


class LazyContext(ssl.SSLContext):
    """Notes what it is told to load; at a handshake it becomes an ordinary context, and loads it."""

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
        return self._load().wrap_bio(*streams, **more)

    @override
    def wrap_socket(self, *socket: Any, **more: Any) -> ssl.SSLSocket:
        return self._load().wrap_socket(*socket, **more)

    def _note(self, name: str, *arguments: object) -> None:
        vars(self).setdefault("notes", []).append((name, arguments))

    def _load(self) -> ssl.SSLContext:
        """The same context, as an ordinary one; raises OSError."""
        context: Any = self
        notes = vars(self).pop("notes", ())
        context.__class__ = ssl.SSLContext  # in place: whoever holds the context has the ordinary one now
        for name, arguments in notes:
            LOADERS[name](context, *arguments)
        return self


def make_lazy(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context, which loads nothing more until its first handshake."""
    context.__class__ = LazyContext
    return context


@contextmanager
def lazy_defaults() -> Generator[None]:
    """Meanwhile, a context that is told to load the system's authorities becomes lazy.

    Importing aiohttp makes two such contexts, whether or not anything will speak TLS.
    """
    for name in SYSTEM_LOADERS:
        setattr(ssl.SSLContext, name, _lazy_loader(name))
    try:
        yield
    finally:
        for name in SYSTEM_LOADERS:
            setattr(ssl.SSLContext, name, LOADERS[name])


def _lazy_loader(name: str) -> Callable[..., None]:
    def note(context: ssl.SSLContext, *arguments: object) -> None:
        getattr(make_lazy(context), name)(*arguments)

    return note
