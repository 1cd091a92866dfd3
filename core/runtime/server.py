"""The local server: one uvicorn process for the apps of all functions."""

import asyncio
from collections.abc import Callable
from math import ceil
import os
import signal
import socket
import ssl
from types import FrameType
from typing import override

from starlette.types import ASGIApp
import uvicorn

from core.config.document import ServerConfig
from core.config.problems import ConfigInvalid, Problem
from core.platform.hosts import host_of
from core.runtime.http_protocol import protocol_class
from core.runtime.loop import process_loop
from core.web.failures import STOPPING

INTERRUPTED = 130
GRACE_SECONDS = 3  # for answers to end once they were told to


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def url_of(listener: socket.socket, *, tls: bool) -> str:
    """Where a client on this machine finds it."""
    host, port = listener.getsockname()[:2]
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared, not bound
    return f"{'https' if tls else 'http'}://{name}:{port}"


def own_hosts(host: str, listener: socket.socket) -> tuple[str, ...]:
    """The names by which a server that was told to listen on `host` is called: none where that is every address."""
    wildcard = listener.getsockname()[0] in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    name = None if wildcard else host_of(f"[{host}]" if ":" in host else host)
    return () if name is None else (name,)


def serve(app: ASGIApp, server: ServerConfig, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is on its way; `ready` is called when it listens.

    What is not whole after `shutdown_seconds` ends with an error that says so, a stream with one in its own frames.

    With `tls_cafile`, clients must show a certificate that it vouches for (mutual TLS).

    Raises:
        ConfigInvalid: a TLS file is missing, or is no certificate or key.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        proxy_headers=False,  # else a caller on this machine chooses the address that its quota is counted by
        timeout_graceful_shutdown=ceil(server.shutdown_seconds) + GRACE_SECONDS,
        http=protocol_class(),
        ws="none",
        ssl_certfile=server.tls_certfile,
        ssl_keyfile=server.tls_keyfile,
        ssl_ca_certs=server.tls_cafile,
        ssl_cert_reqs=ssl.CERT_REQUIRED if server.tls_cafile else ssl.CERT_NONE,
    )
    try:
        config.load()
    except OSError as failure:  # ssl's own errors are OSErrors too
        problem = Problem("server", f"its TLS files cannot be used: {failure.strerror or failure}")
        raise ConfigInvalid("run config", [problem]) from failure
    process_loop().run_until_complete(_Server(config, ready, server.shutdown_seconds).serve(sockets=[listener]))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], seconds: float) -> None:
        super().__init__(config)
        self._ready = ready
        self._seconds = seconds

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second Ctrl-C does not wait: uvicorn's own way out leaves tasks behind, which say so with tracebacks."""
        if self.should_exit and sig == signal.SIGINT:
            os._exit(INTERRUPTED)
        super().handle_exit(sig, frame)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        ending = asyncio.get_running_loop().call_later(self._seconds, self._end_answers)
        await super().shutdown(sockets=sockets)
        ending.cancel()
        self._captured_signals.clear()  # else uvicorn raises the signal again: a clean stop is no failure

    def _end_answers(self) -> None:
        for task in self.server_state.tasks:
            task.cancel(STOPPING)
