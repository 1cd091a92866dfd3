"""One issuer or API server, over HTTP: its TLS settings, read at the first request, and what is wrong with its answers."""

from functools import cached_property
import logging
import ssl
from typing import Any
from urllib.parse import urlsplit

from core.auth.http import UNAVAILABLE, Http, Reply, tls_context
from core.errors import AuthUnavailable

log = logging.getLogger(__name__)


def unusable(url: str, why: str) -> AuthUnavailable:
    """Log `why`, which must hold nothing that was sent, and make the error that tells the caller to retry."""
    log.warning("auth: %s %s", urlsplit(url).hostname, why)
    return AuthUnavailable(UNAVAILABLE)


class Endpoint:
    def __init__(self, http: Http, *, verify_tls: bool = True, tls_cafile: str | None = None) -> None:
        """`tls_cafile` is PEM, and replaces the system's authorities."""
        self._http = http
        self._verify_tls = verify_tls
        self._tls_cafile = tls_cafile

    async def request(self, method: str, url: str, **options: Any) -> Reply:  # noqa: ANN401 - Http.request's
        """As Http.request.

        Raises:
            AuthUnavailable: no answer, or the CA file cannot be read.
        """
        try:
            tls = self._tls
        except OSError as failure:
            raise unusable(url, f"cannot be asked, tls_cafile is not usable: {type(failure).__name__}") from failure
        return await self._http.request(method, url, tls=tls, **options)

    @cached_property
    def _tls(self) -> ssl.SSLContext | bool:
        return tls_context(verify=self._verify_tls, cafile=self._tls_cafile)
