"""Items of Responses as messages of chat completions: each call with its output behind it, whatever the order of the items. Pure.

Sources: https://platform.openai.com/docs/api-reference/responses/create, https://platform.openai.com/docs/guides/function-calling.

A model wrote what follows each other of text and calls as one message, so it is told them as one. Of each call it is told an output, of
which servers refuse to have none: the caller's, what the stack's tool said, or that there is none. What a model thought
before is given back: DeepSeek refuses calls without it, and whose templates have no use for it, drop it. Lists of tools are not told.
"""

from collections.abc import Callable, Mapping, Sequence
from json import dumps
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_reader import read_json
from core.platform.json_values import is_object
from core.services.responses.contract import Item
from core.services.responses.engine.parts import to_content, to_text, to_tool_content

if TYPE_CHECKING:
    from core.config.vector_stores import VectorStoresConfig

CALLS: Final = frozenset({"function_call", "custom_tool_call"})
OUTPUTS: Final = {"function_call_output": "function call", "custom_tool_call_output": "custom tool call"}
HOSTED: Final = frozenset({"mcp_call", "file_search_call", "web_search_call", "mcp_approval_response"})
"""Items that may tell of a call that the stack ran, or would have run."""
SYSTEM: Final = frozenset({"system", "developer"})
LONGEST_ID: Final = 40
NO_OUTPUT: Final = "There is no output of this call."
MEDIA: Final = "What a tool call gave beside its text: "
"""Before the id of the call, in a message that is a user's because tool messages hold text alone."""
UNREADABLE: Final = "unreadable_arguments"
"""The member of what a model wrote that is no JSON object: servers refuse such arguments when they are told them again."""

type Tell = Callable[[Item, Mapping[str, Item]], tuple[str, str, str] | None]
"""The name, the arguments and the output of a call that the stack ran, as a model is told of its item; None for no call.

Beside the item there are the requests for approval before it, by their ids.
"""


class ToldCall(NamedTuple):
    """A call and its output: a text, or parts of content."""

    call_id: str
    name: str
    arguments: str
    output: str | list[JsonObject]


class _Turn:
    """Of an assistant, as far as it was read. A plain class, as others here: a dataclass costs a cold start half a millisecond."""

    __slots__ = ("calls", "text", "thought")

    def __init__(self, text: str = "", calls: Sequence[ToldCall] = ()) -> None:
        self.text = text
        self.calls = [*calls]
        self.thought = ""


class Dialogue:
    """What a model is told: instructions, items, and the rounds of a run."""

    def __init__(self, instructions: str | None, tell: Tell | None = None) -> None:
        self.messages: list[JsonObject] = []
        self._asked: dict[str, Item] = {}  # requests for approval
        self._tell = tell or teller_in(None)
        self._turn: _Turn | None = None
        self._thought = ""  # before the next turn
        self._call_ids: set[str] = set()
        if instructions:
            self.messages.append({"role": "system", "content": instructions})

    def add_items(self, items: Sequence[Item], kept: int = 0) -> None:
        """Of these the first `kept` come from what was kept; the others are the caller's own.

        Raises InvalidRequest for an output of the caller's that answers no call; of what was kept it is left out: its call has expired.
        """
        outputs = pair_outputs(items, kept)
        for place, item in enumerate(items):
            if item.get("type") == "reasoning":
                self._thought += to_text(item.get("content"))
            else:
                self._add(item, outputs.get(place))
        self._end_turn()

    def add_call(self, item: Item, output: str | list[JsonObject] | None) -> None:
        """A call that the stack ran, with what is told of it now."""
        if (told_call := self._tell(item, self._asked)) is not None:
            name, arguments, recorded = told_call
            self._append_call(
                ToldCall(str(item.get("id") or "call"), name, arguments, recorded if output is None else output)
            )

    def add_round(self, text: str, thoughts: JsonObject, calls: Sequence[ToldCall]) -> None:
        """What the model said in a round of the run, with the fields that give it back its `thoughts`, and what became of its calls."""
        message = _assistant(_Turn(text, calls))
        message.update(thoughts)
        self.messages.append(message)
        self._answer(calls)

    def _add(self, item: Item, output: Item | None) -> None:
        kind = item.get("type") or "message"
        if kind == "message":
            self._add_message(item)
        elif kind in CALLS:
            answer = NO_OUTPUT if output is None else output.get("output")
            self._open_turn().calls.append(
                ToldCall(item.get("call_id") or "", item.get("name") or "", arguments_of(item), answer or "")
            )
        elif kind in OUTPUTS:
            self._end_turn()
        elif kind == "mcp_approval_request":
            self._asked[str(item.get("id"))] = item
        elif kind in HOSTED:
            self.add_call(item, None)

    def _add_message(self, item: Item) -> None:
        role, content = item.get("role") or "user", item.get("content")
        if role == "assistant":
            self._say(to_text(content))
            return
        self._end_turn()
        content = to_content(content)
        match self.messages:
            case [{"role": "system", "content": str(before)}] if role in SYSTEM and isinstance(content, str):
                self.messages[0]["content"] = f"{before}\n\n{content}"  # some templates take one alone, at the start
            case _:
                self.messages.append({"role": "system" if role in SYSTEM else "user", "content": content})

    def _say(self, text: str) -> None:
        if self._turn is None or not self._turn.calls:
            self._end_turn()
            self._open_turn().text = text
        else:  # before the outputs of its calls
            self._turn.text = f"{self._turn.text}\n\n{text}".strip()

    def _append_call(self, call: ToldCall) -> None:
        """Alone: whether it saw the result of the one before, the items do not say."""
        if self._turn is not None and self._turn.calls:
            self._end_turn()
        self._open_turn().calls.append(call)
        self._end_turn()

    def _open_turn(self) -> _Turn:
        if self._turn is None:
            self._turn = _Turn()
        self._turn.thought += self._thought
        self._thought = ""
        return self._turn

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None and (turn.text or turn.calls):
            turn.calls = [*map(self._tell_apart, turn.calls)]
            self.messages.append(_assistant(turn))
            self._answer(turn.calls)

    def _tell_apart(self, call: ToldCall) -> ToldCall:
        """With an id that no other has, as servers want it: callers send calls again that were kept, and not every model counts its own."""
        if not call.call_id or call.call_id in self._call_ids:
            call = call._replace(call_id=f"{call.call_id or 'call'}_{len(self._call_ids)}")
        self._call_ids.add(call.call_id)
        return call

    def _answer(self, calls: Sequence[ToldCall]) -> None:
        """The outputs in the calls' order, then what tool messages cannot hold."""
        media: list[JsonObject] = []
        for call in calls:
            content = to_tool_content(call.output)
            self.messages.append({"role": "tool", "tool_call_id": short_id(call.call_id), "content": content.text})
            if content.media:
                media += [{"type": "text", "text": f"{MEDIA}{short_id(call.call_id)}"}, *content.media]
        if media:
            self.messages.append({"role": "user", "content": media})


def pair_outputs(items: Sequence[Item], kept: int = 0) -> Mapping[int, Item]:
    """The output of each call by the place of the call; raises as `Dialogue.add_items` does."""
    waiting: dict[str, list[int]] = {}
    outputs: dict[int, Item] = {}
    for place, item in enumerate(items):
        kind, call_id = item.get("type"), item.get("call_id") or ""
        if kind in CALLS:
            waiting.setdefault(call_id, []).append(place)
        elif kind in OUTPUTS:
            calls = waiting.get(call_id)
            if calls:  # of several with one id, as some models write them, the last
                outputs[calls.pop()] = item
            elif calls is None and place >= kept:
                raise InvalidRequest(
                    f"No {OUTPUTS[kind]} with the call_id `{call_id}` is before this output. Send the call too, or go on from the response that has it.",
                    param=f"input[{place - kept}].call_id",
                )
    return outputs


def arguments_of(item: Item) -> str:
    """As a chat model would have written them."""
    if item.get("type") == "custom_tool_call":
        return dumps({"input": item.get("input") or ""}, ensure_ascii=False)
    return to_object_text(item.get("arguments") or "")


def to_object_text(arguments: Any) -> str:  # noqa: ANN401 - whatever a model wrote
    """`arguments` where they are a JSON object, else one that has them."""
    if not isinstance(arguments, str):
        return dumps(arguments)
    if not arguments.strip():
        return "{}"
    return arguments if is_json_object(arguments) else dumps({UNREADABLE: arguments}, ensure_ascii=False)


def is_json_object(text: str) -> bool:
    try:
        return is_object(read_json(text))
    except ValueError:
        return False


def is_question(message: JsonObject) -> bool:
    """Whether a user said it, and not a tool."""
    match message:
        case {"role": "user", "content": [{"type": "text", "text": str(text)}, *_]}:
            return not text.startswith(MEDIA)
        case _:
            return bool(message["role"] == "user")


def teller_in(config: "VectorStoresConfig | None") -> Tell:
    """What the tools say of their items, in the words of this run config, or without one in the usual ones."""

    def tell(item: Item, asked: Mapping[str, Item]) -> tuple[str, str, str] | None:
        from core.services.responses.tools.told import tell_item  # late: most contexts have no such item

        return tell_item(item, asked) if config is None else tell_item(item, asked, config)

    return tell


def short_id(call_id: str) -> str:
    """As OpenAI takes it; ids of vLLM and of items are longer."""
    if len(call_id) <= LONGEST_ID:
        return call_id
    from hashlib import sha256

    return f"call_{sha256(call_id.encode(errors='surrogatepass')).hexdigest()[:24]}"


def _assistant(turn: _Turn) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": turn.text or None}
    if turn.thought:
        message["reasoning_content"] = turn.thought
    if turn.calls:
        message["tool_calls"] = [
            {
                "id": short_id(call.call_id),
                "type": "function",
                "function": {"name": call.name, "arguments": to_object_text(call.arguments)},
            }
            for call in turn.calls
        ]
    return message
