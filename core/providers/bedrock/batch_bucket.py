"""The bucket of a provider's batches: asked with the credentials of its config, which S3 takes signed alone."""

from typing import TYPE_CHECKING, override

from core.errors import ProviderUnavailable
from core.platform import aws_sdk as sdk
from core.providers.aws.clients import AwsConfig
from core.providers.aws.credentials import keys_of, needs_own_session, session_of
from core.stores.blobs.s3 import S3Blobs

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

    from core.providers.bedrock.inference import Config


class BatchBucket(S3Blobs):
    """Objects below `batch_s3_uri`; where it cannot be used, the provider is unavailable, and not the stack's state."""

    def __init__(self, provider_id: str, config: "Config") -> None:
        """Nothing is opened before the first call."""
        bucket, _, prefix = str(config.batch_s3_uri).removeprefix("s3://").partition("/")
        super().__init__(
            bucket, prefix=prefix.strip("/"), region=config.region_name, endpoint_url=config.batch_s3_endpoint_url
        )
        self._provider_id = provider_id
        # Without the token that Bedrock may have been given, or may find in the environment.
        self._identity = AwsConfig.model_construct(**{name: getattr(config, name) for name in AwsConfig.model_fields})
        self._place |= {} if self._identity.role else keys_of(self._identity)

    def uri(self, key: str) -> str:
        """As Bedrock is told of it."""
        return f"s3://{self._bucket}/{self._prefix}{key}"

    @override
    def _session(self) -> "AioSession":
        return session_of(self._identity) if needs_own_session(self._identity) else sdk.shared_session()

    @override
    def _unavailable(self, reason: str) -> ProviderUnavailable:
        return ProviderUnavailable(f"Provider `{self._provider_id}` cannot use its S3 bucket: it {reason}.")
