"""How providers of Bedrock are configured: as those of AWS are, and with an API key in the place of a signature."""

from typing import Annotated, ClassVar, Self, override

from pydantic import SecretStr, model_validator

from core.frame.forms import of_form
from core.platform import secrets
from core.providers.aws.clients import AwsConfig
from core.providers.http.remote import HEADER_KEY

type JobsUri = Annotated[
    str,
    of_form(
        r"^s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](/[A-Za-z0-9_.=-]+)*/?$", "must be s3://BUCKET or s3://BUCKET/PREFIX"
    ),
]
"""Below which the files of Bedrock's jobs are."""


class BedrockConfig(AwsConfig):
    """A bearer token, by one of its three names, in the place of keys, a profile or a role."""

    bearer_variable: ClassVar[str] = "AWS_BEARER_TOKEN_BEDROCK"

    aws_bedrock_bearer_token: SecretStr | None = None
    api_key: SecretStr | None = None
    auth_credential: SecretStr | None = None

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        tokens = {token.get_secret_value() for token in self._tokens()}
        if len(tokens) > 1:
            raise ValueError(
                "`aws_bedrock_bearer_token`, `api_key` and `auth_credential` mean the same; give one of them"
            )
        for token in tokens:
            if secrets.is_reference(token):
                secrets.parse(token)
            elif not HEADER_KEY.fullmatch(token):
                raise ValueError("the bearer token has a space or another character that a header cannot carry")
        return self

    @property
    @override
    def bearer(self) -> SecretStr | None:
        """The API key of Bedrock, or the reference of the secret that has it."""
        return next(iter(self._tokens()), None)

    def _tokens(self) -> list[SecretStr]:
        return [token for token in (self.aws_bedrock_bearer_token, self.api_key, self.auth_credential) if token]
