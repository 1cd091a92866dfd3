"""Requests to a running stack, over the standard library."""

from collections.abc import Mapping
from http.client import HTTPException, IncompleteRead
import json
import re
from typing import Final, override
from urllib.error import URLError
from urllib.parse import SplitResult, urlencode, urlsplit
from urllib.request import HTTPErrorProcessor, Request, build_opener

from core.client.failures import ApiFailed, Unreachable, failure_of, not_json
from core.config.redact import redact_text
from core.frame.version import VERSION

PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")  # what a URL has, and of a key what a header can carry (RFC 9110, 5.5)
SUCCESS: Final = range(200, 300)
MOST_BYTES: Final = 64 * 1024 * 1024  # of an answer


class Transport:
    """One server. A key goes to it alone: no redirection is followed."""

    def __init__(self, base_url: str, api_key: str | None, *, timeout: float) -> None:
        """Raises ValueError for what is no URL of a server, or no key; its message has neither key nor password."""
        self.url = _root(base_url)
        if api_key and not PRINTABLE.fullmatch(api_key):
            raise ValueError("the API key has a blank or another character that a header cannot carry")
        self._api_key = api_key
        self._timeout = timeout
        self._opener = build_opener(_AsItComes)

    def send(self, method: str, path: str, body: object = None, query: Mapping[str, object] | None = None) -> object:
        """The JSON of the answer, None where that is empty. Entries of `query` that are None are left out.

        Raises:
            ApiFailed: the server says no, or its answer is not JSON.
            Unreachable: there is no answer, or not all of one.
        """
        try:
            status, headers, content = self._exchange(self._request(method, path, body, query or {}))
        except (OSError, HTTPException, UnicodeError) as failure:  # UnicodeError: a host that is no name
            raise self._unreachable(failure) from failure
        if len(content) > MOST_BYTES:
            raise ApiFailed(status, f"the answer has more than {MOST_BYTES} bytes.", hint="Is this the URL of a stack?")
        if status not in SUCCESS:
            raise failure_of(status, headers, content)
        try:
            answer: object = json.loads(content) if content else None
        except (ValueError, RecursionError) as broken:
            raise not_json(status, content) from broken
        return answer

    def _request(self, method: str, path: str, body: object, query: Mapping[str, object]) -> Request:
        encoded = urlencode({name: value for name, value in query.items() if value is not None})
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        request = Request(f"{self.url}{path}{'?' if encoded else ''}{encoded}", data, method=method)  # noqa: S310 - _root has seen it
        request.add_header("User-Agent", f"llambda/{VERSION}")
        request.add_header("Accept", "application/json")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self._api_key:
            request.add_header("Authorization", f"Bearer {self._api_key}")
        return request

    def _exchange(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers by lower-case name, and content."""
        with self._opener.open(request, timeout=self._timeout) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            content = answer.read(MOST_BYTES + 1)
            if answer.length and len(content) <= MOST_BYTES:  # a bounded read does not itself miss what never came
                raise IncompleteRead(content, answer.length)
            return answer.status, headers, content

    def _unreachable(self, failure: Exception) -> Unreachable:
        cause = failure.reason if isinstance(failure, URLError) else failure
        if isinstance(cause, TimeoutError):
            return Unreachable(self.url, f"no answer in {self._timeout:g} s")
        reason = cause.strerror if isinstance(cause, OSError) else None
        return Unreachable(self.url, reason or str(cause) or type(cause).__name__)


class _AsItComes(HTTPErrorProcessor):
    """Every answer is an answer: refusals are no exceptions of urllib's, and redirections are not followed."""

    @override
    def http_response(self, request: Request, response: object) -> object:
        return response

    https_response = http_response


def _root(base_url: str) -> str:
    """The URL below which the paths are: without a slash or /v1 at its end."""
    parts = _split(base_url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"`{redact_text(base_url)}` is not the URL of a server; write it as http://127.0.0.1:8321")
    if "@" in parts.netloc:
        raise ValueError("the URL has a user name or a password; an API key says who calls")
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _split(url: str) -> SplitResult | None:
    """None for what has another character than a URL, or a port that is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if PRINTABLE.fullmatch(url) else None
