"""Every failure a caller can see, with the HTTP status and the OpenAI error code it becomes.

ApiError
├── InvalidRequest        400   param names the field; 402, 413, 415 or 422 where a provider said that of a request
├── ContentRefused        400   a shield found a violation, and the answer has no place for a refusal
├── Unauthenticated       401   carries WWW-Authenticate
├── PermissionDenied      403
│   └── PriceUnknown      403   a model without a price, for who has a limit of money
├── NotFound              404
├── MethodNotAllowed      405   carries Allow
├── Conflict              409   a registration that is there with other content
├── ConversationLocked    409   carries Retry-After, seconds: a response is made of the conversation
├── StaleRevision         409   a write over a revision that is no longer the newest; has the newest
├── AnswerUnderWay        409   carries Retry-After, seconds: an earlier call with the same Idempotency-Key
├── BodyTooLarge          413
├── DocumentTooLarge      413
├── LimitReached          413   or 429: more than the caller may keep; the code names the limit
├── UnsupportedMediaType  415
├── RangeNotSatisfiable   416   carries Content-Range
├── KeyReused             422   an Idempotency-Key that came with another request before
├── HeadTooLarge          431   a request line and headers without an end
├── QuotaExceeded         429   carries Retry-After, seconds; its body is Llama Stack's
├── ToolServerFailed      424   a server of tools that a request names could not list them
├── UpstreamThrottled     429   carries Retry-After, seconds, when the provider sent one
├── UpstreamFailed        502   a provider answered badly, or refused our credentials; may carry its Retry-After
│   └── UpstreamExhausted 502   the operator's account there has no quota or credit left: asking again is in vain
├── ProviderUnavailable   503   a provider could not be reached
│   └── SecretUnavailable 503   the secret that it needs is not to be had; the message names it
├── AuthUnavailable       503   the issuer or endpoint that vouches for callers could not be asked
├── QuotaUnavailable      503   the counters could not be reached
├── IdempotencyUnavailable 503  the answers under idempotency keys could not be reached
├── StateUnavailable      503   carries Retry-After, seconds: documents, blobs, jobs or the queue could not be reached
├── ServerStopping        503   carries Retry-After, seconds: the process ends before the answer did
└── UpstreamTimeout       504   a provider did not answer in time

The bodies follow https://platform.openai.com/docs/guides/error-codes, so that the `openai` client raises the right exception class:
`type` and `code` come with the class, or with what a provider said; `param` with the instance. What is sent has the request's id too.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self, override

RETRY_SECONDS: Final = 5
MOST_MESSAGE: Final = 2000  # bytes of what a caller reads, whoever wrote it
MOST_PARAM: Final = 256  # bytes
MOST_CODE: Final = 128  # bytes of a code or a type that a provider gave
CONTEXT_LENGTH: Final = "context_length_exceeded"  # OpenAI's code for more tokens than a model takes
PLAIN: Final = "\n\t\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}"  # which Python does not call printable

type JsonBody = dict[str, dict[str, Any]]


def shorten(text: str, most: int) -> str:
    """`text`, of at most `most` bytes of UTF-8; control characters and lone surrogates are escaped, but line breaks."""
    cut = text[:most]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() or c in PLAIN else c.encode("unicode_escape").decode() for c in cut)
    if len(text) <= most and len(cut.encode()) <= most:
        return cut
    return cut.encode()[: most - len("…".encode())].decode(errors="ignore") + "…"


class ApiError(Exception):
    """A failure that is safe to show to the caller; anything else becomes a bare 500."""

    fault: str = ""  # what is wrong with an upstream, for the operator: it is in no body
    provider_id: str = ""  # of whom it is, for the log, where no provider was asked for an answer
    reason: str = ""  # what an upstream said, or did, for the log alone: one line without secrets
    status: int = 500
    type: str = "server_error"
    code: str = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Keep what the caller will read, cut to a bound; `param` is the path of the field at fault."""
        message = shorten(message, MOST_MESSAGE)
        super().__init__(message)
        self.message = message
        self.param = None if param is None else shorten(param, MOST_PARAM)
        self.headers: dict[str, str] = dict(headers or {})

    def quote(self, *, code: str = "", type: str = "", param: str = "") -> Self:  # noqa: A002 - OpenAI's name
        """Itself, with a provider's words in the place of the class's; what is empty is as before."""
        self.code = shorten(code, MOST_CODE) or self.code
        self.type = shorten(type, MOST_CODE) or self.type
        self.param = shorten(param, MOST_PARAM) or self.param
        return self

    def body(self) -> JsonBody:
        """The one error body of every route, but that of QuotaExceeded: `{"error": {message, type, param, code}}`."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class CallersFault(ApiError):
    type = "invalid_request_error"
    code = "request_refused"


class InvalidRequest(CallersFault):
    status = 400
    code = "invalid_request"


class ContentRefused(InvalidRequest):
    code = "content_filter"


class Unauthenticated(CallersFault):
    status = 401
    code = "unauthenticated"

    def __init__(self, message: str, *, error: str = "invalid_token") -> None:
        """`error` is RFC 6750's (3.1): invalid_token, or invalid_request without a usable one. `message` is a quoted string in the header too: no part of the token, no quote, no backslash."""
        challenge = f'Bearer error="{error}", error_description="{message}"'
        super().__init__(message, headers={"www-authenticate": challenge})


class PermissionDenied(CallersFault):
    status = 403
    code = "permission_denied"


class PriceUnknown(PermissionDenied):
    code = "price_unknown"


class NotFound(CallersFault):
    status = 404
    code = "not_found"


class MethodNotAllowed(CallersFault):
    status = 405
    code = "method_not_allowed"

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        """Name what the route does answer, in the message and in Allow (RFC 9110, 15.5.6)."""
        allow = ", ".join(sorted(allowed))
        super().__init__(f"Method {method} is not allowed here. Allowed: {allow}.", headers={"allow": allow})


class Conflict(CallersFault):
    status = 409
    code = "conflict"


class LimitBelowUse(Conflict):
    code = "limit_below_use"


class ConversationLocked(Conflict):
    code = "conversation_locked"

    def __init__(self, *, retry_after: int) -> None:
        message = "A response is being made of this conversation. Wait until it has ended, and send the request again."
        super().__init__(message, param="conversation", headers={"retry-after": str(retry_after)})


class StaleRevision(Conflict):
    code = "stale_revision"

    def __init__(self, name: str, current: Mapping[str, Any] | None = None) -> None:
        """`name` says of what; `current` is what the caller may see of the newest revision, None where it is gone."""
        super().__init__(
            f"{name} is gone."
            if current is None
            else f"{name} was changed since it was read. Read it again; `current` has what is there."
        )
        self.current = current

    @override
    def body(self) -> JsonBody:
        body = super().body()
        body["error"]["current"] = self.current
        return body


class AnswerUnderWay(CallersFault):
    status = 409
    code = "idempotency_key_in_use"

    def __init__(self, *, retry_after: int) -> None:
        message = "A request with this Idempotency-Key is being answered; ask again for its answer."
        super().__init__(message, headers={"retry-after": str(retry_after)})


class BodyTooLarge(CallersFault):
    status = 413
    code = "body_too_large"

    def __init__(self, limit: int, advice: str = "") -> None:
        message = f"The request body is larger than {limit} bytes, the most that this endpoint takes."
        super().__init__(f"{message} {advice}".rstrip())


class DocumentTooLarge(CallersFault):
    status = 413
    code = "document_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"It has more than {limit} bytes as JSON, the most that is kept in one piece.")


class LimitReached(ApiError):
    status = 429
    type = "insufficient_quota"
    code = "limit_reached"

    def __init__(self, limit: str, message: str, *, status: int = 429) -> None:
        """`limit` is its name in the run config's `server.quota`."""
        super().__init__(message, headers={"x-should-retry": "false"})  # the caller must delete something first
        self.code = f"{limit}_reached"
        self.status = status


class UnsupportedMediaType(CallersFault):
    status = 415
    code = "unsupported_media_type"


class RangeNotSatisfiable(CallersFault):
    status = 416
    code = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        """`size` is how many bytes there are."""
        super().__init__(f"There are no such bytes: it has {size}.", headers={"content-range": f"bytes */{size}"})


class KeyReused(CallersFault):
    status = 422
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key came with another request before; a new request needs a new key.")


class HeadTooLarge(CallersFault):
    status = 431
    code = "head_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request line and the headers have at most {limit} bytes.")


class QuotaExceeded(ApiError):
    status = 429
    type = "rate_limit_error"
    code = "quota_exceeded"
    final: bool = False  # no window has as much: asking again is in vain

    def __init__(self, *, retry_after: int, headers: Mapping[str, str] | None = None, reason: str = "") -> None:
        """`retry_after` is in seconds, to the end of the window; `headers` are the RateLimit ones."""
        super().__init__(f"Quota exceeded{reason}", headers={"retry-after": str(retry_after), **(headers or {})})

    @override
    def body(self) -> JsonBody:
        """Exactly what Llama Stack answers: the message alone."""
        return {"error": {"message": self.message}}


class TooManyStreams(ApiError):
    status = 429
    type = "rate_limit_error"
    code = "too_many_streams"

    def __init__(self, most: int) -> None:
        """`most` is how many the caller may have open at a time."""
        message = f"You may have {most} streams open at a time. Close one, or wait until one has ended."
        super().__init__(message, headers={"retry-after": str(RETRY_SECONDS)})


class ToolServerFailed(ApiError):
    status = 424  # as OpenAI has it: at a 502 clients ask again
    type = "external_connector_error"
    code = "http_error"


class UpstreamThrottled(ApiError):
    status = 429
    type = "rate_limit_error"
    code = "upstream_rate_limit_exceeded"


class UpstreamFailed(ApiError):
    status = 502
    code = "upstream_error"

    def __init__(self, message: str, *, unauthorized: bool = False, headers: Mapping[str, str] | None = None) -> None:
        """`unauthorized`: it answered 401 to our credentials, which may have been replaced since they were read."""
        super().__init__(message, headers=headers)
        self.unauthorized = unauthorized


class UpstreamExhausted(UpstreamFailed):
    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(self, message: str) -> None:
        """Its header keeps the clients that OpenAI and Llama Stack publish from asking again."""
        super().__init__(message, headers={"x-should-retry": "false"})


class ProviderUnavailable(ApiError):
    status = 503
    code = "provider_unavailable"


class SecretUnavailable(ProviderUnavailable):
    code = "secret_unavailable"

    def __init__(self, message: str, *, final: bool = False) -> None:
        """`final`: asking again would not change it, and what was read before is of no use any more."""
        super().__init__(message)
        self.final = final


class AuthUnavailable(ApiError):
    status = 503
    code = "auth_unavailable"


class QuotaUnavailable(ApiError):
    status = 503
    code = "quota_unavailable"


class IdempotencyUnavailable(ApiError):
    status = 503
    code = "idempotency_unavailable"


class StateUnavailable(ApiError):
    status = 503
    code = "state_unavailable"

    def __init__(self, message: str, *, retry_after: int = RETRY_SECONDS) -> None:
        super().__init__(message, headers={"retry-after": str(retry_after)})


class ServerStopping(ApiError):
    status = 503
    code = "server_stopping"

    def __init__(self) -> None:
        super().__init__("The server stops, and the answer is not whole. Ask again.", headers={"retry-after": "1"})


class UpstreamTimeout(ApiError):
    status = 504
    code = "upstream_timeout"
