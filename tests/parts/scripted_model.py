"""A chat model behind a real server, which does what it is told to: the referee of Responses.

A user's last message that is a script (tests/parts/model_script.py) orders its rounds; the rounds of `queue` come before. To anything else it
answers by itself: a tool whose name has a word of the message is called once, a schema is filled in, tools' answers are quoted, and otherwise
it says what it was told. It refuses what OpenAI refuses (tests/parts/chat_rules.py), so that a wrong request shows. Each piece of what it says
is a token of output, a message of the request ten of input. Texts are embedded by their words.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
import json
import re
from secrets import token_hex
from typing import Any, Final, override

from aiohttp import web

from tests.parts.agent_script import instance
from tests.parts.chat_rules import fault
from tests.parts.model_script import Call, Round, pieces, read_script
from tests.parts.upstream import FakeUpstream
from tests.parts.vector_stack import embed

CHAT: Final = "/v1/chat/completions"
MODELS: Final = [{"id": name, "object": "model", "created": 7} for name in ("m", "words")]
HEADERS: Final = {"content-type": "text/event-stream"}
MARK: Final = re.compile(r"<\|[^<>|\s]+\|>")
LINK: Final = re.compile(r"https?://[^\s)>\]\"']+")
REFUSED: Final = {400: "invalid_request_error", 429: "rate_limit_error"}
BROKEN: Final = {"error": {"message": "The engine failed.", "type": "server_error", "code": 500}}

type Delta = dict[str, Any]


@dataclass
class ScriptedModel(FakeUpstream):
    """`queue` has rounds that come whatever is asked; `seen` every request, `chats` those for chat alone.

    `asked` is set with each of these; rounds that are held wait for `release`. `window` is how many messages it takes.
    """

    models: list[dict[str, Any]] = field(default_factory=lambda: list(MODELS))
    queue: deque[Round] = field(default_factory=deque[Round])
    window: int | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def chats(self) -> list[dict[str, Any]]:
        return [seen.body for seen in self.seen if seen.path == CHAT]

    @override
    async def reply(self, request: web.Request) -> web.StreamResponse:
        if request.path in self.replies or request.path != CHAT:
            return await (embed(request) if request.path.endswith("/embeddings") else super().reply(request))
        body = json.loads(await request.read())
        if message := fault(body):
            return _refuse(400, message)
        if self.window is not None and len(body["messages"]) > self.window:
            return _refuse(400, "This model's maximum context length is exceeded.", "context_length_exceeded")
        said = fill_in(self.queue.popleft() if self.queue else choose(body), body)
        self.asked.set()
        if said.status:
            return _refuse(said.status, "The model was told to refuse.")
        if said.held:
            await self.release.wait()
        return await stream(request, said, body) if body.get("stream") else web.json_response(whole(said, body))


def _refuse(status: int, message: str, code: str | None = None) -> web.Response:
    error = {"message": message, "type": REFUSED.get(status, "server_error"), "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers={"retry-after": "1"} if status == 429 else None)


# --- what is said ---


def choose(body: dict[str, Any]) -> Round:
    """The round that the last message of the user orders, by how many there were since."""
    messages: list[dict[str, Any]] = body["messages"]
    asked = _last_user(messages)
    after = messages[asked + 1 :]
    text = text_of(messages[asked]) if messages[asked]["role"] == "user" else ""
    if rounds := read_script(text):
        done = [each["role"] for each in after].count("assistant")
        return rounds[min(done, len(rounds) - 1)]
    return _by_itself(body, text, called=bool(after))


def _by_itself(body: dict[str, Any], text: str, *, called: bool) -> Round:
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or ()}
    choice = body.get("tool_choice", "auto")
    words = set(re.findall(r"\w{3,}", text.lower()))
    wanted = [name for name in tools if words & set(re.split(r"[_-]+", name.lower()))]
    if isinstance(choice, dict):
        wanted = [choice["function"]["name"]]
    elif choice == "required":
        wanted = wanted or list(tools)
    if wanted and not called:
        schema = tools[wanted[0]].get("parameters") or {"type": "object"}
        return Round(calls=(Call(wanted[0], instance(schema, schema)),))
    wanted_format = body.get("response_format") or {}
    if wanted_format.get("type") == "json_schema":
        schema = wanted_format["json_schema"]["schema"]
        return Round(json.dumps(instance(schema, schema)))
    if wanted_format.get("type") == "json_object":
        return Round(json.dumps({"said": text}))
    return Round("{quote}" if called else _told(body["messages"]))


def _told(messages: list[dict[str, Any]]) -> str:
    """Who said what, images and files by their sizes."""
    return "|".join(f"{each['role']}: {text_of(each)}" for each in messages)


def text_of(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part["text"] if part["type"] == "text" else _size(part) for part in content)


def _size(part: dict[str, Any]) -> str:
    inner = part[part["type"]]
    return f"[{part['type']} of {len(inner.get('url') or inner.get('file_data') or '')} characters]"


def _last_user(messages: list[dict[str, Any]]) -> int:
    return max((at for at, each in enumerate(messages) if each["role"] == "user"), default=0)


def fill_in(said: Round, body: dict[str, Any]) -> Round:
    """With what this request has: tools' whole names and answers, the bound of tokens."""
    messages = body["messages"]
    results = "; ".join(text_of(each) for each in messages[_last_user(messages) :] if each["role"] == "tool")
    marks = MARK.findall(results)
    link = LINK.search(results)
    filled = {"{quote}": results, "{marks}": "".join(dict.fromkeys(marks)), "{mark}": "".join(marks[:1])}
    text = said.text.replace("{link}", link[0] if link else "")
    for place, value in filled.items():
        text = text.replace(place, value)
    names = [tool["function"]["name"] for tool in body.get("tools") or ()]
    calls = tuple(replace(call, name=_whole_name(call.name, names)) for call in said.calls)
    if calls and body.get("tool_choice") == "none":
        calls, text = (), text or "I may call no tools."
    return _bounded(replace(said, text=text, calls=calls), body)


def _whole_name(part: str, names: list[str]) -> str:
    found = [name for name in names if part in name]
    return found[0] if part not in names and len(found) == 1 else part


def _bounded(said: Round, body: dict[str, Any]) -> Round:
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is None or len(pieces(said.reasoning, said.piece)) + len(pieces(said.text, said.piece)) <= limit:
        return said
    reasoning = "".join(pieces(said.reasoning, said.piece)[:limit])
    text = "".join(pieces(said.text, said.piece)[: limit - len(pieces(reasoning, said.piece))])
    return replace(said, reasoning=reasoning, text=text, calls=(), finish="length")


# --- how it is said ---


def deltas(said: Round) -> list[Delta]:
    """In the order of servers: the role, reasoning, text or a refusal, calls."""
    made: list[Delta] = [{"role": "assistant", "content": ""}]
    made += [{said.reasoning_field: piece} for piece in pieces(said.reasoning, said.piece)]
    for index, summary in enumerate(said.summaries):
        detail = {"type": "reasoning.summary", "index": index}
        made += [{"reasoning_details": [{**detail, "summary": piece}]} for piece in pieces(summary, said.piece)]
    made += [{"content": piece} for piece in pieces(said.text, said.piece)]
    made += [{"refusal": piece} for piece in pieces(said.refusal, said.piece)]
    calls = [[{"tool_calls": [each]} for each in _call_deltas(said, at)] for at in range(len(said.calls))]
    if not said.interleaved:
        return made + list(chain.from_iterable(calls))
    return made + [delta for step in zip_longest(*calls) for delta in step if delta is not None]


def _call_deltas(said: Round, at: int) -> Iterator[Delta]:
    call = said.calls[at]
    yield {"index": at, **_call(said, at, arguments="")}
    for piece in pieces(call.text, said.piece):
        yield {"index": at, "function": {"arguments": piece}}


def _call(said: Round, at: int, *, arguments: str) -> Delta:
    call = said.calls[at]
    return {"id": f"call_{token_hex(8)}", "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _finish(said: Round) -> str:
    return said.finish or ("tool_calls" if said.calls else "stop")


def usage_of(said: Round, body: dict[str, Any]) -> dict[str, Any]:
    """Half of what was told was known from before."""
    told, answered = 10 * len(body["messages"]), len(deltas(said)) - 1
    return {
        "prompt_tokens": told,
        "completion_tokens": answered,
        "total_tokens": told + answered,
        "prompt_tokens_details": {"cached_tokens": told // 2},
        "completion_tokens_details": {"reasoning_tokens": len(pieces(said.reasoning, said.piece))},
    }


def _logprobs(piece: str, body: dict[str, Any]) -> dict[str, Any] | None:
    if not body.get("logprobs"):
        return None
    token: dict[str, Any] = {"token": piece, "logprob": -0.5, "bytes": list(piece.encode())}
    return {"content": [{**token, "top_logprobs": [token] * (body.get("top_logprobs") or 0)}], "refusal": None}


def whole(said: Round, body: dict[str, Any]) -> dict[str, Any]:
    message: Delta = {"role": "assistant", "content": said.text or None, "refusal": said.refusal or None}
    if said.reasoning:
        message[said.reasoning_field] = said.reasoning
    if said.calls:
        message["tool_calls"] = [_call(said, at, arguments=call.text) for at, call in enumerate(said.calls)]
    choice = {"index": 0, "message": message, "finish_reason": _finish(said), "logprobs": _logprobs(said.text, body)}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"]}
    return {**head, "choices": [choice], "usage": usage_of(said, body)}


def chunks(said: Round, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    made = deltas(said)
    for delta in made[: len(made) // 2 if said.ends else None]:
        logprobs = _logprobs(delta["content"], body) if delta.get("content") else None
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None, "logprobs": logprobs}]}
    if said.ends == "error":
        yield BROKEN
    if said.ends:
        return
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(said), "logprobs": None}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage_of(said, body)}


async def stream(request: web.Request, said: Round, body: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    for chunk in chunks(said, body):
        if said.pause:
            await asyncio.sleep(said.pause)
        await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
    if said.ends == "hang":
        await asyncio.sleep(3600)
    if said.ends == "cut" and request.transport is not None:
        await asyncio.sleep(0.02)  # what came before is there
        request.transport.abort()
    with suppress(ConnectionError):
        await response.write(b"data: [DONE]\n\n")
    return response
