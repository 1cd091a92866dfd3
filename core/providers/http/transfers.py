"""Files to and from a remote: multipart out, bytes in, neither ever whole in memory."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, override
from uuid import uuid4

from yarl import URL

from core.frame.types import JsonObject
from core.platform.urls import join_path, wire_url
from core.providers.http.remote import Credentials, UpstreamRequest
from core.providers.http.replies import read_object
from core.providers.http.upstream import UpstreamClient

MOST_ANSWER: Final = 1024 * 1024  # bytes of what is said of a file


@dataclass(frozen=True, slots=True)
class Form:
    """A form of `fields` and one file, whose `chunks`, of `size` bytes together, are read anew each time that it is sent."""

    fields: Mapping[str, str]
    filename: str
    size: int
    chunks: Callable[[], AsyncIterator[bytes]] = field(repr=False)
    boundary: str = field(default_factory=lambda: uuid4().hex)

    @property
    def headers(self) -> dict[str, str]:
        """Its length is known: not every server takes what comes in pieces of none."""
        length = len(self._head()) + self.size + len(self._tail())
        return {"content-type": f"multipart/form-data; boundary={self.boundary}", "content-length": str(length)}

    async def content(self) -> AsyncIterator[bytes]:
        yield self._head()
        async for chunk in self.chunks():
            yield chunk
        yield self._tail()

    def _head(self) -> bytes:
        parts = [self._part(f'name="{name}"') + value for name, value in self.fields.items()]
        file = self._part(f'name="file"; filename="{self.filename}"', "\r\ncontent-type: application/jsonl")
        return "\r\n".join([*parts, file]).encode()

    def _part(self, names: str, more: str = "") -> str:
        return f"--{self.boundary}\r\ncontent-disposition: form-data; {names}{more}\r\n\r\n"

    def _tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()


@dataclass(frozen=True, slots=True)
class FormRequest(UpstreamRequest):
    """A POST of a form."""

    form: Form | None = None

    @property
    @override
    def payload(self) -> Any:
        return None if self.form is None else self.form.content()


class TransferClient(UpstreamClient):
    """As the client of JSON; its paths have ids in them, and are not remembered."""

    async def upload(self, path: str, form: Form, credentials: Credentials, forms: Mapping[str, str]) -> JsonObject:
        """POST a form; what the remote says of the file."""
        request = FormRequest("POST", path, None, credentials, {**forms, **form.headers}, form=form)
        async with self._response(request) as response:
            content = await self._read(response, MOST_ANSWER)
        return read_object(self._remote.provider_id, content)

    async def download(self, path: str, credentials: Credentials, forms: Mapping[str, str]) -> AsyncIterator[bytes]:
        """GET bytes, as they come."""
        async with self._response(UpstreamRequest("GET", path, None, credentials, forms)) as response:
            async for chunk in response.content.iter_any():
                yield chunk

    async def delete(self, path: str, credentials: Credentials, forms: Mapping[str, str]) -> None:
        """DELETE, whatever is said of it."""
        async with self._response(UpstreamRequest("DELETE", path, None, credentials, forms)) as response:
            await self._read(response, MOST_ANSWER)

    @override
    def _url(self, path: str) -> URL:
        try:
            url = URL(join_path(wire_url(self._remote.base_url), path), encoded=True)
            _ = url.port  # which is read late
        except ValueError as invalid:
            raise self._failure("cannot be called: its url is none") from invalid
        return url
