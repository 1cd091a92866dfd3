"""What is wrong with an upstream, in words for the operator, with what to do: no address, nothing that was sent. Pure.

Read in the log and in a provider's health; callers are told less.
"""

import os
import socket
import ssl
from typing import Final

import aiohttp

NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNEXPECTED_MESSAGE"})
"""OpenSSL's reasons where the other side's bytes are none of TLS."""
CERTIFICATES: Final = {
    10: "it has expired",
    18: "it is signed by itself",
    19: "its authority signed itself",
    20: "its authority is unknown",
    62: "it is for another name",
    64: "it is for another address",
}
"""OpenSSL's numbers, `X509_V_ERR_...`."""
SAYS_TLS: Final = ("http request to an https server", "http request was sent to https port", "requires tls")
"""What Go's servers, nginx and others answer in plain text."""
WANTS_TLS: Final = "It wants TLS: its url should begin with https://."
WEB_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
NO_PATH: Final = frozenset({404, 405})
SPEAKS_TLS: Final = " If it speaks TLS, its url should begin with https://."
CLOSED: Final = f"It closed the connection without an answer.{SPEAKS_TLS}"
FAULTS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ConnectionTimeoutError, "No connection came about in time: is it up, and its address open to the stack?"),
    (TimeoutError, "It sent nothing for too long."),
    (aiohttp.ServerDisconnectedError, CLOSED),
    (aiohttp.ClientOSError, CLOSED),
    (aiohttp.ClientResponseError, "It does not speak HTTP at that port: check its url."),
)


def connection_fault(failure: Exception, scheme: str) -> str:
    """Why no answer came; `scheme` is that of the URL."""
    if isinstance(failure, aiohttp.ClientSSLError):
        return _tls_fault(failure)
    if isinstance(failure, aiohttp.ClientConnectorError):
        return _socket_fault(failure.os_error)
    text = next((text for kind, text in FAULTS if isinstance(failure, kind)), "It broke off its answer.")
    return text if scheme == "http" else text.removesuffix(SPEAKS_TLS)


def ca_fault(path: str, failure: Exception) -> str:
    """Why its CA file cannot be used."""
    reason = os.strerror(failure.errno) if isinstance(failure, OSError) and failure.errno else "it is no PEM"
    if isinstance(failure, ssl.SSLError):
        reason = "it has no certificate in PEM"
    return f"The CA file `{path}` of its tls_verify cannot be used: {reason}."


def _tls_fault(failure: aiohttp.ClientSSLError) -> str:
    match failure:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as wrong):
            reason = CERTIFICATES.get(wrong.verify_code, "it is not trusted")
            return (
                f"Its certificate was refused: {reason}. `tls_verify` may be the path of its authority's certificate."
            )
        case aiohttp.ClientConnectorSSLError(os_error=ssl.SSLError(reason=str(reason))) if reason not in NOT_TLS:
            return f"TLS could not be agreed on ({reason})."
        case _:
            return "It does not speak TLS at that port: its url should begin with http://, or name another port."


def _socket_fault(wrong: OSError) -> str:
    match wrong:
        case socket.gaierror():
            return "The name of its host does not resolve: check its url."
        case ConnectionRefusedError():
            return "Nothing listens at its address (connection refused): is it up, and the port of its url right?"
        case ConnectionResetError() | ConnectionAbortedError():
            return "It closed the connection before there was TLS: check the scheme and the port of its url."
        case PermissionError():
            return "Its address is one where the stack may not connect to."
        case _:
            reason = os.strerror(wrong.errno) if wrong.errno else type(wrong).__name__
            return f"It could not be connected to ({reason}): check its url."


def answer_fault(status: int, content_type: str, endpoint: str, text: str) -> str:
    """Why an answer is none of an API's; "" where it may be. `endpoint` is as in `POST /chat/completions`."""
    if any(words in text.lower() for words in SAYS_TLS):
        return WANTS_TLS
    if 300 <= status < 400:  # noqa: PLR2004 - RFC 9110, 15.4
        return f"It redirects (HTTP {status}), which is not followed: its url should be the one that it redirects to."
    if content_type in WEB_PAGES and status in NO_PATH:
        return web_page_fault(status)
    return f"It has no `{endpoint}` (HTTP {status}): check the path of its url." if status in NO_PATH else ""


def web_page_fault(status: int) -> str:
    return f"It answers with a web page (HTTP {status}): its url is not that of an API, which often ends in `/v1`."
