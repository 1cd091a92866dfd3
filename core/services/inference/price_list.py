"""The prices that ship: what vendors publish, in USD per million tokens, of models whose price depends on nothing else.

A price that goes up with the length of the prompt, or depends on the region, as all of Bedrock's do, is not here: it is not known.
What vendors' own batches cost is half of the input and the output; where nobody says what is cached in them, it costs what the rest does.
The run config and a model's metadata go first. Claude's writes to a cache that lasts an hour cost twice its input.

Sources: https://developers.openai.com/api/docs/pricing and the pages of its models, https://platform.claude.com/docs/en/about-claude/pricing,
https://console.groq.com/docs/models.
"""

from collections.abc import Mapping
from typing import Any, Final

DATED: Final = "2026-11-30"
"""When they were looked up."""
OPENAI: Final[Mapping[str, Mapping[str, Any]]] = {
    "gpt-4o-mini": {
        "input": "0.15",
        "cached_input": "0.075",
        "output": "0.6",
        "batch": {"input": "0.075", "output": "0.3"},
    },
    "gpt-4o-mini-2024-07-18": {
        "input": "0.15",
        "cached_input": "0.075",
        "output": "0.6",
        "batch": {"input": "0.075", "output": "0.3"},
    },
    "gpt-4o": {"input": "2.5", "cached_input": "1.25", "output": "10", "batch": {"input": "1.25", "output": "5"}},
    "gpt-4o-2024-08-06": {
        "input": "2.5",
        "cached_input": "1.25",
        "output": "10",
        "batch": {"input": "1.25", "output": "5"},
    },
    "gpt-4o-2024-11-20": {
        "input": "2.5",
        "cached_input": "1.25",
        "output": "10",
        "batch": {"input": "1.25", "output": "5"},
    },
    "gpt-4.1": {"input": "2", "cached_input": "0.5", "output": "8", "batch": {"input": "1", "output": "4"}},
    "gpt-4.1-2025-04-14": {"input": "2", "cached_input": "0.5", "output": "8", "batch": {"input": "1", "output": "4"}},
    "gpt-4.1-mini*": {
        "input": "0.4",
        "cached_input": "0.1",
        "output": "1.6",
        "batch": {"input": "0.2", "output": "0.8"},
    },
    "gpt-4.1-nano*": {
        "input": "0.1",
        "cached_input": "0.025",
        "output": "0.4",
        "batch": {"input": "0.05", "output": "0.2"},
    },
    "gpt-5": {"input": "1.25", "cached_input": "0.125", "output": "10", "batch": "0.5"},
    "gpt-5-2025-08-07": {"input": "1.25", "cached_input": "0.125", "output": "10", "batch": "0.5"},
    "gpt-5-mini*": {"input": "0.25", "cached_input": "0.025", "output": "2", "batch": "0.5"},
    "gpt-5-nano*": {"input": "0.05", "cached_input": "0.005", "output": "0.4", "batch": "0.5"},
    "o3": {"input": "2", "cached_input": "0.5", "output": "8", "batch": {"input": "1", "output": "4"}},
    "o3-2025-04-16": {"input": "2", "cached_input": "0.5", "output": "8", "batch": {"input": "1", "output": "4"}},
    "o4-mini": {"input": "1.1", "cached_input": "0.275", "output": "4.4", "batch": {"input": "0.55", "output": "2.2"}},
    "o4-mini-2025-04-16": {
        "input": "1.1",
        "cached_input": "0.275",
        "output": "4.4",
        "batch": {"input": "0.55", "output": "2.2"},
    },
    "text-embedding-3-small": {"input": "0.02", "batch": "0.5"},
    "text-embedding-3-large": {"input": "0.13", "batch": "0.5"},
}
OPUS: Final = {"input": "5", "cached_input": "0.5", "cache_write": "6.25", "cache_write_1h": "10", "output": "25"}
OPUS_5_5: Final = {"input": "4", "cached_input": "0.2", "cache_write": "5", "cache_write_1h": "8", "output": "20"}
SONNET: Final = {"input": "3", "cached_input": "0.3", "cache_write": "3.75", "cache_write_1h": "6", "output": "15"}
SONNET_5: Final = {"input": "2", "cached_input": "0.2", "cache_write": "2.5", "cache_write_1h": "4", "output": "10"}
HAIKU: Final = {"input": "1", "cached_input": "0.1", "cache_write": "1.25", "cache_write_1h": "2", "output": "5"}
CLAUDE: Final[Mapping[str, Mapping[str, Any]]] = {
    "claude-opus-4-5*": OPUS,
    "claude-opus-4-6*": OPUS,
    "claude-opus-4-7*": OPUS,
    "claude-opus-4-8*": OPUS,
    "claude-opus-5": OPUS,
    "claude-opus-5-5": OPUS_5_5,
    "claude-sonnet-4-6*": SONNET,
    "claude-sonnet-5": SONNET_5,
    "claude-haiku-4-5*": HAIKU,
}
GROQ: Final[Mapping[str, Mapping[str, Any]]] = {
    "llama-3.1-8b-instant": {"input": "0.05", "output": "0.08", "batch": "0.5"},
    "llama-3.3-70b-versatile": {"input": "0.59", "output": "0.79", "batch": "0.5"},
    "openai/gpt-oss-120b": {
        "input": "0.15",
        "cached_input": "0.075",
        "output": "0.6",
        "batch": {"input": "0.075", "output": "0.3"},
    },
}
PRICES: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "remote::openai": OPENAI,
    "remote::anthropic": CLAUDE,
    "remote::groq": GROQ,
    "remote::groq-openai-compat": GROQ,
}
"""Rates by the type of provider and the vendor's name of a model, in which `*` is any text."""
