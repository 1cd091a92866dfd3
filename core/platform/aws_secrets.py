"""Fetches secrets from AWS. A client for each fetch: there is one in minutes, and none to close when the stack does.

Sources: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html,
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html.
"""

import asyncio
import logging
from typing import Any, Final

from core.platform import aws_sdk as sdk
from core.platform.aws_errors import EndpointInvalid, code_of, describe_failure
from core.platform.secrets import Place

PATIENCE: Final = 5.0  # seconds, of one fetch
ANSWER_SECONDS: Final = 2.0  # of one attempt, so that `PATIENCE` has room for a second
ATTEMPTS: Final = 2
REGION: Final = "`AWS_REGION`"
FINAL: Final = {
    "AccessDeniedException": "may not be read with this deployment's permissions",
    "DecryptionFailure": "cannot be decrypted with this deployment's permissions",
    "InvalidRequestException": "cannot be read: it has no value, or is to be deleted",
    **dict.fromkeys(
        ("ResourceNotFoundException", "ParameterNotFound", "ValidationException", "InvalidParameterException"),
        "does not exist in this account and region",
    ),
}
"""By the service's code: what asking again would not change."""

log = logging.getLogger(__name__)


def warm(place: Place) -> None:
    """Import the SDK and read its description of the service, which the first fetch would wait for."""
    sdk.preload(place.service)


async def fetch(place: Place) -> str:
    """The text of the secret.

    Raises:
        SecretUnavailable: AWS does not say; or, for good, it is not there, is not text, or is not for this stack.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    config = sdk.config(
        connect_timeout=ANSWER_SECONDS,
        read_timeout=ANSWER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    region = place.name.split(":")[3] if place.name.startswith("arn:") else None
    try:
        async with (
            asyncio.timeout(PATIENCE),
            sdk.open_client(sdk.shared_session(), place.service, region_name=region, config=config) as client,
        ):
            text = await (_parameter(client, place) if place.service == "ssm" else _secret(client, place))
    except (BotoCoreError, ClientError, EndpointInvalid, TimeoutError) as failure:
        log.warning("secret %s: %s", place.name, code_of(failure))
        reason = FINAL.get(code_of(failure))
        described = reason or describe_failure(failure, region=REGION)
        raise place.unavailable(described, final=reason is not None) from failure
    if not isinstance(text, str):
        raise place.unavailable("is not text", final=True)
    return text


async def _secret(client: Any, place: Place) -> object:  # noqa: ANN401 - the SDK makes its clients' methods at run time
    answer = await client.get_secret_value(SecretId=place.name)
    return answer.get("SecretString")


async def _parameter(client: Any, place: Place) -> object:  # noqa: ANN401 - the SDK makes its clients' methods at run time
    answer = await client.get_parameter(Name=place.name, WithDecryption=True)
    return answer["Parameter"]["Value"]
