"""What the operator reads of faults that are tiresome to make for real; the others are in tests/contract/test_upstream_faults.py."""

import errno
import ssl
from typing import Any

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
import pytest

from core.providers.http.faults import answer_fault, connection_fault

KEY = ConnectionKey("secret.example.com", 443, True, True, None, None, None)  # noqa: FBT003 - aiohttp's own


def tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "not valid for secret.example.com")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (aiohttp.ClientConnectorCertificateError(KEY, certificate(10)), "it has expired."),
        (aiohttp.ClientConnectorCertificateError(KEY, certificate(18)), "it is signed by itself."),
        (aiohttp.ClientConnectorCertificateError(KEY, certificate(62)), "it is for another name."),
        (aiohttp.ClientConnectorCertificateError(KEY, certificate(64)), "it is for another address."),
        (aiohttp.ClientConnectorCertificateError(KEY, certificate(79)), "it is not trusted."),
        (aiohttp.ClientConnectorSSLError(KEY, tls("TLSV1_ALERT_PROTOCOL_VERSION")), "(TLSV1_ALERT_PROTOCOL_VERSION)."),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.EHOSTUNREACH, "x")), "(No route to host): check its url."),
        (aiohttp.ClientConnectorError(KEY, OSError("secret.example.com")), "(OSError): check its url."),
        (aiohttp.ClientConnectorError(KEY, PermissionError("x")), "may not connect to."),
        (aiohttp.ClientConnectorError(KEY, ConnectionResetError("x")), "check the scheme and the port of its url."),
        (aiohttp.ConnectionTimeoutError("secret.example.com"), "open to the stack?"),
        (aiohttp.ServerDisconnectedError("x"), "without an answer."),
        (aiohttp.ClientPayloadError("secret.example.com"), "It broke off its answer."),
    ],
)
def test_it_says_what_is_wrong_and_where_nothing(failure: Any, told: str) -> None:
    fault = connection_fault(failure, "https")
    assert told in fault
    assert "secret" not in fault


@pytest.mark.parametrize("code", [200, 299, 400, 409, 500])
def test_a_status_that_is_no_fault_of_the_config_has_none(code: int) -> None:
    assert answer_fault(code, "application/json", "GET /models", "{}") == ""
    assert answer_fault(code, "text/html", "GET /models", "<html>") == ""


@pytest.mark.parametrize(
    ("code", "told"), [(300, "It redirects"), (399, "It redirects"), (404, "has no `GET /models`")]
)
def test_the_others_have_one(code: int, told: str) -> None:
    assert told in answer_fault(code, "application/json", "GET /models", "{}")
