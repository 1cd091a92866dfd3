"""OpenAI's routes for usage and costs, from the sums of days."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
import time
from typing import Any, Final, Literal, cast

from core.apis.answers.organization import CostBuckets, CostResult, UsageBuckets, UsageResult
from core.apis.organization import OrganizationCostsQuery, OrganizationQuery, OrganizationUsageQuery
from core.errors import InvalidRequest
from core.frame.callers import UsageRow
from core.frame.observed import usd_of
from core.platform.suggestions import did_you_mean
from core.services.usage.callers import caller_of
from core.services.usage.paging import Place, digest_of, read_page, write_page
from core.services.usage.ranges import DAY, Days, check_days
from core.services.usage.reading import Filters, Group, UsageReader
from core.services.usage.shown import cost_of
from core.stores.usage.port import Dimension

type Kind = Literal["completions", "embeddings", "moderations"]
type Result = tuple[str | None, ...]
"""What a result is grouped by: for each grouping of its query the text or, of what there is none, None."""

GROUPS: Final[Mapping[str, Group]] = {
    "project_id": "team",
    "user_id": "user",
    "api_key_id": "key",
    "model": "model",
    "line_item": "model",
    "batch": "api",
}
OF_USAGE: Final = ("project_id", "user_id", "api_key_id", "model")
OF_COMPLETIONS: Final = (*OF_USAGE, "batch", "service_tier")
OF_COSTS: Final = ("project_id", "line_item", "api_key_id")
NOT_COUNTED: Final = (*OF_COMPLETIONS, "size", "source", "vector_store_id", "context_level", "decision_type")
BATCHES: Final = "batches"
MODERATIONS: Final = "moderate"
COMPLETIONS: Final = frozenset({"chat_completion", "completion"})
NATIVE: Final = "native_"  # how the operations of Llama Stack's own routes begin


@dataclass(frozen=True, slots=True)
class DayRow:
    """What one model was asked in one operation on a day, by the groupings of the query."""

    day: int
    result: Result
    row: UsageRow


class OrganizationRouter:
    """Answers `core.apis.organization.Organization`."""

    def __init__(self, reader: UsageReader, *, retention_days: int, clock: Callable[[], float] = time.time) -> None:
        """`retention_days` are those that usage is kept for; `clock` is Unix time."""
        self._reader = reader
        self._retention_days = retention_days
        self._clock = clock

    async def completions(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return await self._usage("completions", query, OF_COMPLETIONS)

    async def embeddings(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return await self._usage("embeddings", query, OF_USAGE)

    async def moderations(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return await self._usage("moderations", query, OF_USAGE)

    async def images(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return self._nothing("images", query)

    async def audio_speeches(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return self._nothing("audio_speeches", query)

    async def audio_transcriptions(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return self._nothing("audio_transcriptions", query)

    async def vector_stores(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return self._nothing("vector_stores", query)

    async def code_interpreter_sessions(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return self._nothing("code_interpreter_sessions", query)

    async def decisions(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return self._nothing("decisions", query)

    async def file_search_calls(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return self._nothing("file_search_calls", query)

    async def web_search_calls(self, *, query: OrganizationUsageQuery) -> UsageBuckets:
        return self._nothing("web_search_calls", query)

    async def costs(self, *, query: OrganizationCostsQuery) -> CostBuckets:
        names = _groupings(query, OF_COSTS)
        page = self._page("costs", query, query.limit)
        sums = _sum(await self._rows(page.days, names, _filters(query)))
        results = {key: _cost(names, *key, row) for key, row in sums.items() if row.answers}
        return cast("CostBuckets", page.show(results))

    async def _usage(self, kind: Kind, query: OrganizationUsageQuery, known: Sequence[str]) -> UsageBuckets:
        names = _groupings(query, known)
        page = self._page(kind, query, query.limit)
        rows = await self._rows(page.days, names, _filters(query, query.models))
        rows = [one for one in rows if kind_of(one.row) == kind and query.batch in (None, one.row.api == BATCHES)]
        sums = _sum(rows)
        results = {key: _result(kind, names, *key, row) for key, row in sums.items() if row.answers}
        return cast("UsageBuckets", page.show(results))

    def _nothing(self, kind: str, query: OrganizationUsageQuery) -> UsageBuckets:
        """Of what is not counted."""
        _groupings(query, NOT_COUNTED)
        return cast("UsageBuckets", self._page(kind, query, query.limit).show({}))

    def _page(self, kind: str, query: OrganizationQuery, limit: int) -> "Page":
        if query.bucket_width != "1d":
            raise InvalidRequest("Usage is counted by day: `bucket_width` must be 1d.", param="bucket_width")
        digest = digest_of({"kind": kind, **query.model_dump(exclude={"page", "limit"})})
        if query.page is not None:
            whole = read_page(query.page, digest).days
        else:
            today = int(self._clock()) // DAY
            end = (today + 1) * DAY if query.end_time is None else query.end_time
            whole = check_days(
                query.start_time,
                end,
                today=today,
                retention_days=self._retention_days,
                names=("start_time", "end_time"),
            )
        return Page(digest, Days(whole.first, min(whole.last, whole.first + limit - 1)), whole.last)

    async def _rows(self, days: Days, names: Sequence[str], filters: Filters) -> list[DayRow]:
        by: list[Group] = ["day", "model", "api", "operation", *(GROUPS[name] for name in names if name in GROUPS)]
        groups = tuple(dict.fromkeys(by))
        sums = await self._reader.sum(days, groups, filters)
        rows: list[DayRow] = []
        for key, row in sums.items():
            texts = dict(zip(groups, key, strict=True))
            result = tuple(_text(name, texts) for name in names)
            head = UsageRow(texts["model"], "", texts["api"], texts["operation"])
            rows.append(DayRow(int(texts["day"]), result, head + row))
        return rows


@dataclass(frozen=True, slots=True)
class Page:
    """Of `days`, of a query that goes on to the day `last`."""

    digest: str
    days: Days
    last: int

    def show(self, results: Mapping[tuple[int, Result], Mapping[str, Any]]) -> dict[str, Any]:
        """A bucket for each day, with the results of it."""
        more = self.days.last < self.last
        buckets: dict[int, list[Mapping[str, Any]]] = {day: [] for day in range(self.days.first, self.days.last + 1)}
        for (day, _), result in sorted(
            results.items(), key=lambda item: (item[0][0], [text or "" for text in item[0][1]])
        ):
            buckets[day].append(result)
        return {
            "object": "page",
            "data": [
                {"object": "bucket", "start_time": day * DAY, "end_time": (day + 1) * DAY, "results": rows}
                for day, rows in buckets.items()
            ],
            "has_more": more,
            "next_page": write_page(self.digest, Place(Days(self.days.last + 1, self.last))) if more else None,
        }


def kind_of(row: UsageRow) -> Kind | None:
    """What OpenAI would have counted it as; None for what no model answered, and for reranking.

    Where the operation does not tell, as of a vector store's, a model that read and wrote nothing is one of embeddings.
    """
    operation = row.operation.removeprefix(NATIVE)
    if not row.model or operation == "rerank":
        return None
    if operation == MODERATIONS:
        return "moderations"
    if operation in COMPLETIONS or row.completion_tokens or not row.prompt_tokens:
        return "embeddings" if operation == "embeddings" else "completions"
    return "embeddings"


def _groupings(query: OrganizationQuery, known: Sequence[str]) -> list[str]:
    for name in query.group_by:
        if name not in known:
            hint = did_you_mean(name, known) or f"; it is one of {', '.join(known)}"
            raise InvalidRequest(f"`group_by`: there is no grouping `{name}` here{hint}", param="group_by")
    return list(dict.fromkeys(query.group_by))


def _filters(query: OrganizationQuery, models: Sequence[str] = ()) -> Filters:
    values: dict[Dimension, frozenset[str]] = {"model": frozenset(models)} if models else {}
    return Filters({"team": query.project_ids, "user": query.user_ids, "key": query.api_key_ids}, values)


def _text(name: str, texts: Mapping[Group, str]) -> str | None:
    """What a row is under this grouping."""
    match name:
        case "batch":
            return "true" if texts["api"] == BATCHES else "false"
        case "user_id":
            return caller_of(texts["user"]).id
        case _:
            return texts.get(GROUPS[name], "") or None if name in GROUPS else None


def _sum(rows: Iterable[DayRow]) -> dict[tuple[int, Result], UsageRow]:
    """The rows of each day by the groupings; without any all in one, where there are any."""
    sums: dict[tuple[int, Result], UsageRow] = {}
    for one in rows:
        key = one.day, one.result
        sums[key] = sums.get(key, UsageRow()) + one.row
    return sums


def _result(kind: Kind, names: Sequence[str], _: int, values: Result, row: UsageRow) -> UsageResult:
    groups = dict(zip(names, values, strict=True))
    result: UsageResult = {
        "object": f"organization.usage.{kind}.result",
        "input_tokens": row.prompt_tokens,
        "num_model_requests": row.answers,
        "project_id": groups.get("project_id"),
        "user_id": groups.get("user_id"),
        "api_key_id": groups.get("api_key_id"),
        "model": groups.get("model"),
    }
    if kind != "completions":
        return result
    return {
        **result,
        "output_tokens": row.completion_tokens,
        "input_cached_tokens": row.cached_tokens,
        "input_cache_write_tokens": row.cache_write_tokens,
        "input_uncached_tokens": row.prompt_tokens - row.cached_tokens - row.cache_write_tokens,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "batch": groups["batch"] == "true" if "batch" in groups else None,
        "service_tier": None,
    }


def _cost(names: Sequence[str], _: int, values: Result, row: UsageRow) -> CostResult:
    groups, nanos = dict(zip(names, values, strict=True)), cost_of(row)
    return {
        "object": "organization.costs.result",
        "amount": None if nanos is None else {"value": usd_of(nanos), "currency": "usd"},
        "line_item": groups.get("line_item"),
        "project_id": groups.get("project_id"),
        "api_key_id": groups.get("api_key_id"),
        "unpriced_answers": row.unpriced,
    }
