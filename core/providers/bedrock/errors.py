"""What Bedrock and its SDK raise, as failures that a caller may see; the same before a stream's first byte and after.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html.
"""

from collections.abc import Generator
from contextlib import contextmanager
import logging
from typing import TYPE_CHECKING, Final

from core.errors import (
    ApiError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

log = logging.getLogger(__name__)

MOST_QUOTED: Final = 500  # characters of Bedrock's message that a caller sees

REFUSED: Final = (UpstreamFailed, "refused the stack's credentials")
THROTTLED: Final = (UpstreamThrottled, "is throttling. Try again later")
BROKEN: Final = (UpstreamFailed, "failed to answer")
DOWN: Final = (ProviderUnavailable, "is not available at the moment")
SLOW: Final = (UpstreamTimeout, "did not answer in time")

CODES: Final[dict[str, tuple[type[ApiError], str]]] = {
    "AccessDeniedException": REFUSED,
    "AccessDenied": REFUSED,  # as STS spells it
    "ExpiredToken": REFUSED,
    "ExpiredTokenException": REFUSED,
    "IncompleteSignature": REFUSED,
    "InvalidClientTokenId": REFUSED,
    "InvalidSignatureException": REFUSED,
    "MissingAuthenticationTokenException": REFUSED,
    "NotAuthorized": REFUSED,
    "OptInRequired": REFUSED,
    "SignatureDoesNotMatch": REFUSED,
    "UnrecognizedClientException": REFUSED,
    "ValidationException": (InvalidRequest, "refused the request as invalid"),
    "ValidationError": (InvalidRequest, "refused the request as invalid"),
    "ResourceNotFoundException": (NotFound, "does not have that model or guardrail"),
    "Throttling": THROTTLED,  # as STS spells it
    "ThrottlingException": THROTTLED,
    "ServiceQuotaExceededException": THROTTLED,
    "ModelNotReadyException": THROTTLED,
    "ModelTimeoutException": SLOW,
    "ModelErrorException": BROKEN,
    "ModelStreamErrorException": BROKEN,
    "InternalServerException": BROKEN,
    "InternalFailure": BROKEN,
    "ServiceUnavailableException": DOWN,
    "ServiceUnavailable": DOWN,
}
SDK: Final = {
    "NoCredentialsError": "cannot be used: no AWS credentials were found; configure keys, a profile or a role",
    "PartialCredentialsError": "cannot be used: the AWS credentials are incomplete",
    "CredentialRetrievalError": "cannot be used: the AWS credentials could not be fetched",
    "NoRegionError": "cannot be used: no AWS region is set (`region_name` in its config, or AWS_DEFAULT_REGION)",
    "ProfileNotFound": "cannot be used: there is no AWS profile of its `profile_name`",
}


@contextmanager
def translated(provider_id: str) -> Generator[None]:
    """What the SDK, its HTTP client or its frame parser raises inside leaves as one of `core.errors`."""
    from aiohttp import ClientError as HttpError
    from botocore import exceptions as sdk
    from botocore.eventstream import ParserError
    from botocore.parsers import ResponseParserError

    # The last two are how the SDK's parser fails at JSON of another shape than it knows.
    unreadable = (ParserError, ResponseParserError, UnicodeError, AttributeError, TypeError)
    try:
        yield
    except sdk.ClientError as refusal:
        raise _refusal(provider_id, refusal) from refusal
    except sdk.ParamValidationError as invalid:
        raise InvalidRequest(str(invalid)[:MOST_QUOTED]) from invalid
    except (sdk.BotoCoreError, HttpError, TimeoutError, *unreadable) as failure:
        kind, reason = _of(failure)
        log.warning("provider %s: %s", provider_id, type(failure).__name__)
        raise kind(f"Provider `{provider_id}` {reason}.") from failure


def _of(failure: Exception) -> tuple[type[ApiError], str]:
    from botocore import exceptions as sdk

    match failure:
        case sdk.ReadTimeoutError() | TimeoutError():
            return SLOW
        case sdk.ConnectionError() | sdk.HTTPClientError():
            return ProviderUnavailable, "could not be reached; check its region_name, and endpoint_url if it has one"
        case sdk.BotoCoreError():
            name = type(failure).__name__
            return ProviderUnavailable, SDK.get(name, f"cannot be used: {name}")
        case _:
            return UpstreamFailed, "broke off its answer"


def _refusal(provider_id: str, refusal: "ClientError") -> ApiError:
    error = refusal.response.get("Error", {})
    code = error.get("Code", "")
    code = code[:1].upper() + code[1:]  # in a stream an exception's name begins with a small letter
    log.warning("provider %s answered %s", provider_id, code)
    kind, reason = CODES.get(code) or _by_status(refusal)
    if refusal.operation_name == "AssumeRole" and kind is InvalidRequest:  # the caller chose nothing of it
        kind, reason = REFUSED
    message = f"Provider `{provider_id}` {reason}."
    if kind is InvalidRequest:
        message = error.get("Message", "")[:MOST_QUOTED] or message
    headers = refusal.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    after = headers.get("retry-after") if kind is UpstreamThrottled else None
    return kind(message, headers={"retry-after": after} if after else None)


def _by_status(refusal: "ClientError") -> tuple[type[ApiError], str]:
    """A code that is not documented, or one that a proxy in between made of its status."""
    status = refusal.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    known = {401: REFUSED, 403: REFUSED, 408: SLOW, 429: THROTTLED, 503: DOWN, 504: SLOW}
    return known.get(status, BROKEN)
