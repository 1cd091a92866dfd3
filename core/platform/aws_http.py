"""The HTTP session of the SDK's clients: its own, but with one TLS context for all, which is lazy (`core.platform.tls`).

Left to itself each client reads the authorities' certificates anew, in a thread, at its first call, with TLS or without.
"""

# ruff: noqa: SLF001, ANN401 - the SDK has these to be overridden, but neither public nor typed
from functools import cache
import ssl
from typing import Any

from core.platform.tls import make_lazy


@cache
def session_class() -> type:
    """For `http_session_cls` of the SDK's config. Of client certificates and proxies' settings it knows nothing."""
    from aiobotocore.httpsession import AIOHTTPSession
    from aiohttp import TCPConnector

    theirs: Any = AIOHTTPSession
    contexts: dict[Any, ssl.SSLContext] = {}

    def context(session: Any) -> ssl.SSLContext:
        return make_lazy(theirs._get_ssl_context(session))

    async def connector(session: Any, proxy_url: str | None) -> TCPConnector:
        if proxy_url:
            proxied: TCPConnector = await theirs._create_connector(session, proxy_url)
            return proxied
        if session._verify not in contexts:
            contexts[session._verify] = session._build_verify_context()
        shared = contexts[session._verify]
        return TCPConnector(limit=session._max_pool_connections, ssl=shared, **session._connector_args)

    return type("Http", (theirs,), {"_get_ssl_context": context, "_create_connector": connector})
