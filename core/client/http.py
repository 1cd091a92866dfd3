"""Requests to a running stack, over the standard library."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, HTTPResponse, IncompleteRead
import json
import re
from secrets import token_hex
from typing import Any, Final, override
from urllib.error import URLError
from urllib.parse import SplitResult, urlencode, urlsplit
from urllib.request import HTTPErrorProcessor, Request, build_opener

from core.client.failures import ApiFailed, Unreachable, failure_of, not_json
from core.config.redact import redact_text
from core.frame.version import VERSION
from core.platform.json_values import is_object

PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")  # what a URL has, and of a key what a header can carry (RFC 9110, 5.5)
SUCCESS: Final = range(200, 300)
MOST_BYTES: Final = 64 * 1024 * 1024  # of an answer
REDIRECTION: Final = range(300, 400)
CHUNK: Final = 256 * 1024
DATA: Final = b"data:"
DONE: Final = b"[DONE]"
PROVIDER_DATA: Final = "X-LlamaStack-Provider-Data"


@dataclass(frozen=True, slots=True)
class FormFile:
    """The part of a form that is a file; all of it is in memory."""

    field: str
    filename: str
    content: bytes


class Transport:
    """One server. A key goes to it alone: no redirection is followed."""

    def __init__(self, base_url: str, api_key: str | None, *, timeout: float, provider_data: str = "") -> None:
        """`provider_data` is a JSON object of keys for providers; like the key, it goes to this server alone.

        Raises ValueError for what is no URL of a server, no key or no such object; its message has neither key nor password.
        """
        self.url = _root(base_url)
        if api_key and not PRINTABLE.fullmatch(api_key):
            raise ValueError("the API key has a blank or another character that a header cannot carry")
        self._api_key = api_key
        self._provider_data = _check_object(provider_data) if provider_data else ""
        self._timeout = timeout
        self._opener = build_opener(_AsItComes)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, object] | None = None,
        *,
        timeout: float | None = None,
    ) -> object:
        """The JSON of the answer, None where that is empty. Entries of `query` that are None are left out; `timeout` is this call's.

        Raises:
            ApiFailed: the server says no, or its answer is not JSON.
            Unreachable: there is no answer, or not all of one.
        """
        return self._answer(self._request(method, path, body, query or {}), timeout)

    def send_form(self, path: str, fields: Mapping[str, str], file: FormFile) -> object:
        """The JSON of the answer to a form; raises as `send` does."""
        boundary = token_hex(16)
        request = self._request("POST", path, None, {})
        request.data = b"".join(_form(boundary, fields, file))
        request.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
        return self._answer(request)

    def send_elsewhere(
        self, method: str, url: str, headers: Mapping[str, str], content: Iterable[bytes], size: int
    ) -> None:
        """Send so many bytes to a URL that the stack has answered, without the key; raises as `send` does."""
        request = Request(_http(url), content, dict(headers), method=method)  # noqa: S310 - _http has seen it
        request.add_header("Content-Length", str(size))
        try:
            status, heads, answer = self._exchange(request)
        except (OSError, HTTPException, UnicodeError) as failure:
            raise self._unreachable(failure) from failure
        if status not in SUCCESS:
            raise failure_of(status, heads, answer)

    def download(self, path: str) -> Iterator[bytes]:
        """The bytes of the answer in chunks; where it is elsewhere they are fetched there, without the key. Raises as `send` does."""
        request = self._request("GET", path, None, {})
        try:
            answer: HTTPResponse = self._opener.open(request, timeout=self._timeout)
            if answer.status in REDIRECTION:
                answer.close()
                url = _http(answer.headers.get("location", ""))
                answer = self._opener.open(Request(url), timeout=self._timeout)  # noqa: S310
            with answer:
                if answer.status not in SUCCESS:
                    heads = {name.lower(): value for name, value in answer.headers.items()}
                    raise failure_of(answer.status, heads, answer.read(MOST_BYTES))
                while chunk := answer.read(CHUNK):
                    yield chunk
                if answer.length:
                    raise IncompleteRead(b"", answer.length)
        except (OSError, HTTPException, UnicodeError) as failure:
            raise self._unreachable(failure) from failure

    def fetch(self, path: str) -> object:
        """The JSON of an answer that may be elsewhere, as `download` has it; raises as `send` does."""
        content = b"".join(self.download(path))
        try:
            answer: object = json.loads(content)
        except (ValueError, RecursionError) as broken:
            raise not_json(SUCCESS.start, content) from broken
        return answer

    def stream(
        self, path: str, body: object = None, query: Mapping[str, object] | None = None, *, timeout: float
    ) -> "Iterator[dict[str, Any]]":
        """The data of an answer's events, each a JSON object, as they come: of a POST, or of a GET where there is no body.

        Raises as `send` does, before the first event or among them.
        """
        request = self._request("GET" if body is None else "POST", path, body, query or {})
        request.add_header("Accept", "text/event-stream")
        try:
            with self._opener.open(request, timeout=timeout) as answer:
                if answer.status not in SUCCESS:
                    heads = {name.lower(): value for name, value in answer.headers.items()}
                    raise failure_of(answer.status, heads, answer.read(MOST_BYTES))
                for line in iter(partial(answer.readline, MOST_BYTES), b""):
                    if not line.endswith(b"\n"):
                        raise IncompleteRead(line)
                    if line.startswith(DATA) and (text := line.removeprefix(DATA).strip()) != DONE:
                        yield _event(answer.status, text)
        except (OSError, HTTPException, UnicodeError) as failure:
            raise self._unreachable(failure) from failure

    def _answer(self, request: Request, timeout: float | None = None) -> object:
        try:
            status, headers, content = self._exchange(request, timeout)
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
        encoded = urlencode({name: value for name, value in query.items() if value is not None}, doseq=True)
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        request = Request(f"{self.url}{path}{'?' if encoded else ''}{encoded}", data, method=method)  # noqa: S310 - _root has seen it
        request.add_header("User-Agent", f"llambda/{VERSION}")
        request.add_header("Accept", "application/json")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self._api_key:
            request.add_header("Authorization", f"Bearer {self._api_key}")
        if self._provider_data:
            request.add_header(PROVIDER_DATA, self._provider_data)
        return request

    def _exchange(self, request: Request, timeout: float | None = None) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers by lower-case name, and content."""
        with self._opener.open(request, timeout=timeout or self._timeout) as answer:
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


def _event(status: int, text: bytes) -> dict[str, Any]:
    try:
        event: object = json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise not_json(status, text) from broken
    if not is_object(event):
        raise not_json(status, text)
    return event


def _form(boundary: str, fields: Mapping[str, str], file: FormFile) -> Iterator[bytes]:
    for name, text in fields.items():
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
    filename = re.sub(r'[\r\n"\0]', lambda letter: f"%{ord(letter[0]):02X}", file.filename)
    yield f'--{boundary}\r\nContent-Disposition: form-data; name="{file.field}"; filename="{filename}"\r\n'.encode()
    yield b"Content-Type: application/octet-stream\r\n\r\n" + file.content + f"\r\n--{boundary}--\r\n".encode()


def _http(url: str) -> str:
    """The URL; raises ApiFailed where it is not one of HTTP, as a file of this machine would be."""
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ApiFailed(200, "the answer names a place that is no URL.", hint="Is this the URL of a stack?")
    return url


def _check_object(text: str) -> str:
    """The JSON object, in ASCII."""
    with suppress(ValueError, RecursionError):
        if is_object(read := json.loads(text)):
            return json.dumps(read)
    raise ValueError("the provider data are no JSON object")


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
