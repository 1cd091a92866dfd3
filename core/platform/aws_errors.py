"""What AWS's SDK raises, sorted into faults, of which each adapter makes the failures that its callers see.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html.
"""

from enum import Enum, auto
import re
from typing import Final


class Fault(Enum):
    """Whose fault it is, or where."""

    CREDENTIALS = auto()  # which are refused
    PERMISSION = auto()  # the credentials are good, but not for this
    REQUEST = auto()
    MISSING = auto()  # what the request is about
    THROTTLED = auto()
    SLOW = auto()
    BROKEN = auto()  # the service, and every code that is not known
    DOWN = auto()
    UNREACHABLE = auto()
    UNUSABLE = auto()  # how it is set up here; `describe_setup` says what is wrong
    UNREADABLE = auto()  # an answer that the SDK cannot parse, or not to its end


REASONS: Final = {
    Fault.MISSING: "does not exist in this account and region",
    Fault.PERMISSION: "may not be used with this deployment's permissions",
    Fault.CREDENTIALS: "refused this deployment's credentials",
    Fault.THROTTLED: "is throttling; try again in a moment",
    Fault.UNREACHABLE: "cannot be reached",
    Fault.SLOW: "cannot be reached",
}
"""Of a table, a bucket or a queue, as the end of a sentence."""


class SetupInvalid(Exception):
    """What the SDK itself does not say as one of its own."""


class EndpointInvalid(SetupInvalid):
    """`endpoint_url` is no URL, which the SDK says with a bare ValueError."""


class TokenFileUnreadable(SetupInvalid):
    """The token of a web identity cannot be read."""


CODES: Final = {
    "AccessDenied": Fault.PERMISSION,  # as STS spells it
    "AccessDeniedException": Fault.PERMISSION,
    "NotAuthorized": Fault.PERMISSION,
    "OptInRequired": Fault.PERMISSION,
    "AllAccessDisabled": Fault.PERMISSION,
    "ExpiredToken": Fault.CREDENTIALS,
    "ExpiredTokenException": Fault.CREDENTIALS,
    "IncompleteSignature": Fault.CREDENTIALS,
    "InvalidAccessKeyId": Fault.CREDENTIALS,  # as S3 spells it
    "InvalidClientTokenId": Fault.CREDENTIALS,
    "InvalidSignatureException": Fault.CREDENTIALS,
    "InvalidToken": Fault.CREDENTIALS,
    "InvalidIdentityToken": Fault.CREDENTIALS,  # of a web identity
    "IDPRejectedClaim": Fault.CREDENTIALS,
    "IDPCommunicationError": Fault.DOWN,
    "MissingAuthenticationTokenException": Fault.CREDENTIALS,
    "SignatureDoesNotMatch": Fault.CREDENTIALS,
    "UnrecognizedClientException": Fault.CREDENTIALS,
    "ValidationError": Fault.REQUEST,
    "ValidationException": Fault.REQUEST,
    "NoSuchBucket": Fault.MISSING,
    "AWS.SimpleQueueService.NonExistentQueue": Fault.MISSING,
    "QueueDoesNotExist": Fault.MISSING,
    "NotFoundException": Fault.MISSING,  # as S3 Vectors spells it
    "ResourceNotFoundException": Fault.MISSING,
    "ModelNotReadyException": Fault.THROTTLED,
    "ProvisionedThroughputExceededException": Fault.THROTTLED,
    "RequestLimitExceeded": Fault.THROTTLED,
    "ServiceQuotaExceededException": Fault.THROTTLED,
    "SlowDown": Fault.THROTTLED,
    "Throttling": Fault.THROTTLED,  # as STS spells it
    "ThrottlingException": Fault.THROTTLED,
    "TooManyRequestsException": Fault.THROTTLED,
    "ModelTimeoutException": Fault.SLOW,
    "RequestTimeout": Fault.SLOW,
    "RequestTimeoutException": Fault.SLOW,
    "InternalFailure": Fault.BROKEN,
    "InternalServerException": Fault.BROKEN,
    "ModelErrorException": Fault.BROKEN,
    "ModelStreamErrorException": Fault.BROKEN,
    "ServiceUnavailable": Fault.DOWN,
    "ServiceUnavailableException": Fault.DOWN,
}
STATUSES: Final = {
    401: Fault.CREDENTIALS,
    403: Fault.CREDENTIALS,
    408: Fault.SLOW,
    429: Fault.THROTTLED,
    503: Fault.DOWN,
    504: Fault.SLOW,
}
"""Of a code that is not documented, or one that a proxy in between made of its status."""

SETUP: Final = {
    "NoCredentialsError": "no AWS credentials were found; configure keys, a profile or a role",
    "PartialCredentialsError": "the AWS credentials are incomplete",
    "CredentialRetrievalError": "the AWS credentials could not be fetched",
    "InvalidRegionError": "its AWS region is not the name of a region",
    "ProfileNotFound": "there is no AWS profile of its `profile_name`",
    "TokenFileUnreadable": "its `aws_web_identity_token_file` cannot be read",
    "EndpointInvalid": "its endpoint_url is not a URL",
}

NEWEST_BOTOCORE: Final = "1.43"
"""Of the locks, which knows every field that is sent; a plain `pip install llambda` has an older one (docs/adr/0033)."""
UNKNOWN_FIELD: Final = re.compile(r'^Unknown parameter in (\S+): "([^"]+)"', re.MULTILINE)


def fault_of(failure: Exception) -> Fault:
    """Of what the SDK raises, its HTTP client, its parser, or a timeout around it."""
    from botocore import exceptions as sdk

    match failure:
        case sdk.ClientError():
            status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return CODES.get(code_of(failure)) or STATUSES.get(status, Fault.BROKEN)
        case sdk.ParamValidationError():
            return Fault.REQUEST
        case sdk.ReadTimeoutError() | TimeoutError():
            return Fault.SLOW
        case sdk.ConnectionError() | sdk.HTTPClientError():
            return Fault.UNREACHABLE
        case sdk.BotoCoreError() | SetupInvalid():
            return Fault.UNUSABLE
        case _:
            return Fault.UNREADABLE


def code_of(failure: Exception) -> str:
    """The service's code for it, or the SDK's name."""
    from botocore.exceptions import ClientError

    if not isinstance(failure, ClientError):
        return type(failure).__name__
    code = failure.response.get("Error", {}).get("Code", "")
    return code[:1].upper() + code[1:]  # in a stream an exception's name begins with a small letter


def describe_setup(failure: Exception, *, region: str) -> str:
    """What is wrong, as the end of a sentence; `region` is the setting that names the region, and where it is."""
    name = type(failure).__name__
    if name == "NoRegionError":
        return f"cannot be used: no AWS region is set ({region}, or AWS_DEFAULT_REGION)"
    return f"cannot be used: {SETUP.get(name, name)}"


def describe_failure(failure: Exception, *, region: str) -> str:
    """What is wrong with a table, a bucket or a queue, as the end of a sentence; `region` as of `describe_setup`."""
    fault = fault_of(failure)
    if fault is Fault.UNUSABLE:
        return describe_setup(failure, region=region)
    return REASONS.get(fault, f"answered with an error: {code_of(failure)}")


def describe_missing_fields(failure: Exception) -> str:
    """What to install where the SDK refused to send fields because it is too old to know them; else empty text."""
    import botocore
    from botocore.exceptions import ParamValidationError

    report = str(failure.kwargs["report"]) if isinstance(failure, ParamValidationError) else ""
    fields = [name if path == "input" else f"{path}.{name}" for path, name in UNKNOWN_FIELD.findall(report)]
    if not fields:
        return ""
    return (
        f"The request uses {', '.join(f'`{field}`' for field in fields)}, which needs botocore {NEWEST_BOTOCORE} or newer; "
        f"this installation has {botocore.__version__}: pip install -U aiobotocore boto3"
    )
