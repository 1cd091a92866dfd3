"""What a provider of Bedrock says of itself: its region, whether it has credentials, and what it lists with them."""

from collections.abc import Awaitable, Callable

from core.apis.discovery import Description
from core.errors import ApiError
from core.providers.aws.clients import AwsClients
from core.providers.bedrock.errors import translate_errors


async def describe(provider_id: str, clients: AwsClients, offers: Callable[[], Awaitable[Description]]) -> Description:
    """`offers` is asked only where there are credentials.

    Raises:
        ProviderUnavailable: no region, no such profile.
    """
    with translate_errors(provider_id):
        control = await clients.client("bedrock")
    description = Description(region=control.meta.region_name, credentials=False)
    try:
        with translate_errors(provider_id):
            if not await clients.bearer_token():
                await clients.credentials()
        description["credentials"] = True
        description.update(await offers())
    except ApiError as failure:
        description["error"] = failure.message
    return description
