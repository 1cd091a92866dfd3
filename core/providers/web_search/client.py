"""The client of a search engine: one request for each search, and what the vendor's errors mean; apart, since aiohttp costs a cold start."""

from dataclasses import replace
import re
from typing import Any, Final, override

import aiohttp
from pydantic_core import to_json

from core.errors import ApiError, NotFound, UpstreamExhausted, UpstreamFailed, UpstreamThrottled
from core.frame.types import JsonObject
from core.frame.version import VERSION
from core.platform.json_values import is_object, to_object
from core.providers.http.error_words import says_bad_key
from core.providers.http.remote import Credentials, Remote, UpstreamRequest
from core.providers.http.replies import read_json
from core.providers.http.upstream import UpstreamClient
from core.providers.http.upstream_errors import ErrorReport
from core.providers.http.upstream_failures import MENDABLE, REFUSED
from core.providers.web_search.rows import Row

SPENT: Final = UpstreamExhausted.code
COUNTS: Final = re.compile(r"[0-9]{1,9}(?:, ?[0-9]{1,9})*")


class SearchClient(UpstreamClient):
    """Asks one engine. A search is sent once: it has its price."""

    def __init__(self, remote: Remote, row: Row) -> None:
        super().__init__(remote)
        self._row = row
        self._forms = {**row.headers, "User-Agent": f"llambda/{VERSION}"}

    async def search(self, parameters: JsonObject, credentials: Credentials) -> Any:  # noqa: ANN401 - whatever an upstream sent
        """The JSON of the answer; raises what every call of an upstream may, but for a key only UpstreamFailed."""
        row = self._row
        if row.method == "GET":
            query = {name: str(value) for name, value in parameters.items()}
            request = UpstreamRequest("GET", row.path, None, credentials, self._forms, query, row.key_parameter)
        else:
            request = UpstreamRequest("POST", row.path, to_json(parameters), credentials, self._forms)
        try:
            async with self._response(request) as response:
                content = await self._read(response, self._limits.max_bytes)
                answer = read_json(self._remote.provider_id, content, finite=True)
                if (report := self._fault(answer)) is not None:
                    raise self._error(request, response, report)
                return answer
        except ApiError as failure:
            raise failure from None  # aiohttp's exceptions may have the URL in them, which may have the key

    def _fault(self, answer: object) -> ErrorReport | None:
        """The error in an answer that is otherwise a success."""
        fault: object = answer
        for step in self._row.fault:
            fault = to_object(fault).get(step)
        if not self._row.fault or not is_object(fault):
            return None
        return ErrorReport(message=str(fault.get("msg") or ""), code=str(fault.get("code") or ""))

    @override
    def _error(
        self, request: UpstreamRequest, response: aiohttp.ClientResponse, report: ErrorReport, fault: str = ""
    ) -> ApiError:
        if response.status in self._row.spent:
            report = replace(report, code=SPENT)
        failure = super()._error(request, response, report, fault)
        if failure.code != SPENT and self._refuses_key(response.status, report):
            return self._refusal_of_key(request.credentials, failure)
        if isinstance(failure, NotFound):  # which is read as a tool that is gone
            return self._failure("does not have what was asked for")
        if isinstance(failure, UpstreamThrottled) and "retry-after" not in failure.headers:
            failure.headers |= self._rest_of_window(response)
        return failure

    def _refuses_key(self, status: int, report: ErrorReport) -> bool:
        if status in REFUSED or report.code in self._row.refused:
            return True
        return status in MENDABLE and says_bad_key(report.message)

    def _refusal_of_key(self, credentials: Credentials, told: ApiError) -> UpstreamFailed:
        """Never the caller's 401, nor a mistake in what it asks for: a tool's server refused the credentials that it was given."""
        whose = f"the key given as {credentials.source}" if credentials.source else "the stack's credentials"
        refused = UpstreamFailed(
            f"Provider `{self._remote.provider_id}` refused {whose}.", unauthorized=not credentials.source
        )
        refused.reason, refused.fault = told.reason, told.fault
        return refused

    def _rest_of_window(self, response: aiohttp.ClientResponse) -> dict[str, str]:
        """Retry-After of a vendor that says of each window what is left in it and when it ends."""
        texts = [response.headers.get(name, "") for name in (self._row.remaining, self._row.reset)]
        if not all(COUNTS.fullmatch(text) for text in texts):
            return {}
        remaining, seconds = ([int(number) for number in text.split(",")] for text in texts)
        over = [wait for count, wait in zip(remaining, seconds, strict=False) if not count]
        return {"retry-after": str(max(over))} if over else {}
