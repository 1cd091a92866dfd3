"""What Lambda refuses, as failures that a caller may see; what a function itself fails of is a result.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors.
"""

from collections.abc import Generator
from contextlib import contextmanager
import logging
from typing import Final

from core.errors import (
    ApiError,
    InvalidRequest,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)
from core.platform.aws_errors import Fault, SetupInvalid, code_of, describe_setup, fault_of
from core.platform.bounded import AnswerTooLarge
from core.providers.aws import failures as aws
from core.providers.http.replies import retry_after_header

log = logging.getLogger(__name__)

NOT_READY: Final = "is being changed, or is not ready yet. Try again in a moment"
NOT_ALLOWED: Final = (
    "may not be called: the stack's role needs `lambda:InvokeFunction` on it, which `llambda iam` prints, and for one of another account its own "
    "policy must allow that role"
)
FAILURES: Final[dict[Fault, tuple[type[ApiError], str]]] = aws.FAILURES | {
    Fault.PERMISSION: (
        UpstreamFailed,
        NOT_ALLOWED,
    ),
    Fault.MISSING: (
        ProviderUnavailable,
        "is not there: correct `function` in its provider's config, with the alias or the version if it has one, or `region_name`",
    ),
    Fault.THROTTLED: (UpstreamThrottled, "has as many calls at once as it may have. Try again later"),
    Fault.SLOW: (
        UpstreamTimeout,
        "did not answer in time, and may still be at work; `read_timeout` of its provider's config says how long a call may take",
    ),
}
OF_LAMBDA: Final = frozenset({Fault.CREDENTIALS, Fault.DOWN, Fault.UNREACHABLE})
"""Faults that are no single function's."""
BY_CODE: Final[dict[str, tuple[type[ApiError], str]]] = {
    "RequestTooLargeException": (InvalidRequest, "takes arguments of at most 6 MB"),
    "ResourceConflictException": (ProviderUnavailable, NOT_READY),
    "ResourceNotReadyException": (ProviderUnavailable, NOT_READY),
    "SnapStartNotReadyException": (ProviderUnavailable, NOT_READY),
    "SnapStartTimeoutException": (ProviderUnavailable, NOT_READY),
    "RecursiveInvocationException": (
        UpstreamFailed,
        "was not called: Lambda has seen it call itself through this stack, and stopped that",
    ),
    "KMSAccessDeniedException": (UpstreamFailed, "cannot read its environment: its role may not use the KMS key"),
    "KMSDisabledException": (UpstreamFailed, "cannot read its environment: the KMS key is disabled"),
    "KMSNotFoundException": (UpstreamFailed, "cannot read its environment: the KMS key is not there"),
    "SubnetIPAddressLimitReachedException": (ProviderUnavailable, "finds no free address in the subnets of its VPC"),
}


@contextmanager
def translate_errors(provider_id: str, target: str) -> Generator[None]:
    """What a signed call raises inside leaves as one of `core.errors`; what the service quotes, as ARNs, is neither logged nor told."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError, SetupInvalid, AnswerTooLarge, TimeoutError, OSError, ValueError) as failure:
        translated = _translate(provider_id, target, failure)
        translated.reason = code_of(failure)
        facts = {"provider": provider_id, "error_code": translated.code, "reason": translated.reason}
        log.warning("provider %s: function %s: %s", provider_id, target, translated.reason, extra=facts)
        raise translated from failure


def _translate(provider_id: str, target: str, failure: Exception) -> ApiError:
    from botocore.exceptions import ClientError

    if isinstance(failure, AnswerTooLarge):
        return UpstreamFailed(f"Function `{target}` of provider `{provider_id}` sent an answer that is too large.")
    fault = fault_of(failure)
    if fault is Fault.UNUSABLE:
        return ProviderUnavailable(f"Provider `{provider_id}` {describe_setup(failure, region=aws.REGION)}.")
    own = BY_CODE.get(code_of(failure))
    kind, reason = own or FAILURES[fault]
    of_lambda = fault in OF_LAMBDA and not own
    message = f"{'Provider' if of_lambda else f'Function `{target}` of provider'} `{provider_id}` {reason}."
    if own or fault not in aws.TOLD_WHEN or not isinstance(failure, ClientError):
        return kind(message)
    headers = retry_after_header(failure.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
    return (UpstreamThrottled if fault is Fault.THROTTLED else ProviderUnavailable)(message, headers=headers)
