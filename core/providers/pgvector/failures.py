"""What PostgreSQL and the RDS Data API refuse, as failures that a caller may see; what they quote is for the log alone.

Sources: https://www.postgresql.org/docs/current/errcodes-appendix.html,
https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/CommonErrors.html.
"""

from collections.abc import Generator
from contextlib import contextmanager
import logging
from typing import Final

from core.errors import (
    ApiError,
    Conflict,
    InvalidRequest,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)
from core.platform.aws_errors import Fault, SetupInvalid, code_of, describe_setup, fault_of
from core.platform.bounded import AnswerTooLarge
from core.providers.aws import failures as aws
from core.providers.pgvector.database import ConnectionLost, SqlRefused

log = logging.getLogger(__name__)

type Told = tuple[type[ApiError], str]

SOON: Final = {"retry-after": "2"}
CHANGED: Final[Told] = (
    UpstreamFailed,
    "found the table of this vector store changed by somebody else: undo the change, or delete the store and fill another",
)
BY_STATE: Final[dict[str, Told]] = {
    "22000": (
        Conflict,
        "has vectors of other dimensions in this store than its embedding model makes: use the model that it was made with, or make another store",
    ),
    "25006": (UpstreamFailed, "is connected to a database that is read-only: name the writer"),
    "28000": (UpstreamFailed, "refused the stack's user: check `user`, `password` and `ssl`"),
    "28P01": (UpstreamFailed, "refused the stack's user or password"),
    "3D000": (UpstreamFailed, "has no such database: make it, or name another as `db`"),
    "42501": (
        UpstreamFailed,
        "does not let the stack's user do this: grant it USAGE and CREATE on the schema of `db_schema`, and the tables in it",
    ),
    "42P01": (UpstreamFailed, "has lost the tables of its vector stores while they were used. Try again"),
    "42P18": CHANGED,
    "42P17": CHANGED,
    "42704": (
        UpstreamFailed,
        "does not know a type or the `language` of its config: pgvector must be in the user's search path, and the language in pg_ts_config",
    ),
    "53100": (UpstreamFailed, "has no room left on its disk"),
    "53200": (ProviderUnavailable, "has no memory left. Try again later"),
    "53300": (
        ProviderUnavailable,
        "takes no more connections: lower `pool_max_size`, or raise max_connections of the database",
    ),
    "57014": (
        UpstreamTimeout,
        "stopped the statement at its `statement_timeout`: ask for fewer results, or raise the timeout",
    ),
}
BY_CLASS: Final[dict[str, Told]] = {
    "22": CHANGED,
    "23": CHANGED,
    "42": CHANGED,
    "40": (ProviderUnavailable, "has too many writers of the same at once. Try again in a moment"),
    "53": (ProviderUnavailable, "has no resources left. Try again later"),
    "54": (InvalidRequest, "takes no chunk as large as this: make smaller chunks"),
}
FAULTS: Final[dict[Fault, Told]] = aws.FAILURES | {
    Fault.PERMISSION: (
        UpstreamFailed,
        "may not be used with the stack's permissions: `llambda iam` prints those that it needs",
    ),
    Fault.MISSING: (ProviderUnavailable, "has no such cluster: check its `resource_arn`"),
}
BY_CODE: Final[dict[str, Told]] = {
    "BadRequestException": (UpstreamFailed, "refused the statement"),
    "DatabaseErrorException": (UpstreamFailed, "failed at the statement"),
    "DatabaseNotFoundException": (ProviderUnavailable, "has no instance in its cluster: add a writer"),
    "DatabaseUnavailableException": (ProviderUnavailable, "has no writer that is available. Try again in a moment"),
    "ForbiddenException": FAULTS[Fault.PERMISSION],
    "HttpEndpointNotEnabledException": (
        ProviderUnavailable,
        "has no Data API at its cluster. Turn it on: aws rds enable-http-endpoint --resource-arn with the `resource_arn`",
    ),
    "InvalidResourceStateException": (ProviderUnavailable, "has a cluster that is not in a state to answer"),
    "InvalidSecretException": (UpstreamFailed, "has no user and password in the secret of its `secret_arn`"),
    "NotFoundException": FAULTS[Fault.MISSING],
    "SecretsErrorException": (
        UpstreamFailed,
        "cannot read the secret of its `secret_arn`: it must be there, and readable",
    ),
    "ServiceUnavailableError": (ProviderUnavailable, "is not available at the moment"),
    "StatementTimeoutException": (
        UpstreamTimeout,
        "stopped the statement after the 45 seconds of the Data API: ask for fewer results",
    ),
    "UnsupportedResultException": (
        UpstreamFailed,
        "has a chunk of more than the 64 KB that the Data API answers: read it over a connection, or put smaller chunks",
    ),
}
NO_TRANSACTION: Final = frozenset({"TransactionNotFoundException"})


def refusal_of(provider_id: str, refusal: SqlRefused) -> ApiError:
    """Of the dimension that a vector must have PostgreSQL itself says nothing but in English words."""
    kind, reason = BY_STATE.get(refusal.state) or BY_CLASS.get(refusal.state[:2]) or (UpstreamFailed, "failed")
    if refusal.state == "22000" and "dimensions" not in refusal.text:
        kind, reason = CHANGED
    log.warning(
        "provider %s: SQLSTATE %s", provider_id, refusal.state, extra={"provider": provider_id, "reason": refusal.state}
    )
    failure = kind(f"Provider `{provider_id}` {reason}.")
    failure.reason = refusal.state
    return failure


def loss_of(provider_id: str, lost: ConnectionLost) -> ApiError:
    log.warning("provider %s: %s", provider_id, lost.text, extra={"provider": provider_id, "reason": "connection lost"})
    after = " It is not known whether the last write was done; doing it again does no harm." if lost.done else ""
    return ProviderUnavailable(
        f"Provider `{provider_id}` cannot reach its database, or it is restarting. Try again in a moment; if it stays so, check where its config says that it is.{after}",
        headers=SOON,
    )


@contextmanager
def translate_aws_errors(provider_id: str) -> Generator[None]:
    """What a call of the Data API raises inside leaves as one of `core.errors`, or as ConnectionLost."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError, SetupInvalid, AnswerTooLarge, TimeoutError, OSError, ValueError) as failure:
        code = code_of(failure)
        if code in NO_TRANSACTION:
            raise ConnectionLost(code, done=True) from failure
        log.warning("provider %s: %s", provider_id, code, extra={"provider": provider_id, "reason": code})
        translated = _translate(provider_id, failure, code)
        translated.reason = code
        raise translated from failure


def _translate(provider_id: str, failure: Exception, code: str) -> ApiError:
    if isinstance(failure, AnswerTooLarge):
        return UpstreamFailed(f"Provider `{provider_id}` sent an answer that is too large.")
    fault = fault_of(failure)
    if fault is Fault.UNUSABLE:
        return ProviderUnavailable(f"Provider `{provider_id}` {describe_setup(failure, region=aws.REGION)}.")
    kind, reason = BY_CODE.get(code) or FAULTS[fault]
    headers = SOON if kind in {UpstreamThrottled, ProviderUnavailable} else None
    return kind(f"Provider `{provider_id}` {reason}.", headers=headers)
