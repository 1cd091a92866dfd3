"""What an engine answered: the results that are kept, cleaned and bounded. Pure.

Texts are strangers' words, which a model will read: nothing in them is looked at, but what nobody sees is taken out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
import re
from typing import Any, Final

from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.providers.web_search.rows import Part, Row

UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Control characters but line ends and tabs, what turns the direction of a text, halves of characters, and Unicode's tags, which hide texts."""
WEB: Final = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
MOST_URL: Final = 2048  # characters
MOST_TEXT: Final = 20_000  # characters of one result, beside its URL
MOST_TEXTS: Final = 200_000  # characters of all results together
MOST_ITEMS: Final = 20  # of a list, or of the fields of an object, within a result
MOST_NAME: Final = 64  # characters of a field's name
MOST_DEPTH: Final = 3
MOST_RESULTS: Final = 1000  # that are looked at
MOST_PODS: Final = 20


class OddAnswer(ValueError):
    """It is not of the shape that the vendor documents."""


def clean_text(text: str) -> str:
    """Without what nobody sees."""
    return UNSEEN.sub("", text)


def read_results(row: Row, answer: object, limit: int) -> list[JsonObject]:
    """At most `limit` results, each with what is kept of it; none where nothing was found.

    Raises OddAnswer.
    """
    if not is_object(answer):
        raise OddAnswer
    looked_at = islice(_in_order(row, answer), MOST_RESULTS)
    return list(islice((entry for part, result in looked_at if (entry := _keep(part, result, limit))), limit))


def sources_of(results: Sequence[JsonObject]) -> list[dict[str, str]]:
    """Where the results are from, each place once."""
    return [{"url": url} for url in dict.fromkeys(result["url"] for result in results if "url" in result)]


def read_pods(answer: object) -> JsonObject:
    """WolframAlpha's answer, its pods up to the one that is called Result.

    Raises OddAnswer.
    """
    result = to_object(to_object(answer).get("queryresult"))
    success, pods = result.get("success"), result.get("pods", [])
    if not isinstance(success, bool) or not is_list(pods):
        raise OddAnswer
    titles = [to_object(pod).get("title") for pod in pods]
    last = titles.index("Result") + 1 if "Result" in titles else len(pods)
    budget = _Budget(MOST_TEXT)
    texts = [_pod(to_object(pod), budget) for pod in pods[: min(last, MOST_PODS)]]
    hints = {name: budget.clean(result[name]) for name in ("didyoumeans", "tips") if result.get(name)}
    return {"queryresult": {"success": success, "pods": texts, **hints}}


@dataclass(slots=True)
class _Budget:
    """How many characters there is room for."""

    characters: int

    def clean(self, value: object, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
        """`value` with clean texts while they last; None for what is left out."""
        if isinstance(value, str):
            text = clean_text(value[: 2 * self.characters]).strip()[: self.characters]
            self.characters -= len(text)
            return text
        if isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
            return value if abs(value) < 2**53 else None
        if depth >= MOST_DEPTH:
            return None
        if is_list(value):
            items = [self.clean(item, depth + 1) for item in value[:MOST_ITEMS]]
            return [item for item in items if item not in ("", None)]
        pairs = list(to_object(value).items())[:MOST_ITEMS]
        fields = {clean_text(name)[:MOST_NAME]: self.clean(item, depth + 1) for name, item in pairs}
        return {name: item for name, item in fields.items() if item not in ("", None)} or None


def _in_order(row: Row, answer: JsonObject) -> Iterator[tuple[Part, JsonObject]]:
    lists = {name: _list_at(answer, part.path) for name, part in row.parts.items()}
    order = _list_at(answer, row.mixed) if row.mixed else []
    if not order:
        yield from ((part, to_object(result)) for name, part in row.parts.items() for result in lists[name])
        return
    for entry in map(to_object, order):
        name, index = str(entry.get("type")), entry.get("index")
        results = lists.get(name, [])
        if not isinstance(index, int) or entry.get("all"):
            yield from ((row.parts[name], to_object(result)) for result in results)
        elif 0 <= index < len(results):
            yield row.parts[name], to_object(results[index])


def _list_at(answer: JsonObject, path: tuple[str, ...]) -> list[Any]:
    """An empty one where a part is missing: an engine that has found none leaves it out."""
    value: object = answer
    for step in path:
        if not is_object(value):
            raise OddAnswer
        value = value.get(step)
        if value is None:
            return []
    if not is_list(value):
        raise OddAnswer
    return value


def _keep(part: Part, result: Mapping[str, Any], limit: int) -> JsonObject:
    budget = _Budget(min(MOST_TEXT, MOST_TEXTS // limit))
    entry: JsonObject = {}
    for names in part.fields:
        name, *others = names.split("|")
        value = next((result[key] for key in (name, *others) if result.get(key)), result.get(name))
        if name == "url":  # whole or not at all: a part of one is another place
            clean = value if _is_url(value) else None
        else:
            clean = budget.clean(value) if value is not None else None
        if clean not in (None, "", []):
            entry[name] = clean
    return entry if entry.keys() - {"type"} else {}


def _is_url(value: object) -> bool:
    if not isinstance(value, str) or len(value) > MOST_URL or UNSEEN.search(value):
        return False
    return WEB.fullmatch(value) is not None


def _pod(pod: JsonObject, budget: _Budget) -> JsonObject:
    subpods = pod.get("subpods")
    parts = [to_object(subpod) for subpod in subpods[:MOST_ITEMS]] if is_list(subpods) else []
    texts = [{name: budget.clean(part.get(name) or "") for name in ("title", "plaintext")} for part in parts]
    return {"title": budget.clean(pod.get("title") or ""), "subpods": texts}
