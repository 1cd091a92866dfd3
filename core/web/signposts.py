"""What a 404 says of a path that somebody took for a route: which is meant, or whose API it is and what serves it.

Imported for the first such answer. The paths are those of Llama Stack 0.2, OGX 1.5 and OpenAI's API reference.
"""

from collections.abc import Iterable
from functools import cache
import re
from typing import Final

from starlette.routing import BaseRoute, Route, compile_path

from core.apis.index import has_providers, names, route_rows

PREFIXES: Final = frozenset({"v1", "v1alpha", "v1beta", "api", "openai", "admin"})
LONGEST: Final = 200  # characters of a path that is looked at
OWN_NAME: Final = (
    *("batches", "containers", "datasetio", "datasets", "eval"),
    *("file-processors", "files", "interactions", "messages", "post-training", "skills"),
    *("synthetic-data-generation", "telemetry"),
)
FAMILY: Final = {  # the first segment of a path behind its version: the API as `apis` of a run config has it
    **{segment: segment.replace("-", "_") for segment in OWN_NAME},
    **dict.fromkeys(("chat", "completions", "embeddings", "inference", "models", "rerank"), "inference"),
    **dict.fromkeys(("safety", "shields", "moderations"), "safety"),
    "uploads": "files",
    **dict.fromkeys(("agents", "responses", "conversations", "prompts"), "responses"),
    **dict.fromkeys(("vector-dbs", "vector-io", "vector_stores"), "vector_io"),
    **dict.fromkeys(("mcp", "toolgroups", "tools", "tool-runtime", "connectors"), "tool_runtime"),
    **dict.fromkeys(("scoring", "scoring-functions"), "scoring"),
}
OPENAI: Final = frozenset(
    {
        *("assistants", "audio", "chatkit", "evals", "fine_tuning", "graders", "images", "organization", "projects"),
        *("realtime", "threads", "videos"),
    }
)
LISTED: Final = "GET /v1/inspect/routes lists what there is."


def explain(path: str, routes: Iterable[BaseRoute]) -> str:
    """The text of a 404 for `path`, in an app with `routes`."""
    start = f"There is no route {path}."
    if len(path) > LONGEST:
        return f"{start} {LISTED}"
    rest = _behind_version([segment for segment in path.split("/") if segment])
    own = {route.path_regex: None for route in routes if isinstance(route, Route)}  # a path has several methods
    suggestion = _suggest(path, "/".join(rest), own)
    if suggestion is not None:
        return f"{start} Did you mean {suggestion}? A client's base URL ends with /v1, once, and no path ends with a slash."
    return f"{start} {_owner(path, rest[0]) if rest else ''}{LISTED}"


def _suggest(path: str, rest: str, own: Iterable[re.Pattern[str]]) -> str | None:
    """The route of this app that the path nearly is, or else of another function of its deployment."""
    tidy = "/" + "/".join(filter(None, path.split("/")))
    candidates = [tidy, f"/v1/{rest}", f"/v1alpha/{rest}", f"/{rest}"] if rest else []
    is_route = not path.endswith("/") and _api_of(path)  # of an API that is not served here
    others = () if is_route else _apis()
    for patterns in (own, others):
        for candidate in candidates:
            if candidate != path and any(pattern.match(candidate) for pattern in patterns):
                return candidate
    return None


@cache
def _apis() -> dict[re.Pattern[str], str]:
    """Of every route of this build."""
    return {compile_path(row.path)[0]: row.api for row in route_rows(names())}


def _api_of(path: str) -> str | None:
    """The API that has a route like this, served here or not."""
    return next((api for pattern, api in _apis().items() if pattern.match(path)), None)


def _behind_version(segments: list[str]) -> list[str]:
    while segments and segments[0].lower() in PREFIXES:
        segments = segments[1:]
    return segments


def _owner(path: str, segment: str) -> str:
    """Whose it is, and what serves it."""
    if segment in OPENAI:
        return f"OpenAI has {segment}, and this version of llambda has not. "
    api = _api_of(path) or FAMILY.get(segment)
    if api is None:
        return ""
    if api not in names():
        return f"It is of the API {api}, which this version of llambda does not have. "
    provider = f", and a provider to `providers.{api}`" if has_providers(api) else ""
    return f"It is of the API {api}: where that is not served, add it to `apis` of the run config{provider}. "
