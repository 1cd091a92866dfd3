"""The buckets that a run config names as places of rows; what opens them is in `.buckets`, with the SDK."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from core.config.records import Whole
from core.providers.aws.bucket_config import BucketConfig

GIB: Final = 1024 * 1024 * 1024


class SourceBucket(BucketConfig):
    """A bucket whose objects below `key_prefix` callers may read as rows."""

    key_prefix: Annotated[str, StringConstraints(max_length=500)] = ""
    max_bytes: Annotated[Whole, Field(gt=0)] = 5 * GIB

    def takes(self, bucket: str, key: str) -> bool:
        """Whether it is an object of it: a prefix ends where a name in it does."""
        prefix = self.key_prefix.strip("/")
        return bucket == self.bucket_name and (not prefix or key.startswith(f"{prefix}/"))
