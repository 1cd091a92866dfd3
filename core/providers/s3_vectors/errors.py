"""What S3 Vectors refuses, as failures that a caller may see.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_S3_Vectors.html.
"""

from collections.abc import Generator
from contextlib import contextmanager
import logging
from typing import Final

from core.errors import (
    ApiError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
)
from core.platform.aws_errors import Fault, SetupInvalid, code_of, describe_setup, fault_of
from core.platform.bounded import AnswerTooLarge
from core.providers.aws import failures as aws
from core.providers.http.replies import retry_after_header

log = logging.getLogger(__name__)

FAILURES: Final[dict[Fault, tuple[type[ApiError], str]]] = aws.FAILURES | {
    Fault.PERMISSION: (
        UpstreamFailed,
        "may not be used with the stack's permissions: `llambda iam` prints those that it needs",
    ),
    Fault.MISSING: (NotFound, "has no such index"),
}
BY_CODE: Final[dict[str, tuple[type[ApiError], str]]] = {
    "ServiceQuotaExceededException": (
        UpstreamFailed,
        "has as many indexes or vectors as S3 Vectors allows: give it another `vector_bucket`, or remove stores",
    ),
    "KmsDisabledException": (UpstreamFailed, "cannot use its KMS key, which is disabled"),
    "KmsInvalidKeyUsageException": (UpstreamFailed, "cannot use its KMS key, which is not one for encryption"),
    "KmsInvalidStateException": (UpstreamFailed, "cannot use its KMS key in the state that it is in"),
    "KmsNotFoundException": (UpstreamFailed, "cannot find its KMS key"),
}


@contextmanager
def translate_errors(provider_id: str) -> Generator[None]:
    """What a signed call raises inside leaves as one of `core.errors`; what the service quotes is not logged."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError, SetupInvalid, AnswerTooLarge, TimeoutError, OSError, ValueError) as failure:
        translated = _translate(provider_id, failure)
        translated.reason = code_of(failure)
        facts = {"provider": provider_id, "error_code": translated.code, "reason": translated.reason}
        level = logging.DEBUG if isinstance(translated, NotFound) else logging.WARNING  # of an index that is made then
        log.log(level, "provider %s: %s", provider_id, translated.reason, extra=facts)
        raise translated from failure


def _translate(provider_id: str, failure: Exception) -> ApiError:
    from botocore.exceptions import ClientError

    if isinstance(failure, AnswerTooLarge):
        return UpstreamFailed(f"Provider `{provider_id}` sent an answer that is too large.")
    fault = fault_of(failure)
    if fault is Fault.UNUSABLE:
        return ProviderUnavailable(f"Provider `{provider_id}` {describe_setup(failure, region=aws.REGION)}.")
    own = BY_CODE.get(code_of(failure))
    kind, reason = own or FAILURES[fault]
    message = f"Provider `{provider_id}` {reason}."
    if own or not isinstance(failure, ClientError):
        return kind(message)
    if fault is Fault.REQUEST:
        from core.providers.http.upstream_errors import clean_message

        return InvalidRequest(clean_message(failure.response.get("Error", {}).get("Message", ""), ()) or message)
    if fault not in aws.TOLD_WHEN:
        return kind(message)
    headers = retry_after_header(failure.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
    return (UpstreamThrottled if fault is Fault.THROTTLED else ProviderUnavailable)(message, headers=headers)
