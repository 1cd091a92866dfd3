"""What each family of models takes of the Converse API: the one place of these rules. Pure.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html; what they do not say was asked of Bedrock
itself in https://github.com/pydantic/pydantic-ai/pull/6098 (what may stand beside a result),
https://github.com/pydantic/pydantic-ai/pull/6255 (who may speak first),
https://github.com/BerriAI/litellm/pull/34347 (one call at a time).
"""

from collections.abc import Mapping
from copy import replace
from enum import Enum
from functools import lru_cache
from itertools import takewhile
import re
from typing import Final, NamedTuple

from core.providers.bedrock.converse.aliases import NAME

MOST_REMEMBERED: Final = 256  # models
MOST_DIGITS: Final = 2  # of a number of a version; more are a date
CALL_ID: Final = re.compile(NAME)
ALL_CHOICES: Final = frozenset({"auto", "any", "tool"})
EVERYWHERE: Final = frozenset({"system", "messages", "tools"})


class Sampling(Enum):
    """Which of temperature and top_p a model takes."""

    BOTH = "both"
    ONE = "one"  # not the two together
    NONE = "none"


class Thinks(Enum):
    """How a model is told to think before it answers."""

    NO = "no"
    EFFORT = "effort"  # Converse's outputConfig.effort
    BUDGET = "budget"  # Anthropic's thinking, with a number of tokens
    ADAPTIVE = "adaptive"  # Anthropic's thinking, as much as the model likes, and Converse's effort
    NOVA = "nova"  # reasoningConfig, with an effort of three
    OPENAI = "openai"  # reasoning_effort
    OPENAI_NESTED = "openai-nested"  # reasoning.effort


class Family(NamedTuple):
    """What its models take. The defaults are those of a model that nothing is known of.

    They forbid what can be said otherwise at no loss where many models refuse it, and nothing else.
    """

    name: str = "unknown"
    system: bool = True  # takes system text; without it, it is said in the first user's turn
    starts_with_assistant: bool = False  # the first turn may be the assistant's
    ends_with_assistant: bool = True  # the last one may: the answer goes on from there
    tools: bool = True
    streams_tools: bool = True
    choices: frozenset[str] = frozenset({"any", "tool"})  # of Converse's toolChoice; auto is what none of them means
    forces_while_thinking: bool = True  # any and tool are taken while it thinks
    call_ids: re.Pattern[str] = CALL_ID  # those it takes back; Converse takes `.` and `:` too, Claude does not
    one_call: bool = False  # takes Anthropic's disable_parallel_tool_use
    strict_tools: bool = True
    beside_results: frozenset[str] = frozenset({"text", "image"})  # blocks in the turn of a toolResult
    in_results: frozenset[str] = frozenset({"text", "image", "document"})  # blocks in a toolResult
    json_results: bool = False  # a toolResult is json, not text
    plain_schemas: bool = False  # of tools: without references, and with little at their top
    images: bool = True
    documents: bool = True
    reasoning: bool = True  # takes its reasoningContent back
    cache_points: frozenset[str] = EVERYWHERE
    sampling: Sampling = Sampling.BOTH
    stop_sequences: bool = True
    most_stops: int = 2500
    blank_stops: bool = True  # takes stop sequences of white space alone
    json_schema: bool = True  # takes outputConfig.textFormat
    thinks: Thinks = Thinks.EFFORT
    xhigh: bool = True  # an effort between high and max
    audio: bool = True
    video: bool = True
    tiers: bool = False  # has other service tiers than the usual one
    top_k: str | None = "top_k"  # its path among the model's own fields, if it has one


UNKNOWN: Final = Family()
# What only Claude has is taken away from the others once.
OTHER: Final = replace(
    UNKNOWN,
    ends_with_assistant=False,
    reasoning=False,
    cache_points=frozenset(),
    thinks=Thinks.NO,
    audio=False,
    video=False,
    top_k=None,
)
TEXT: Final = replace(OTHER, images=False, in_results=frozenset({"text"}))
ALONE: Final[frozenset[str]] = frozenset()  # nothing may stand beside a result
UNFORCED: Final[frozenset[str]] = frozenset()  # a toolChoice is refused, whichever it is

CLAUDE: Final = replace(
    UNKNOWN,
    name="claude",
    choices=ALL_CHOICES,
    starts_with_assistant=True,
    ends_with_assistant=False,
    forces_while_thinking=False,
    one_call=True,
    sampling=Sampling.ONE,
    blank_stops=False,
    thinks=Thinks.ADAPTIVE,
    xhigh=False,
    audio=False,
    video=False,
)
CLAUDE_4_7: Final = replace(CLAUDE, name="claude-4.7", sampling=Sampling.NONE, json_schema=False, xhigh=True)
CLAUDE_5_1: Final = replace(CLAUDE_4_7, name="claude-5.1", choices=frozenset({"auto"}))
CLAUDE_4_5: Final = replace(CLAUDE, name="claude-4.5", ends_with_assistant=True, thinks=Thinks.BUDGET)
CLAUDE_4_1: Final = replace(CLAUDE_4_5, name="claude-4.1", one_call=False, strict_tools=False, json_schema=False)
CLAUDE_4: Final = replace(CLAUDE_4_1, name="claude-4", sampling=Sampling.BOTH)
CLAUDE_3_5: Final = replace(CLAUDE_4, name="claude-3.5", starts_with_assistant=False, reasoning=False, thinks=Thinks.NO)
CLAUDE_3: Final = replace(CLAUDE_3_5, name="claude-3", cache_points=frozenset())
CLAUDE_2: Final = replace(CLAUDE_3, name="claude-2", tools=False, images=False)

NOVA: Final = replace(
    OTHER,
    name="nova",
    choices=ALL_CHOICES,
    ends_with_assistant=True,
    beside_results=frozenset({"text", "image", "document"}),
    in_results=frozenset({"text", "image"}),
    cache_points=frozenset({"system", "messages"}),
    strict_tools=False,
    json_schema=False,
    most_stops=4,
    video=True,
    tiers=True,
    plain_schemas=True,
    top_k="inferenceConfig.topK",
)
NOVA_2: Final = replace(NOVA, name="nova-2", thinks=Thinks.NOVA)
LLAMA: Final = replace(
    OTHER,
    name="llama",
    streams_tools=False,
    plain_schemas=True,
    choices=UNFORCED,
    beside_results=ALONE,
    strict_tools=False,
    json_schema=False,
    stop_sequences=False,
)
LLAMA_TEXT: Final = replace(LLAMA, images=False)
MISTRAL: Final = replace(
    OTHER,
    name="mistral",
    streams_tools=False,
    choices=frozenset({"any"}),
    beside_results=ALONE,
    in_results=frozenset({"text", "document"}),
    json_results=True,
    stop_sequences=False,
)
MISTRAL_LARGE: Final = replace(
    MISTRAL, images=False, strict_tools=False, json_schema=False, stop_sequences=True, most_stops=10
)
MISTRAL_7B: Final = replace(MISTRAL_LARGE, name="mistral-7b", system=False, tools=False)
COHERE: Final = replace(TEXT, name="cohere", choices=UNFORCED, strict_tools=False, json_schema=False)
GPT_OSS: Final = replace(TEXT, name="gpt-oss", documents=False, stop_sequences=False, thinks=Thinks.OPENAI, tiers=True)
GPT: Final = replace(
    OTHER, name="gpt", stop_sequences=False, sampling=Sampling.NONE, thinks=Thinks.OPENAI_NESTED, tiers=True
)
DEEPSEEK: Final = replace(
    TEXT,
    name="deepseek",
    documents=False,
    stop_sequences=False,
    tiers=True,
)
QWEN: Final = replace(
    TEXT,
    name="qwen",
    starts_with_assistant=True,
    choices=UNFORCED,
    documents=False,
    stop_sequences=False,
    tiers=True,
)
JAMBA: Final = replace(TEXT, name="jamba", choices=UNFORCED, strict_tools=False, json_schema=False)
TITAN: Final = replace(
    TEXT, name="titan", system=False, tools=False, strict_tools=False, stop_sequences=False, json_schema=False
)
WRITER: Final = replace(
    TEXT,
    name="writer",
    streams_tools=False,
    choices=UNFORCED,
    beside_results=ALONE,
    strict_tools=False,
    stop_sequences=False,
    json_schema=False,
)
OPEN: Final = replace(
    OTHER,
    name="open",
    call_ids=re.compile(r"[a-zA-Z0-9_.:-]{1,64}"),
    starts_with_assistant=True,
    in_results=frozenset({"text"}),
    stop_sequences=False,
    thinks=Thinks.OPENAI,
    tiers=True,
)

# By the vendor in a model's id, what the rest of it may begin with: the first that fits. Claude's is as `_claude` has it.
FAMILIES: Final[Mapping[str, tuple[tuple[tuple[str, ...], Family], ...]]] = {
    "anthropic": (
        (("claude-v", "claude-instant"), CLAUDE_2),
        (("claude-3.7",), replace(CLAUDE_3_5, name="claude-3.7", reasoning=True, thinks=Thinks.BUDGET)),
        (("claude-3.5-haiku",), replace(CLAUDE_3_5, images=False)),
        (("claude-3.0", "claude-3.5-sonnet-20240620"), CLAUDE_3),
        (("claude-3",), CLAUDE_3_5),
        (("claude-4.0-",), CLAUDE_4),
        (("claude-4.1-",), CLAUDE_4_1),
        (("claude-4.5-",), CLAUDE_4_5),
        (("claude-4.6-",), CLAUDE),
        (("claude-4", "claude-5.0-"), CLAUDE_4_7),
        (tuple(f"claude-{generation}" for generation in range(5, 10)), CLAUDE_5_1),
        (("claude",), CLAUDE),
    ),
    "amazon": (
        (("nova-micro",), replace(NOVA, images=False, documents=False, video=False, in_results=frozenset({"text"}))),
        (("nova-2",), NOVA_2),
        (("nova",), NOVA),
        (("titan-text-premier",), replace(TITAN, documents=False)),
        (("titan",), TITAN),
    ),
    "meta": (
        (("llama3-1", "llama3-3"), LLAMA_TEXT),
        (("llama2", "llama3-8b", "llama3-70b", "llama3-2-1b", "llama3-2-3b"), replace(LLAMA_TEXT, tools=False)),
        (("llama",), LLAMA),
    ),
    "mistral": (
        (("mistral-7b", "mixtral"), MISTRAL_7B),
        (("mistral-large-2", "mistral-small-2"), MISTRAL_LARGE),
        (("voxtral",), replace(MISTRAL, audio=True)),
        (("pixtral",), replace(MISTRAL, strict_tools=False, json_schema=False)),
        (("",), MISTRAL),
    ),
    "cohere": ((("command-text", "command-light"), replace(COHERE, system=False, tools=False)), (("command",), COHERE)),
    "openai": ((("gpt-oss",), GPT_OSS), (("gpt",), GPT)),
    "deepseek": (
        (
            ("r1",),
            replace(
                TEXT,
                name="deepseek-r1",
                tools=False,
                stop_sequences=False,
                reasoning=True,
                strict_tools=False,
                json_schema=False,
            ),
        ),
        (("v3-v1",), replace(DEEPSEEK, choices=frozenset({"any"}))),
        (("",), DEEPSEEK),
    ),
    "qwen": ((("qwen3-vl", "qwen2-5-vl"), replace(QWEN, images=True)), (("",), QWEN)),
    "ai21": (
        (("jamba-instruct", "j2"), replace(JAMBA, tools=False, documents=False, stop_sequences=False)),
        (("jamba",), JAMBA),
    ),
    "writer": ((("palmyra",), WRITER),),
    "google": ((("",), replace(OPEN, starts_with_assistant=False)),),
    "minimax": ((("",), replace(OPEN, starts_with_assistant=False)),),
    "moonshot": ((("",), OPEN),),
    "moonshotai": ((("",), OPEN),),
    "zai": ((("",), OPEN),),
}


@lru_cache(MOST_REMEMBERED)
def family_of(model: str) -> Family:
    """The family in a model's id, an inference profile's, or either's ARN; UNKNOWN for what names no model.

    Profiles of an application, imported, provisioned and deployed models have ids that say nothing of what they are.
    """
    for segment in model.lower().split("/"):
        words = segment.split(".")
        for position, vendor in enumerate(words[:-1]):
            if vendor in FAMILIES:
                rest = ".".join(words[position + 1 :])
                name = _claude(rest) if vendor == "anthropic" else rest
                return next((family for starts, family in FAMILIES[vendor] if name.startswith(starts)), UNKNOWN)
    return UNKNOWN


def _claude(name: str) -> str:
    """`claude-4.5-sonnet-...`, of claude-sonnet-4-5-... as of claude-3-5-sonnet-...; without a number as it is."""
    vendor, *words = name.split("-")
    tier = words[:1] if words and words[0].isalpha() else []
    version = list(takewhile(lambda word: word.isdecimal() and len(word) <= MOST_DIGITS, words[len(tier) :]))
    if not version:
        return name
    rest = words[len(tier) + len(version) :]
    return "-".join([vendor, ".".join([*version, "0"][:2]), *tier, *rest, ""])
