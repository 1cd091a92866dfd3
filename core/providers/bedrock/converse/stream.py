"""The events of Bedrock's ConverseStream as OpenAI's chunks. Pure; exceptions in the stream are the SDK's to raise.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html.
"""

import json
from typing import TYPE_CHECKING, Any, Self, cast

from core.frame.types import JsonObject
from core.providers.bedrock.converse.answer_form import PLAIN, AnswerForm
from core.providers.bedrock.converse.reply import (
    finish_reason_of,
    redacted_thinking,
    shape_failure,
    tier_of,
    usage_of,
)

if TYPE_CHECKING:
    from core.providers.bedrock.converse.answer_text import AnswerText


class ConverseChunks:
    """One reply under way: what its blocks, by Converse's index, have become so far.

    Memory grows with the number of blocks, not with their length, but for reasoning that its provider encrypted.
    """

    def __init__(
        self,
        *,
        model: str,
        created: int,
        id: str,  # noqa: A002 - OpenAI's name
        usage: bool = True,
        text: "AnswerText | None" = None,
        form: AnswerForm = PLAIN,
    ) -> None:
        """`created` in Unix seconds; `usage` asks for the counts as the last chunk; `text` is as in `from_converse`."""
        self._head: JsonObject = {"id": id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._usage = usage
        self._text = text
        self._form = form
        self._untold: set[int] = set()
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, int] = {}
        self._without_arguments: set[int] = set()
        self._redacted: dict[int, bytes] = {}
        self._handlers = {
            "messageStart": self._message_start,
            "contentBlockStart": self._block_start,
            "contentBlockDelta": self._block_delta,
            "contentBlockStop": self._block_stop,
            "messageStop": self._message_stop,
            "metadata": self._metadata,
        }
        self.finished = False  # whether the message was told to its end: a stream that ends before was cut

    def feed(self, event: JsonObject) -> list[JsonObject]:
        """The `chat.completion.chunk` objects that one event makes, often one, sometimes none.

        Raises:
            UpstreamFailed: the event is not of Converse's shape, or the model wrote what Bedrock could not read.
        """
        return [chunk for name, content in event.items() for chunk in self._event(name, content)]

    def _event(self, name: str, content: Any) -> list[JsonObject]:  # noqa: ANN401 - whatever an upstream sent
        handle = self._handlers.get(name)
        if handle is None or (self._text is not None and self._text.stopped and name.startswith("contentBlock")):
            return []
        if not isinstance(content, dict):
            raise shape_failure("an event that is not an object")
        return handle(cast("JsonObject", content))

    def _message_start(self, _: JsonObject) -> list[JsonObject]:
        return self._chunk({"role": "assistant", "content": ""})

    def _block_start(self, event: JsonObject) -> list[JsonObject]:
        match event:
            case {"contentBlockIndex": int(block), "start": {"toolUse": {"toolUseId": str(call), "name": str(name)}}}:
                if not self._form.tells(name, len(self._calls)):
                    self._untold.add(block)
                    return []
                index = self._calls.setdefault(block, len(self._calls))
                self._without_arguments.add(block)
                return self._call(index, self._form.call(call, name, ""))
            case {"start": {"toolUse": _}}:
                raise shape_failure("a tool call without a name or an id")
            case _:
                return []

    def _block_delta(self, event: JsonObject) -> list[JsonObject]:
        match event:
            case {"delta": {"text": str(text)}}:
                text = text if self._text is None else self._text.feed(text)
                return self._chunk({"content": text}) if text else []
            case {"delta": {"toolUse": {"input": str(arguments)}}, "contentBlockIndex": int(block)}:
                return self._arguments(block, arguments) if arguments else []
            case {"delta": {"reasoningContent": {**reasoning}}, "contentBlockIndex": int(block)}:
                return self._reasoning(block, cast("JsonObject", reasoning))
            case _:
                return []

    def _arguments(self, block: int, arguments: str) -> list[JsonObject]:
        if block in self._untold:
            return []
        if block not in self._calls:
            raise shape_failure("arguments before their tool call")
        self._without_arguments.discard(block)
        piece = {"arguments": arguments}
        return self._call(self._calls[block], piece if self._form.older else {"function": piece})

    def _call(self, index: int, call: JsonObject) -> list[JsonObject]:
        return self._chunk({"function_call": call} if self._form.older else {"tool_calls": [{"index": index, **call}]})

    def _reasoning(self, block: int, reasoning: JsonObject) -> list[JsonObject]:
        index = self._thoughts.setdefault(block, len(self._thoughts))
        match reasoning:
            case {"text": str(text)}:
                thinking = {"index": index, "type": "thinking", "thinking": text}
                return self._chunk({"reasoning_content": text, "thinking_blocks": [thinking]}) if text else []
            case {"signature": str(signature)}:
                # Its text may have been left out by the model: the block is one all the same.
                thinking = {"index": index, "type": "thinking", "thinking": "", "signature": signature}
                return self._chunk({"thinking_blocks": [thinking]})
            case {"redactedContent": bytes(content)}:
                self._redacted[block] = self._redacted.get(block, b"") + content
                return []
            case _:
                return []

    def _block_stop(self, event: JsonObject) -> list[JsonObject]:
        block = event.get("contentBlockIndex")
        if not isinstance(block, int):
            raise shape_failure("a block without an index")
        if block in self._without_arguments:
            return self._arguments(block, "{}")
        if block in self._redacted:
            thinking = {"index": self._thoughts[block], **redacted_thinking(self._redacted.pop(block))}
            return self._chunk({"thinking_blocks": [thinking]})
        return []

    def _message_stop(self, event: JsonObject) -> list[JsonObject]:
        reason = finish_reason_of(event.get("stopReason"))
        rest = ""
        if self._text is not None:
            rest, reason = self._text.end(), self._text.finish_reason(reason)
        self.finished = True
        chunks = self._chunk({"content": rest}) if rest else []
        return [*chunks, *self._chunk({}, self._form.finish_reason(reason, len(self._calls)))]

    def _metadata(self, event: JsonObject) -> list[JsonObject]:
        if not self._usage:
            return []
        return [self._head | {"choices": [], "usage": usage_of(event.get("usage"))} | tier_of(event)]

    def _chunk(self, delta: JsonObject, finish_reason: str | None = None) -> list[JsonObject]:
        return [self._head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}]


class WholeReply:
    """A reply of Converse in the place of a stream of the SDK's."""

    def __init__(self, reply: JsonObject) -> None:
        """Raises UpstreamFailed if it is not of Converse's shape."""
        self._events = iter(events_of(reply))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JsonObject:
        for event in self._events:
            return event
        raise StopAsyncIteration

    def close(self) -> None:
        """It is here already."""


def events_of(reply: JsonObject) -> list[JsonObject]:
    """The events that would have told a reply of Converse; raises UpstreamFailed if it is not of its shape."""
    match reply:
        case {"output": {"message": {"content": [*blocks]}}}:
            events = [event for index, block in enumerate(blocks) for event in _block_events(index, block)]
        case _:
            raise shape_failure("no message")
    metadata: JsonObject = {name: reply[name] for name in ("usage", "serviceTier") if name in reply}
    end: list[JsonObject] = [{"messageStop": {"stopReason": reply.get("stopReason")}}, {"metadata": metadata}]
    return [{"messageStart": {"role": "assistant"}}, *events, *end]


def _block_events(index: int, block: Any) -> list[JsonObject]:  # noqa: ANN401 - whatever an upstream sent
    at: JsonObject = {"contentBlockIndex": index}
    deltas: list[JsonObject] = []
    start: list[JsonObject] = []
    match block:
        case {"toolUse": {"toolUseId": call_id, "name": name, **rest}}:
            start = [{"contentBlockStart": at | {"start": {"toolUse": {"toolUseId": call_id, "name": name}}}}]
            deltas = [{"toolUse": {"input": json.dumps(rest.get("input", {}), ensure_ascii=False)}}]
        case {"reasoningContent": {"reasoningText": {"text": text, **rest}}}:
            deltas = [{"reasoningContent": {"text": text}}]
            deltas += [{"reasoningContent": {"signature": rest["signature"]}}] if "signature" in rest else []
        case {"text": text}:
            deltas = [{"text": text}]
        case {"reasoningContent": reasoning}:
            deltas = [{"reasoningContent": reasoning}]
        case _:
            pass
    return [*start, *({"contentBlockDelta": at | {"delta": delta}} for delta in deltas), {"contentBlockStop": at}]
