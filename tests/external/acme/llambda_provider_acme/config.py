"""What a run config may say of Acme under `config`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class AcmeConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(pattern=r"^https?://[^/\s]+", description="Where its OpenAI API is, with /v1.")]
    api_key: Annotated[SecretStr | None, Field(description="The key that it is called with.")] = None
    timeout: Annotated[
        float, Field(gt=0, description="Seconds without a byte.", json_schema_extra={"user_field": True})
    ] = 60.0
