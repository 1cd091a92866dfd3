"""What an upstream's error becomes: whose mistake it is, and what of it the caller is told.

A status that is about the request stays, with the reason; one about our key, our URL or the server's state becomes ours.
docs/adr/0052-errors-by-what-upstreams-say.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from core.config.redact import names_secret
from core.errors import (
    CONTEXT_LENGTH,
    ApiError,
    InvalidRequest,
    NotFound,
    UpstreamExhausted,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)
from core.frame.tracing import REQUEST_ID
from core.providers.http import error_words as words
from core.providers.http.replies import retry_after_header
from core.providers.http.upstream_errors import ErrorReport, clean_message

UNAUTHORIZED: Final = 401
PAYMENT: Final = 402
THROTTLED: Final = 429
REFUSED: Final = frozenset({UNAUTHORIZED, 403})
ABSENT: Final = frozenset({404, 410})
LATE: Final = frozenset({408, 504})
BUSY: Final = frozenset({503, 529})
MENDABLE: Final = frozenset({400, 413, 415, 422})
"""By whoever sent the request."""
OF_CLIENTS: Final = frozenset(range(300, 500))
OF_SERVERS: Final = frozenset(range(500, 600))


@dataclass(frozen=True, slots=True)
class UpstreamError:
    """An error, with status 200 one in the place of an answer, or in a stream.

    `model` is what was asked for, "" where it was none; `source` is that of the `Credentials`, and `secrets` must not be told.
    """

    provider_id: str
    status: int
    report: ErrorReport
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str = ""
    source: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def failure(self) -> ApiError:
        """Of a mistake of the caller's the reason is told, of others only what kind they are."""
        status = self.true_status
        return self._of_account(status) or self._of_request(status) or self._broken(status)

    def _of_account(self, status: int) -> ApiError | None:
        """What is about the key, and what it may, whatever is asked for."""
        if self._is_spent(status):
            return self._spent()
        if words.FILTER_CODES & set(self.report.words):
            return self._mistake(status if status in MENDABLE else 400, code="content_filter")
        if self._refuses_key(status):
            return self._key_failure(status)
        if status != THROTTLED:
            return None
        message = f"Provider `{self.provider_id}` is throttling. Try again later."
        return UpstreamThrottled(message, headers=retry_after_header(self.headers)).quote(
            **self._names("code", "type", "param")
        )

    def _of_request(self, status: int) -> ApiError | None:
        report = self.report
        if words.TOO_LONG_CODES & set(report.words) or words.says_too_long(report.message):
            return self._mistake(400, code=CONTEXT_LENGTH)
        if status in MENDABLE:
            return self._mistake(status)
        if status not in OF_CLIENTS - ABSENT and words.says_mistake(report.message):
            return self._mistake(400)
        if not self._lacks_model(status):
            return None
        missing = NotFound(self.reason or f"Provider `{self.provider_id}` does not have that model.", param="model")
        return missing.quote(**{"code": "model_not_found", **self._names("code", "type", "param")})

    def facts(self, failure: ApiError, reason: str) -> dict[str, str]:
        """Of a line of the log."""
        return {
            "provider": self.provider_id,
            "provider_model": self.model,
            "error_code": failure.code,
            "reason": reason or f"HTTP status {self.status}",
        }

    @property
    def true_status(self) -> int:
        """HTTP's, unless that is a success, or a server's failure of which the body says more; 0 where nobody says."""
        told = self.report.status
        if self.status in OF_CLIENTS:
            return self.status
        if self.status in OF_SERVERS:
            return told if told in OF_CLIENTS else self.status
        return told or words.status_of(self.report.words)

    @property
    def reason(self) -> str:
        """The message, for people to read."""
        return clean_message(self.report.message, self.secrets)

    def _names(self, *names: str) -> dict[str, str]:
        """What the body has of them."""
        texts = {name: clean_message(getattr(self.report, name), self.secrets) for name in names}
        return {name: text for name, text in texts.items() if text}

    def _mistake(self, status: int, code: str = "") -> InvalidRequest:
        mistake = InvalidRequest(self.reason or f"Provider `{self.provider_id}` refused the request as invalid.")
        mistake.status = status
        names = self._names("param") if self.status in OF_SERVERS else self._names("code", "type", "param")
        return mistake.quote(**(names | {"code": code} if code else names))

    def _is_spent(self, status: int) -> bool:
        if status == PAYMENT or words.SPENT_CODES & set(self.report.words):
            return True
        # Google says so of a rate too, and when to come back.
        passes = status == THROTTLED and (retry_after_header(self.headers) or "retry in" in self.report.message)
        return not passes and words.says_spent(self.report.message)

    def _spent(self) -> ApiError:
        if not self.source:
            return UpstreamExhausted(
                f"The stack's account at provider `{self.provider_id}` has no quota or credit left.{self._pointer()}"
            )
        spent = InvalidRequest(
            f"Provider `{self.provider_id}` says that there is no quota or credit left for the key given as {self.source}."
        )
        spent.status = PAYMENT
        return spent.quote(code=UpstreamExhausted.code, type=UpstreamExhausted.type)

    def _refuses_key(self, status: int) -> bool:
        """With 401 or 403, or with a 400 that says so, as Google's and xAI's."""
        return status in REFUSED or (status in MENDABLE and words.says_bad_key(self.report.message))

    def _key_failure(self, status: int) -> ApiError:
        if self.source:
            return InvalidRequest(f"Provider `{self.provider_id}` refused the key given as {self.source}.")
        message = f"Provider `{self.provider_id}` refused the stack's credentials."
        refused = UpstreamFailed(message, unauthorized=status in MENDABLE or status == UNAUTHORIZED)
        refused.fault = f"It refused the stack's key (HTTP {status}): check the key in its config."
        return refused

    def _lacks_model(self, status: int) -> bool:
        """A 404 that speaks of no model is about the URL, which the caller has not chosen."""
        if status not in ABSENT:
            return not status and words.says_no_model(self.report.message)
        if words.MODEL_CODES & set(self.report.words):
            return True
        return bool(self.model) and words.is_about_model(self.report.message, self.model)

    def _broken(self, status: int) -> ApiError:
        if status in LATE:
            return UpstreamTimeout(f"Provider `{self.provider_id}` did not answer in time.")
        kind = f"failed with HTTP status {status}" if status else "sent an error in the place of an answer"
        headers = retry_after_header(self.headers) if status in BUSY else {}
        return UpstreamFailed(f"Provider `{self.provider_id}` {kind}.{self._pointer()}", headers=headers)

    def _pointer(self) -> str:
        """Where the reason is."""
        request = REQUEST_ID.get()
        return (
            f" The operator's log has the reason under request `{request}`." if request and self.report.message else ""
        )


def secrets_of(key: str, headers: Mapping[str, str], userinfo: str) -> tuple[str, ...]:
    """What a call bears that must not be told, the longest first."""
    kept = [value for name, value in headers.items() if names_secret(name) or name.lower().endswith("key")]
    values = [key, userinfo, userinfo.partition(":")[2], *kept]
    parts = {part for value in values for part in (value, value.rpartition(" ")[2])}
    return tuple(sorted(parts, key=len, reverse=True))
