"""The search engines on loopback, each under its name as the path: they refuse what their vendors' documentation does not have.

The pages that are found are the same for all. Sources of the wires are beside the rows of `core.providers.web_search.rows`; what errors look like is
of the same pages, and of Bing from https://learn.microsoft.com/en-us/bing/search-apis/bing-web-search/reference/error-codes.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

PAGES: tuple[dict[str, str], ...] = tuple(
    {"title": f"Page {n}", "url": f"https://{host}/{n}", "text": f"What is said of it on page {n}."}
    for n, host in enumerate(("example.com", "docs.example.com", "example.org", "example.net") * 10)
)

type Page = Mapping[str, str]
type Failure = tuple[int, dict[str, Any], dict[str, str]]


def brave_error(status: int, code: str, detail: str) -> dict[str, Any]:
    error = {"id": "0a1b", "status": status, "code": code, "detail": detail, "meta": {"component": "authentication"}}
    return {"type": "ErrorResponse", "error": error, "time": 1732896000}


def brave_answer(pages: Sequence[Page]) -> dict[str, Any]:
    web_results = [
        {
            "type": "search_result",
            "title": p["title"],
            "url": p["url"],
            "description": p["text"],
            "profile": {"name": "x"},
        }
        for p in pages
    ]
    news = {"type": "news_result", "title": "News", "url": "https://news.example.com/", "description": "It happened."}
    main = [{"type": "web", "index": n, "all": False} for n in range(len(pages))]
    main[1:1] = [{"type": "news", "all": True}] if pages else []
    return {
        "type": "search",
        "query": {"original": "q"},
        "mixed": {"type": "mixed", "main": main, "top": [], "side": []},
        "web": {"type": "search", "results": web_results},
        "news": {"type": "news", "results": [news] if pages else []},
    }


def wolfram_answer(pages: Sequence[Page]) -> dict[str, Any]:
    texts = ("Input interpretation", "2 + 2"), ("Result", "4"), ("Number line", "a picture")
    pods = [
        {
            "title": title,
            "scanner": "Simplify",
            "id": title,
            "numsubpods": 1,
            "subpods": [{"title": "", "plaintext": text}],
        }
        for title, text in texts
    ]
    return {"queryresult": {"success": bool(pages), "error": False, "numpods": 3, "timing": 0.5, "pods": pods}}


@dataclass(frozen=True)
class Wire:
    """A vendor's: where its key is, its parameters with how one is judged, and its answers and errors."""

    path: str
    method: str
    key: Callable[[web.Request], str]
    parameters: Mapping[str, Callable[[Any], bool]]
    query: str
    count: str
    domains: str
    answer: Callable[[Sequence[Page]], dict[str, Any]]
    wrong_key: Failure
    throttled: Failure
    mistake: Failure
    spent: Failure | None = None


def named(**names: str) -> Callable[[Sequence[Page]], list[dict[str, Any]]]:
    return lambda pages: [{ours: page[theirs] for ours, theirs in names.items()} for page in pages]


def header(name: str, prefix: str = "") -> Callable[[web.Request], str]:
    return lambda request: request.headers.get(name, "").removeprefix(prefix)


def number(most: int, kind: type = int) -> Callable[[Any], bool]:
    def is_number(value: Any) -> bool:
        return (value.isdecimal() if kind is str else type(value) is int) and 1 <= int(value) <= most

    return is_number


def text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(text, value))


def one_of(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


NO_HEADERS: dict[str, str] = {}
SOON = {"Retry-After": "7"}
WIRES: dict[str, Wire] = {
    "brave-search": Wire(
        "/res/v1/web/search",
        "GET",
        header("X-Subscription-Token"),
        {
            "q": lambda q: text(q) and len(q) <= 400 and len(q.split()) <= 50,
            "count": number(20, str),
            "country": one_of("US", "DE"),
            "text_decorations": one_of("true", "false"),
        },
        "q",
        "count",
        "",
        brave_answer,
        (
            422,
            brave_error(422, "SUBSCRIPTION_TOKEN_INVALID", "The provided subscription token is invalid."),
            NO_HEADERS,
        ),
        (
            429,
            brave_error(429, "RATE_LIMITED", "Request rate limit exceeded for plan."),
            {"X-RateLimit-Remaining": "0, 1200", "X-RateLimit-Reset": "7, 1419704"},
        ),
        (422, brave_error(422, "VALIDATION", "Unable to validate request parameter(s)"), NO_HEADERS),
    ),
    "tavily-search": Wire(
        "/search",
        "POST",
        header("Authorization", "Bearer "),
        {"query": text, "max_results": number(20), "include_domains": texts},
        "query",
        "max_results",
        "include_domains",
        lambda pages: {
            "query": "q",
            "answer": None,
            "images": [],
            "results": [
                {"title": p["title"], "url": p["url"], "content": p["text"], "score": 0.5, "raw_content": None}
                for p in pages
            ],
            "response_time": 1.1,
        },
        (401, {"detail": {"error": "Unauthorized: missing or invalid API key."}}, NO_HEADERS),
        (429, {"detail": {"error": "Your request has been blocked due to excessive requests."}}, SOON),
        (400, {"detail": {"error": "Invalid topic."}}, NO_HEADERS),
        (432, {"detail": {"error": "This request exceeds your plan's set usage limit."}}, NO_HEADERS),
    ),
    "bing-search": Wire(
        "/v7.0/search",
        "GET",
        header("Ocp-Apim-Subscription-Key"),
        {
            "q": text,
            "count": number(50, str),
            "cc": one_of("US", "DE"),
            "textDecorations": one_of("true", "false"),
            "textFormat": one_of("Raw", "HTML"),
        },
        "q",
        "count",
        "",
        lambda pages: {
            "_type": "SearchResponse",
            "queryContext": {"originalQuery": "q"},
            "webPages": {"value": named(name="title", url="url", snippet="text", displayUrl="url")(pages)},
        },
        (401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}}, NO_HEADERS),
        (429, {"error": {"code": "429", "message": "Rate limit is exceeded."}}, SOON),
        (400, {"_type": "ErrorResponse", "errors": [{"code": "InvalidRequest", "message": "Bad count."}]}, NO_HEADERS),
    ),
    "exa-search": Wire(
        "/search",
        "POST",
        header("x-api-key"),
        {
            "query": text,
            "type": one_of("auto"),
            "contents": one_of({"highlights": True}),
            "numResults": number(100),
            "includeDomains": texts,
            "userLocation": one_of("US", "DE"),
        },
        "query",
        "numResults",
        "includeDomains",
        lambda pages: {
            "requestId": "b594",
            "results": [
                {"id": p["url"], "title": p["title"], "url": p["url"], "author": None, "highlights": [p["text"]]}
                for p in pages
            ],
        },
        (401, {"requestId": "b594", "error": "Invalid API key", "tag": "INVALID_API_KEY"}, NO_HEADERS),
        (429, {"error": "You've exceeded your Exa rate limit of 5 requests per second."}, SOON),
        (400, {"requestId": "b594", "error": "Invalid request body", "tag": "INVALID_REQUEST_BODY"}, NO_HEADERS),
        (402, {"requestId": "b594", "error": "You have no credits left.", "tag": "NO_MORE_CREDITS"}, NO_HEADERS),
    ),
    "serply-search": Wire(
        "/v1/search",
        "GET",
        header("X-Api-Key"),
        {"q": text, "num": number(100, str), "gl": one_of("us", "de")},
        "q",
        "num",
        "",
        lambda pages: {"results": named(title="title", link="url", description="text")(pages), "ads": []},
        (401, {"message": "Unauthorized"}, NO_HEADERS),
        (429, {"message": "Too many requests"}, SOON),
        (400, {"message": "Bad request"}, NO_HEADERS),
    ),
    "nimble-search": Wire(
        "/v1/search",
        "POST",
        header("Authorization", "Bearer "),
        {
            "query": text,
            "max_results": number(100),
            "search_depth": one_of("lite", "fast", "deep"),
            "include_domains": lambda value: texts(value) and len(value) <= 50,
            "country": one_of("US", "DE"),
        },
        "query",
        "max_results",
        "include_domains",
        lambda pages: {
            "total_results": len(pages),
            "results": [
                {"title": p["title"], "description": p["text"], "url": p["url"], "content": "", "metadata": {}}
                for p in pages
            ],
            "request_id": "123e",
        },
        (401, {"success": False, "message": "Unauthorized"}, NO_HEADERS),
        (429, {"success": False, "message": "Too many requests"}, SOON),
        (400, {"success": False, "message": "max_results is out of range"}, NO_HEADERS),
    ),
    "wolfram-alpha": Wire(
        "/v2/query",
        "GET",
        lambda request: request.query.get("appid", ""),
        {"input": text, "appid": text, "format": one_of("plaintext"), "output": one_of("json")},
        "input",
        "",
        "",
        wolfram_answer,
        (200, {"queryresult": {"success": False, "error": {"code": "1", "msg": "Invalid appid"}}}, NO_HEADERS),
        (429, {"message": "Too many requests"}, SOON),
        (200, {"queryresult": {"success": False, "error": {"code": "1000", "msg": "It failed."}}}, NO_HEADERS),
    ),
}


@dataclass(frozen=True)
class Asked:
    """`told` are the parameters, of the query or of the body."""

    engine: str
    method: str
    told: dict[str, Any]
    headers: dict[str, str]
    url: str


@dataclass
class SearchEngines:
    """`keys` are those that are taken; `replies` are of engines that answer something else, by name."""

    keys: set[str]
    url: str = ""
    asked: list[Asked] = field(default_factory=list[Asked])
    replies: dict[str, Failure | web.Response] = field(default_factory=dict[str, Failure | web.Response])

    def url_of(self, engine: str) -> str:
        """As the config of a provider has it."""
        path = WIRES[engine].path
        return f"{self.url}/{engine}{path.removesuffix(_own_path(path))}"

    async def answer(self, request: web.Request) -> web.Response:
        engine = request.match_info["engine"]
        wire = WIRES[engine]
        if (request.path, request.method) != (f"/{engine}{wire.path}", wire.method):
            return web.json_response({"message": "Not found"}, status=404)
        told: dict[str, Any] = dict(request.query) if wire.method == "GET" else await request.json()
        self.asked.append(Asked(engine, request.method, told, dict(request.headers), str(request.url)))
        reply = self.replies.get(engine)
        if isinstance(reply, web.Response):
            return reply
        failure = reply or self._failure(wire, wire.key(request), told)
        if failure is not None:
            status, body, headers = failure
            return web.json_response(body, status=status, headers=headers)
        return web.json_response(wire.answer(_find(wire, told)))

    def _failure(self, wire: Wire, key: str, told: dict[str, Any]) -> Failure | None:
        if key not in self.keys:
            return wire.wrong_key
        known = all(name in wire.parameters and wire.parameters[name](value) for name, value in told.items())
        return None if known and wire.query in told else wire.mistake


def _own_path(path: str) -> str:
    """What the provider puts behind its URL."""
    return next(own for own in ("/web/search", "/v2/query", "/v1/search", "/search") if path.endswith(own))


def _find(wire: Wire, told: dict[str, Any]) -> list[Page]:
    """Pages of the domains that are asked for, whether by a list or by terms; none where the query says `nothing`."""
    words = str(told[wire.query]).replace("(", " ").replace(")", " ").split()
    domains = told.get(wire.domains) or [word.removeprefix("site:") for word in words if word.startswith("site:")]
    hosts = [page["url"].split("/")[2] for page in PAGES]
    found: list[Page] = [
        page
        for page, host in zip(PAGES, hosts, strict=True)
        if not domains or any(host == domain or host.endswith(f".{domain}") for domain in domains)
    ]
    return [] if "nothing" in words else found[: int(told.get(wire.count, 10))]


@asynccontextmanager
async def searching(*keys: str) -> AsyncIterator[SearchEngines]:
    engines = SearchEngines(set(keys))
    app = web.Application()
    app.router.add_route("*", "/{engine}/{path:.*}", engines.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    engines.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield engines
    finally:
        await runner.cleanup()
