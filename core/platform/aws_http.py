"""How the SDK's clients speak HTTP: as its own do, but with one TLS context, which is made once and reads late.

Each of its own reads the authorities' certificates anew, in a thread, at its first call, whether or not it speaks TLS.
"""

# ruff: noqa: SLF001, ANN401 - the SDK has these to be overridden, but neither public nor typed
from functools import cache
import ssl
from typing import Any

from core.platform.tls import deferring


@cache
def session_class() -> type:
    """For `http_session_cls` of the SDK's config, without certificates of clients or settings of proxies."""
    from aiobotocore.httpsession import AIOHTTPSession
    from aiohttp import TCPConnector

    theirs: Any = AIOHTTPSession
    contexts: dict[Any, ssl.SSLContext] = {}

    def context(session: Any) -> ssl.SSLContext:
        return deferring(theirs._get_ssl_context(session))

    async def connector(session: Any, proxy_url: str | None) -> TCPConnector:
        if proxy_url:
            its_own: TCPConnector = await theirs._create_connector(session, proxy_url)
            return its_own
        if session._verify not in contexts:
            contexts[session._verify] = session._build_verify_context()
        shared = contexts[session._verify]
        return TCPConnector(limit=session._max_pool_connections, ssl=shared, **session._connector_args)

    return type("Http", (theirs,), {"_get_ssl_context": context, "_create_connector": connector})
