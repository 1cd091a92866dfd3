"""The search engines, a row each. Data alone: no config and no client is made by importing it.

Sources: the vendors' documentation, named beside each row, and for the names of config fields and provider data, and for what of a
result is kept, Llama Stack 0.2.12 and OGX 1.5.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from core.apis.tools import Tool
from core.providers.web_search.tools import WEB_SEARCH, WOLFRAM_ALPHA

TERMS: Final = "site:"
"""Of domains that are searched by the words of the query alone."""


@dataclass(frozen=True, slots=True)
class Part:
    """A list of results in an answer: the keys that lead to it, and the fields of a result that are kept.

    A field of several names, as `content|description`, is kept under the first, as the first of them that is not empty.
    """

    path: tuple[str, ...]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """`url` is the vendor's; a search is a `method` of `path`, its words in the query of a GET or in the JSON of a POST.

    `headers` and `parameters` are sent with each; a header bears the `{key}`, or the query does as `key_parameter`. `query`, `count`, `domains` and `country` are the vendor's
    names of these words, "" where it has none; domains may be `TERMS` of the query. `most` is the most results that it gives, however many are wanted. `size` is the config's
    name of how many there are, `choices` are further fields of the config with the values that the vendor takes, the default first.

    `parts` are the lists of results in the order in which they are kept, or, where there is `mixed`, in the order of that list, whose entries
    say which part and which of its results come next. `listed_as` is the name of the list in what the tool answers. `data` names the
    provider data that bring a caller's key.

    `fault` are the keys that lead to an error in an answer of status 200. Codes of an error in `refused` are about the key, statuses in `spent` about the
    account. `remaining` and `reset` are headers that say of each window of a rate limit what is left, and in how many seconds it begins again.
    """

    provider_type: str
    vendor: str
    url: str
    path: str
    data: str
    tool: Tool = WEB_SEARCH
    method: Literal["GET", "POST"] = "GET"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    key_parameter: str = ""
    query: str = "query"
    count: str = ""
    domains: str = ""
    country: str = ""
    most: int = 100
    size: str = "max_results"
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    parts: Mapping[str, Part] = field(default_factory=dict[str, Part])
    mixed: tuple[str, ...] = ()
    listed_as: str = "top_k"
    fault: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset()
    spent: frozenset[int] = frozenset()
    remaining: str = ""
    reset: str = ""


PLACE: Final = (
    "type",
    "title",
    "url",
    "description",
    "coordinates",
    "postal_address",
    "contact",
    "rating",
    "distance",
    "zoom_level",
)

_ALL: Final = (
    # https://api-dashboard.search.brave.com/api-reference/web/search/get; `count` is of web results alone, `mixed` is the order of all
    Row(
        "remote::brave-search",
        "Brave Search",
        "https://api.search.brave.com/res/v1",
        "/web/search",
        "brave_search_api_key",
        headers={"X-Subscription-Token": "{key}", "Accept": "application/json"},
        parameters={"text_decorations": "false"},
        query="q",
        count="count",
        domains=TERMS,
        country="country",
        most=20,
        parts={
            "web": Part(("web", "results"), ("type", "title", "url", "description", "date|age", "extra_snippets")),
            "news": Part(("news", "results"), ("type", "title", "url", "description")),
            "faq": Part(("faq", "results"), ("type", "question", "answer", "title", "url")),
            "infobox": Part(("infobox", "results"), ("type", "title", "url", "description", "long_desc")),
            "videos": Part(("videos", "results"), ("type", "url", "title", "description", "date|age")),
            "locations": Part(("locations", "results"), PLACE),
        },
        mixed=("mixed", "main"),
        refused=frozenset({"SUBSCRIPTION_TOKEN_INVALID"}),  # which comes with 422
        remaining="x-ratelimit-remaining",
        reset="x-ratelimit-reset",
    ),
    # https://docs.tavily.com/api-reference/endpoint/search: countries by their English names, so that none is sent; 432 and
    # 433 say that the plan, or what may be paid beyond it, is used up
    Row(
        "remote::tavily-search",
        "Tavily",
        "https://api.tavily.com",
        "/search",
        "tavily_search_api_key",
        method="POST",
        headers={"Authorization": "Bearer {key}"},
        count="max_results",
        domains="include_domains",
        most=20,
        parts={"results": Part(("results",), ("title", "url", "content", "score", "published_date"))},
        spent=frozenset({432, 433}),
    ),
    # https://learn.microsoft.com/en-us/bing/search-apis/bing-web-search/reference/endpoints; closed on 11 August 2025
    Row(
        "remote::bing-search",
        "Bing Search",
        "https://api.bing.microsoft.com/v7.0",
        "/search",
        "bing_search_api_key",
        headers={"Ocp-Apim-Subscription-Key": "{key}"},
        parameters={"textDecorations": "false", "textFormat": "Raw"},
        query="q",
        count="count",
        domains=TERMS,
        country="cc",
        most=50,
        size="top_k",
        parts={
            "webPages": Part(("webPages", "value"), ("name", "url", "snippet")),
            "news": Part(("news", "value"), ("name", "url", "description")),
        },
    ),
    # https://exa.ai/docs/reference/search
    Row(
        "remote::exa-search",
        "Exa",
        "https://api.exa.ai",
        "/search",
        "exa_search_api_key",
        method="POST",
        headers={"x-api-key": "{key}"},
        parameters={"type": "auto", "contents": {"highlights": True}},
        count="numResults",
        domains="includeDomains",
        country="userLocation",
        parts={"results": Part(("results",), ("title", "url", "publishedDate", "author", "highlights"))},
    ),
    # https://serply.io/docs/guides/pagination for the address and the key; `num`, `gl` and the fields as OGX has them
    Row(
        "remote::serply-search",
        "Serply",
        "https://api.serply.io",
        "/v1/search",
        "serply_search_api_key",
        headers={"X-Api-Key": "{key}"},
        query="q",
        count="num",
        domains=TERMS,
        country="gl",
        most=10,  # one page of Google's
        parts={"results": Part(("results",), ("title", "url|link", "content|description"))},
        listed_as="results",
    ),
    # https://docs.nimbleway.com/api-reference/search/search
    Row(
        "remote::nimble-search",
        "Nimble",
        "https://sdk.nimbleway.com",
        "/v1/search",
        "nimble_search_api_key",
        method="POST",
        headers={"Authorization": "Bearer {key}"},
        count="max_results",
        domains="include_domains",
        country="country",
        choices={"search_depth": ("lite", "fast", "deep")},
        parts={"results": Part(("results",), ("title", "url", "content|description"))},
        listed_as="results",
    ),
    # https://products.wolframalpha.com/api/documentation; errors 1 and 2 are about the AppID
    Row(
        "remote::wolfram-alpha",
        "WolframAlpha",
        "https://api.wolframalpha.com",
        "/v2/query",
        "wolfram_alpha_api_key",
        tool=WOLFRAM_ALPHA,
        key_parameter="appid",
        parameters={"format": "plaintext", "output": "json"},
        query="input",
        size="",
        fault=("queryresult", "error"),
        refused=frozenset({"1", "2"}),
    ),
)

ROWS: Final = {row.provider_type: row for row in _ALL}
