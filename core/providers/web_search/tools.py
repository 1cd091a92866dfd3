"""What the search engines offer as tools: described in our own words, alike whoever searches."""

from typing import Final

from core.apis.tools import Tool

SIZES: Final = {"low": 3, "medium": 5, "high": 10}
"""How many results a `search_context_size` is, as in OGX 1.5.0."""
MOST_QUERY: Final = 4000  # characters
MOST_DOMAINS: Final = 100  # as https://platform.openai.com/docs/guides/tools-web-search has it

WEB_SEARCH: Final = Tool(
    "web_search",
    "Search the web. Answers the best results with their titles, URLs and excerpts.",
    {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to search for.", "minLength": 1, "maxLength": MOST_QUERY},
            "allowed_domains": {
                "type": ["array", "null"],
                "items": {"type": "string"},
                "maxItems": MOST_DOMAINS,
                "description": "Search these domains alone, for example `example.com`.",
            },
            "search_context_size": {
                "type": "string",
                "enum": list(SIZES),
                "description": "How much to find: low, medium and high are 3, 5 and 10 results.",
            },
            "user_location": {
                "type": ["object", "null"],
                "properties": {
                    "country": {"type": ["string", "null"], "description": "Two letters of ISO 3166, for example US."}
                },
                "description": "Where results are wanted for.",
            },
        },
        "required": ["query"],
    },
    title="Web search",
    read_only=True,
)
WOLFRAM_ALPHA: Final = Tool(
    "wolfram_alpha",
    "Compute an answer with WolframAlpha: mathematics, units, dates, science, facts in numbers.",
    {
        "type": "object",
        "properties": {
            "query": {
                "type": "string",
                "description": "The question, short and in English, for example `integrate x^2 from 0 to 3`.",
                "minLength": 1,
                "maxLength": MOST_QUERY,
            },
        },
        "required": ["query"],
    },
    title="WolframAlpha",
    read_only=True,
)
