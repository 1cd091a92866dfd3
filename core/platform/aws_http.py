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
    from inspect import iscoroutinefunction

    from aiobotocore.httpsession import AIOHTTPSession

    from core.platform.kept_connections import connector_class

    theirs: Any = AIOHTTPSession

    def connect(session: Any, proxy_url: str | None) -> Any:
        if proxy_url:
            return theirs._create_connector(session, proxy_url)
        tls = shared_context(session._verify)
        return connector_class()(limit=session._max_pool_connections, ssl=tls, **session._connector_args)

    async def connect_later(session: Any, proxy_url: str | None) -> Any:
        connector = connect(session, proxy_url)
        return await connector if proxy_url else connector

    def context(session: Any) -> ssl.SSLContext:
        return make_lazy(theirs._get_ssl_context(session))

    # aiobotocore 2 waits for no connector, 3 does.
    create = connect_later if iscoroutinefunction(theirs._create_connector) else connect
    return type("Http", (theirs,), {"_get_ssl_context": context, "_create_connector": create})


@cache
def shared_context(verify: Any) -> ssl.SSLContext:
    """`verify` is the path of a bundle, or whether to verify at all."""
    from botocore.httpsession import create_urllib3_context, get_cert_path

    context = make_lazy(create_urllib3_context())
    context.check_hostname = bool(verify)  # which urllib3 would do by itself, and aiohttp leaves to the context
    if not verify:
        context.verify_mode = ssl.CERT_NONE
    elif authorities := get_cert_path(verify):
        context.load_verify_locations(authorities)
    return context
