"""How a run config names a key of AWS KMS."""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from core.frame.forms import of_form

NO_KEY: Final = "must be the ARN of a key, as arn:aws:kms:us-east-1:123456789012:key/ID"
OR_NONE: Final[Any] = BeforeValidator(lambda value: None if value == "" else value)  # a variable that is not set
type KeyArn = Annotated[
    Annotated[str, of_form(r"^arn:aws[-a-z0-9]*:kms:[-a-z0-9]*:[0-9]{12}:key/\S+$", NO_KEY)] | None, OR_NONE
]
