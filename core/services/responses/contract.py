"""What the pieces of a run tell each other: neutral events, tools as a run sees them, and what a run begins with.

    router -> History.open -> Session        what was said before; the lock of a conversation
    router -> RunTools.prepare, engine       rounds of model, tools, model: an AsyncGenerator of Event
    Event  -> printers                       events of a stream, or one object
    router -> Session.finish                 one transaction, before the last event leaves

Items are those of OpenAI's Responses, whole: what a caller sees of one, the printer decides by `include`. The context of a model is made of items
alone, so that a run can go on from what is recorded of its rounds.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from core.apis.additions import Addition
from core.frame.types import JsonObject

if TYPE_CHECKING:
    from core.apis.retrieval import Passage

type Item = JsonObject
type Phase = Literal["in_progress", "searching", "interpreting", "compacting", "completed", "failed"]
type Status = Literal["completed", "incomplete", "failed", "cancelled"]


class Slot(NamedTuple):
    """An item's place in the output, from 0, and its id: given by `core.services.responses.output` alone."""

    place: int
    id: str


@dataclass(frozen=True, slots=True)
class Usage:
    """In tokens, of all rounds so far."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """`item` has its id, and nothing yet of what comes by deltas."""

    slot: Slot
    item: Item


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Of a message's text; its first one begins a content part `output_text`. A message has one part of text at most, and one refusal."""

    slot: Slot
    text: str
    logprobs: Sequence[JsonObject] = ()


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    slot: Slot
    text: str


@dataclass(frozen=True, slots=True)
class AnnotationAdded:
    """Of the text that was given out so far."""

    slot: Slot
    annotation: JsonObject


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Of a reasoning item's content."""

    slot: Slot
    text: str


@dataclass(frozen=True, slots=True)
class SummaryDelta:
    """Of the summary part `part`, from 0, of a reasoning item."""

    slot: Slot
    part: int
    text: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """Of a function_call, a custom_tool_call (its input), or an mcp_call."""

    slot: Slot
    text: str


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """Of a tool that the stack runs: what its events of life say between added and done."""

    slot: Slot
    phase: Phase


@dataclass(frozen=True, slots=True)
class ItemDone:
    """`item` is whole, as it is kept; printers show of it what was asked for. Deltas of it came before, or none at all."""

    slot: Slot
    item: Item


@dataclass(frozen=True, slots=True)
class AnswerEnded:
    """The model's answer of round `number` is whole, and its usage known: what follows, up to RoundEnded, is of the tools that it calls."""

    number: int
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class StepRecorded:
    """What the engine needs to go on from here after a crash: JSON of its own.

    Who reads the events has it kept, with all that came before it, before asking for the next one: so that no tool is called by an answer of which
    nobody knows, and nothing follows from what a tool answered before that is kept. Told where `Run.records` says so.
    """

    step: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """The `items` that were done since the last one, and the usage of this round alone."""

    number: int
    items: tuple[Item, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class RunQueued:
    """The run waits for a worker from here on: what follows, that tells. No engine says it."""


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last event. `reason` is that of an incomplete one (max_output_tokens, content_filter); `error` is `{code, message}` of a failed one."""

    status: Status
    usage: Usage
    reason: str = ""
    error: JsonObject | None = None


# fmt: off
type Event = (
    ItemAdded | TextDelta | RefusalDelta | AnnotationAdded | ReasoningDelta | SummaryDelta | ArgumentsDelta | PhaseChanged | ItemDone
    | AnswerEnded | StepRecorded | RoundEnded | RunQueued | RunEnded
)
# fmt: on
type Events = AsyncGenerator[Event]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model wrote: `arguments` is text that should be a JSON object. `key` is the same whenever this call is tried again, and no other's; "" for none."""

    call_id: str
    name: str
    arguments: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class StepAdded:
    """A step of a tool begins: its item, without an id."""

    item: Item


@dataclass(frozen=True, slots=True)
class StepPhase:
    phase: Phase


@dataclass(frozen=True, slots=True)
class StepDone:
    """`item` is whole but for its id. `output` is what the model is told (a text, or parts of a tool message); `passages` are what it may cite.

    `sources` are pages, `{url, title}`, that it may link to: a link to one is a `url_citation`.
    """

    item: Item
    output: str | list[JsonObject] | None = None
    passages: "Sequence[Passage]" = field(default=(), repr=False)
    sources: Sequence[JsonObject] = field(default=(), repr=False)


type Step = StepAdded | StepPhase | StepDone
type Steps = AsyncGenerator[Step]


class RunTool(Protocol):
    """A tool that a model of one run may call."""

    @property
    def definition(self) -> JsonObject:
        """As chat completions have it: `{"type": "function", "function": {...}}`; its name is unique in the run."""
        ...

    @property
    def hosted(self) -> bool:
        """Whether the stack runs it. A call of any other is the caller's to run, and ends the run after the round."""
        ...

    @property
    def counted(self) -> bool:
        """Whether `max_tool_calls` counts it."""
        ...

    @property
    def streams_arguments(self) -> bool:
        """Whether its item has argument deltas as the model writes them."""
        ...

    def begin(self, call_id: str) -> Item | None:
        """The item as it is added when the model begins the call, without an id; None where it can be told only when the arguments are whole."""
        ...

    def run(self, call: ToolCall, item: Item | None) -> Steps:
        """What becomes of the call, whose `item` was added by `begin`, if any: its phases, then StepDone.

        One that is not hosted has a StepDone at once, with its whole item. It raises nothing that a tool or its server did wrong: that is said in the
        item and to the model. Raises ApiError for what ends the run (a quota, a state that cannot be reached).
        """
        ...


class RunTools(Protocol):
    """The tools of a request, resolved for one caller."""

    @property
    def definitions(self) -> Sequence[JsonObject]:
        """Of every tool that the model is told, in the request's order; those of MCP servers are there after `prepare`."""
        ...

    def prepare(self, context: Sequence[Item], done: Sequence[Item] = (), run_id: str = "") -> Steps:
        """What comes before the first round: lists of tools of MCP servers that the context has not, calls that were approved.

        `context` is all that the model will be told, input included. Steps follow each other: StepAdded, phases, StepDone.
        `done` is what came of it in whoever had the run before, which is not done again; `run_id` is what the keys of calls are made of.
        """
        ...

    def find(self, name: str) -> RunTool | None:
        """By the name in its definition."""
        ...

    def choose(self, tool_choice: object) -> object:
        """The request's `tool_choice` (auto, none, required, or an object) as chat completions have it; None to leave it out.

        Raises InvalidRequest for a tool that the request does not have.
        """
        ...


@dataclass(slots=True)
class Run:
    """What the engine needs of a response. `chat` has the fields of chat completions that do not change between rounds, but `model`, `messages`, `stream` and tools; the first `kept_count` items of the `context` were kept, the others are the caller's own."""

    model: str
    context: Sequence[Item]
    tools: RunTools
    instructions: str | None = None
    chat: JsonObject = field(default_factory=dict[str, Any])
    tool_choice: object = None
    parallel_tool_calls: bool = True
    max_rounds: int = 10
    max_tool_calls: int | None = None
    max_output_tokens: int | None = None
    truncate: bool = False
    kept_count: int = 0
    tail: str = ""
    """Of the ids of its output: `Session.tail`."""
    id: str = ""
    """Of its response."""
    records: bool = False
    """Whether StepRecorded are told."""
    steps: Sequence[JsonObject] = field(default=(), repr=False)
    """Those that were recorded by whoever had the run before: it goes on from the last of them."""
    output: Sequence[Item] = field(default=(), repr=False)
    """What was done by then, in the order of its places: items of a round that was lost are there too, broken off."""
    additions: Sequence[Addition] = ()
    """Those fields of `chat` that nobody asked for."""


class Engine(Protocol):
    """Runs rounds."""

    def run(self, run: Run) -> Events:
        """Events up to RunEnded. The first `anext` raises ApiError for what fails before or as the model is first asked; later failures are a RunEnded that `failed`.

        Closing it closes the model's stream and cancels tools.
        """
        ...
