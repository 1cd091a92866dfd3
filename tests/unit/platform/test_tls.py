"""A context that reads late is, once it shakes hands, the one that it would have been."""

from collections.abc import Callable
from pathlib import Path
import socket
import ssl

import pytest
import trustme

from core.platform.tls import LazyContext, lazy_defaults, make_lazy


def over_memory(context: ssl.SSLContext) -> None:
    context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="example.org")


def over_a_socket(context: ssl.SSLContext) -> None:
    for end in socket.socketpair():
        with end:
            context.wrap_socket(end, server_hostname="example.org", do_handshake_on_connect=False).close()


HANDSHAKES = pytest.mark.parametrize("shake", [over_memory, over_a_socket])


@HANDSHAKES
def test_it_reads_at_its_first_handshake_and_is_an_ordinary_context_then(
    shake: Callable[[ssl.SSLContext], None], tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    context = make_lazy(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.load_verify_locations(tmp_path / "ca.pem")
    assert (type(context), context.cert_store_stats()["x509_ca"]) == (LazyContext, 0)
    for _ in range(2):
        shake(context)
        assert (type(context), context.cert_store_stats()["x509_ca"]) == (ssl.SSLContext, 1)


@HANDSHAKES
def test_what_is_made_meanwhile_trusts_the_system_as_what_is_made_else(shake: Callable[[ssl.SSLContext], None]) -> None:
    ordinary = ssl.create_default_context()
    with lazy_defaults():
        late, unverified = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.set_default_verify_paths()
        assert (type(late), type(unverified)) == (LazyContext, LazyContext)
        shake(late)
    assert type(ssl.create_default_context()) is ssl.SSLContext
    assert late.cert_store_stats() == ordinary.cert_store_stats()
    for name in ("verify_mode", "verify_flags", "check_hostname", "options", "minimum_version"):
        assert getattr(late, name) == getattr(ordinary, name)


def test_a_file_that_is_not_there_is_said_at_the_handshake_and_nobody_is_trusted(tmp_path: Path) -> None:
    context = make_lazy(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.load_verify_locations(tmp_path / "none.pem")
    with pytest.raises(FileNotFoundError):
        over_memory(context)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.cert_store_stats()["x509"] == 0
