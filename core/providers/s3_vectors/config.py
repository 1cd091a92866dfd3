"""How a provider of S3 Vectors is configured."""

from typing import Annotated, Final, Literal

from pydantic import AliasChoices, Field

from core.config.kms import KeyArn
from core.config.user_fields import USER
from core.frame.forms import of_form
from core.providers.aws.clients import AwsConfig, Region

BUCKET: Final = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
BUCKET_ARN: Final = r"arn:aws[-a-z0-9]*:s3vectors:([a-z0-9-]+):[0-9]{12}:bucket/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])"
NO_BUCKET: Final = (
    "must be the name of a vector bucket, or its ARN, as arn:aws:s3vectors:us-east-1:123456789012:bucket/NAME"
)
type VectorBucket = Annotated[str, of_form(f"{BUCKET}|^{BUCKET_ARN}$", NO_BUCKET)]
type Prefix = Annotated[
    str,
    of_form(r"^([a-z0-9][a-z0-9.-]{0,19})?$", "must be at most 20 of a-z, 0-9, `.` and `-`, a letter or a digit first"),
]
type Language = Literal["standard", "en", "fr", "es", "pt", "it", "de", "nl", "zh", "ja", "ko"]


class Config(AwsConfig):
    """What every provider of AWS takes, and where vectors are kept: an index of the vector bucket for each store.

    `index_prefix` begins the names of the indexes. `language` is that of the texts, whose words are searched by their stems
    (`standard`: as they are); it and `kms_key_id` count for indexes that are made from then on.
    """

    vector_bucket: VectorBucket
    region_name: Annotated[Region | None, USER, Field(validation_alias=AliasChoices("region_name", "region"))] = None
    index_prefix: Prefix = ""
    kms_key_id: KeyArn = None
    language: Language = "en"
