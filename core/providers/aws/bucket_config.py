"""What a run config says of a bucket: read without the SDK, which only who opens it imports."""

from typing import Annotated, Self

from pydantic import SecretStr, StringConstraints, model_validator

from core.config.records import Record, Text


class BucketConfig(Record):
    """A bucket; region, endpoint and keys are the SDK's own unless given."""

    bucket_name: Annotated[str, StringConstraints(min_length=3, max_length=1024)]
    region: Text | None = None
    endpoint_url: Text | None = None
    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None

    @model_validator(mode="after")
    def _whole_keys(self) -> Self:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("give `aws_access_key_id` and `aws_secret_access_key` together, or neither")
        return self

    def keys(self) -> dict[str, str]:
        """By the SDK's names for them; each may be a reference to a secret."""
        names = ("aws_access_key_id", "aws_secret_access_key")
        keys: dict[str, SecretStr | None] = {name: vars(self)[name] for name in names}
        return {name: key.get_secret_value() for name, key in keys.items() if key is not None}
