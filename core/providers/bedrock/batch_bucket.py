"""The bucket of a provider's jobs: asked with the credentials of its config, which S3 takes signed alone."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, override

from core.errors import ProviderUnavailable
from core.platform import aws_sdk as sdk
from core.providers.aws.clients import AwsConfig
from core.providers.aws.credentials import keys_of, needs_own_session, session_of
from core.stores.blobs.s3 import S3Blobs

if TYPE_CHECKING:
    from aiobotocore.session import AioSession


class BatchBucket(S3Blobs):
    """Objects below an s3 URI; where it cannot be used, the provider is unavailable, and not the stack's state."""

    def __init__(self, provider_id: str, config: AwsConfig, uri: str, endpoint_url: str | None) -> None:
        """Nothing is opened before the first call; `endpoint_url` is S3's where it is not AWS's own."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        super().__init__(bucket, prefix=prefix.strip("/"), region=config.region_name, endpoint_url=endpoint_url)
        self._provider_id = provider_id
        # Without the token that Bedrock may have been given, or may find in the environment.
        self._identity = AwsConfig.model_construct(**{name: getattr(config, name) for name in AwsConfig.model_fields})
        self._place |= {} if self._identity.role else keys_of(self._identity)

    def uri(self, key: str) -> str:
        """As Bedrock is told of it."""
        return f"s3://{self._bucket}/{self._prefix}{key}"

    async def keys_below(self, prefix: str, most: int) -> list[str]:
        """At most so many keys that begin with `prefix`, in their order."""
        page: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        keys: list[str] = []
        with self._translate_errors():
            client = await self._clients.get()
            while len(keys) < most:
                answer = await client.list_objects_v2(**page)
                keys += [item.get("Key", "").removeprefix(self._prefix) for item in answer.get("Contents", ())]
                if "NextContinuationToken" not in answer:
                    break
                page["ContinuationToken"] = answer["NextContinuationToken"]
        return keys[:most]

    async def read_named(self, key: str) -> AsyncIterator[bytes]:
        """What is under a key of `keys_below`, which Bedrock has chosen: names of models have colons in them."""
        with self._translate_errors():
            client = await self._clients.get()
            answer = await client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        body = answer["Body"]
        async with body:
            async for chunk in self._read_body(body):
                yield chunk

    @override
    def _session(self) -> "AioSession":
        return session_of(self._identity) if needs_own_session(self._identity) else sdk.shared_session()

    @override
    def _unavailable(self, reason: str) -> ProviderUnavailable:
        return ProviderUnavailable(f"Provider `{self._provider_id}` cannot use its S3 bucket: it {reason}.")
