"""Connections that are kept for the next request, and were closed by the other side meanwhile.

Promised: no request is sent on a connection whose end this machine has heard of, even if the event loop has not: while it
was idle, while a Lambda function was frozen, or while something else kept the loop. Such a request goes over another one.

Not promised: a close that is still on its way, or that never comes, as of a NAT that has forgotten the connection. A
request that is lost so fails, and a POST is not sent again: it may have been served, and has its price. (aiohttp repeats a GET.)
"""

from functools import cache
from typing import TYPE_CHECKING, Any, override

if TYPE_CHECKING:
    from aiohttp import TCPConnector


@cache
def connector_class() -> "type[TCPConnector]":
    """aiohttp's, which by itself knows of a close what the event loop has read; imported with the first that connects."""
    from select import POLLIN, poll
    from weakref import WeakKeyDictionary

    from aiohttp import TCPConnector

    polls: WeakKeyDictionary[Any, poll] = WeakKeyDictionary()  # of protocols, each of which has one socket for good

    def is_over(protocol: Any) -> bool:  # noqa: ANN401 - aiohttp's own
        """Whether there is something to read on an idle connection: its end, or what no request has asked for."""
        transport = protocol.transport
        if transport is None or transport.is_closing():
            return True
        polling = polls.get(protocol)
        if polling is None:
            polling = polls[protocol] = poll()
            polling.register(transport.get_extra_info("socket").fileno(), POLLIN)
        return bool(polling.poll(0))

    class Connector(TCPConnector):
        @override
        def _get(self, key: Any, traces: Any) -> Any:
            kept = self._conns.get(key, ())
            while kept and is_over(kept[0][0]):
                kept.popleft()[0].close()
            return super()._get(key, traces)

    return Connector
