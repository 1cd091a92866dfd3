"""A stand-in for a vendor's server: the script of `tests.parts.scripted`, said and refused as that vendor says it.

A last message of `fail: KIND` is answered with that error of the vendor's `errors`; of `break: TEXT` with TEXT, which in a
stream ends as it does there when generation fails. What the servers accept is what their `fields` name, if they name any.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
import json
from typing import Any, ClassVar, Literal, override

from aiohttp import web

from tests.parts.scripted import Said, answer, calls_of, halves, heard_openai
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream, running

type Kind = Literal["key", "model", "too_long", "busy", "field"]
type Refusal = tuple[int, dict[str, Any] | str]

KEY = plant("key-of-the-stack-at-its-vendor")
MODEL = "small"
DONE = b"data: [DONE]\n\n"


def event(data: Any, newline: str = "\n") -> bytes:
    return f"data: {json.dumps(data)}{newline}{newline}".encode()


class Vendor(ABC):
    """`key`: whether one is demanded. `provider_type` and `root` are how a run config reaches it.

    `broken`: the bytes that end a stream in which generation failed.
    """

    provider_type: ClassVar[str]
    root: ClassVar[str]
    listing: ClassVar[str]
    listed: ClassVar[dict[str, Any]]
    errors: ClassVar[Mapping[Kind, Refusal]]
    broken: ClassVar[bytes]
    fields: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def whole(self, said: Said) -> dict[str, Any]: ...

    @abstractmethod
    def chunks(self, said: Said, *, usage: bool) -> Iterator[bytes]:
        """The events of a stream, without its end; `usage` was asked for."""

    def end(self) -> bytes:
        return DONE

    def refused_event(self, refusal: Refusal) -> bytes:
        """How a stream is refused after a 200; nothing where the status says so."""
        del refusal
        return b""

    def refusal(self, body: dict[str, Any]) -> Refusal | None:
        """Of a body with a field that the vendor has not."""
        unknown = next((name for name in body if name not in self.fields), None) if self.fields else None
        return None if unknown is None else self.unknown_field(unknown)

    def unknown_field(self, name: str) -> Refusal:
        raise NotImplementedError(name)


@dataclass
class VendorDouble(FakeUpstream):
    """Serves chat completions and the listing; other paths as `FakeUpstream` does, or 404."""

    vendor: Vendor = field(kw_only=True)

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        vendor, body = self.vendor, self.seen[-1].body
        if request.path in self.replies:
            return await self.replies[request.path](request)
        if "key" in vendor.errors and self.seen[-1].headers.get("authorization") != f"Bearer {KEY}":
            return _refuse(vendor.errors["key"])
        if request.path == vendor.listing:
            return web.json_response(vendor.listed)
        if request.path != f"{vendor.root}/chat/completions":
            return web.json_response({"detail": "Not Found"}, status=404)
        refusal = _asked_for(vendor, body) or vendor.refusal(body)
        if refusal is not None:
            event = vendor.refused_event(refusal) if body.get("stream") else b""
            return web.Response(body=event, content_type="text/event-stream") if event else _refuse(refusal)
        return await _say(vendor, body, request)


def double(vendor: Vendor) -> AbstractAsyncContextManager[FakeUpstream]:
    return running(VendorDouble(vendor=vendor))


def _asked_for(vendor: Vendor, body: dict[str, Any]) -> Refusal | None:
    text = heard_openai(body).text
    if text.startswith("fail: "):
        return next(refusal for kind, refusal in vendor.errors.items() if kind == text[6:])
    return vendor.errors["model"] if body["model"] != MODEL and "model" in vendor.errors else None


async def _say(vendor: Vendor, body: dict[str, Any], request: web.Request) -> web.StreamResponse:
    heard = heard_openai(body)
    breaks = heard.text.startswith("break: ")
    said = answer(replace(heard, text=heard.text.removeprefix("break: ")))
    if not body.get("stream"):
        return web.json_response(vendor.whole(said))
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    pieces = list(vendor.chunks(said, usage=bool((body.get("stream_options") or {}).get("include_usage"))))
    for piece in pieces[: len(pieces) // 2 if breaks else None]:
        await response.write(piece)
    await response.write(vendor.broken if breaks else vendor.end())
    return response


def _refuse(refusal: Refusal) -> web.Response:
    status, body = refusal
    if isinstance(body, str):
        return web.Response(status=status, text=body)
    return web.json_response(body, status=status)


def call_deltas(said: Said) -> Iterator[list[dict[str, Any]]]:
    """The calls as most servers stream them: the name first, then the arguments in two pieces."""
    for index, call in enumerate(calls_of(said)):
        function: dict[str, Any] = call["function"]
        first, second = halves(function["arguments"])
        yield [{"index": index, **call, "function": {"name": function["name"], "arguments": first}}]
        yield [{"index": index, "function": {"arguments": second}}]
