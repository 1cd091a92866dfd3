"""How evaluations that Bedrock runs are configured."""

from typing import Annotated, Self

from pydantic import model_validator

from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.providers.aws.clients import AwsConfig, RoleArn
from core.providers.bedrock.config import JobsUri


class Config(AwsConfig):
    """Bedrock reads and writes below `s3_uri` as the role `evaluation_role_arn`; `s3_endpoint_url` is S3's where it is not AWS's own.

    `evaluator_model` judges where a benchmark's metadata names none.
    """

    s3_uri: JobsUri
    evaluation_role_arn: RoleArn
    s3_endpoint_url: UpstreamUrl | None = None
    evaluator_model: Annotated[str | None, USER] = None

    @model_validator(mode="after")
    def _has_role(self) -> Self:
        if self.evaluation_role_arn is None:
            raise ValueError("`evaluation_role_arn` is needed: the role as which Bedrock reads and writes `s3_uri`")
        return self
