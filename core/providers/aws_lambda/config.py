"""How a provider of Lambda functions is configured: which functions there are, and the tools that each of them has."""

import re
from typing import Annotated, Any, Final, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator

from core.config.user_fields import USER
from core.frame.forms import of_form
from core.frame.types import JsonObject
from core.providers.aws.clients import AwsConfig, Region

ARN: Final = r"arn:aws[-a-z]*:lambda:(?P<region>[a-z0-9-]+):[0-9]{12}:function:"
NAME: Final = r"(?P<name>[A-Za-z0-9_-]{1,64})(:(\$LATEST|[A-Za-z0-9_-]{1,128}))?"
FUNCTION: Final = re.compile(f"({ARN})?{NAME}")
NO_FUNCTION: Final = (
    "must be the name of a function or its ARN, with `:` and an alias or a version behind it where one is meant, as "
    "arn:aws:lambda:us-east-1:123456789012:function:NAME:live"
)
NO_TARGET: Final = "must be 1 to 64 letters, digits, `-` and `_`"
NO_TOOL: Final = "must be 1 to 128 letters, digits and any of _.-"
SEPARATOR: Final = "___"  # between the target's name and the tool's, as functions cut it off
MOST_FUNCTIONS, MOST_TOOLS = 50, 200

type FunctionName = Annotated[
    str,
    of_form(
        r"^(arn:aws[-a-z]*:lambda:[a-z0-9-]+:[0-9]{12}:function:)?[A-Za-z0-9_-]{1,64}(:(\$LATEST|[A-Za-z0-9_-]{1,128}))?$",
        NO_FUNCTION,
    ),
]
type TargetName = Annotated[str, of_form(r"^[A-Za-z0-9_-]{1,64}$", NO_TARGET)]
type ToolName = Annotated[str, of_form(r"^[A-Za-z0-9_.-]{1,128}$", NO_TOOL)]


class LambdaTool(BaseModel):
    """A tool of a function; the schemas' names may be MCP's, so that the file of an AgentCore target can be taken as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, populate_by_name=True)

    name: ToolName
    description: str = ""
    title: str = ""
    input_schema: Annotated[JsonObject, Field(validation_alias=AliasChoices("input_schema", "inputSchema"))] = Field(
        default_factory=lambda: {"type": "object", "properties": {}}
    )
    output_schema: Annotated[
        JsonObject | None, Field(validation_alias=AliasChoices("output_schema", "outputSchema"))
    ] = None
    read_only: bool | None = None

    @field_validator("input_schema")
    @classmethod
    def _of_object(cls, schema: JsonObject) -> JsonObject:
        if schema.get("type") != "object":
            raise ValueError('must be the JSON schema of an object: `"type": "object"`')
        return schema


class LambdaFunction(BaseModel):
    """A function and its tools. `name` is what tool groups call it, and what is before `___` in a tool's name for the function; else it is the function's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    function: FunctionName
    name: Annotated[
        TargetName | None, Field(description="What tool groups call it (default: the function's name).")
    ] = None
    tools: Annotated[list[LambdaTool], Field(min_length=1, max_length=MOST_TOOLS)]

    @property
    def target(self) -> str:
        return self.name or _match(self.function)["name"]

    @property
    def region(self) -> str | None:
        """That of its ARN; None of a name."""
        region: str | None = _match(self.function)["region"]
        return region

    @model_validator(mode="after")
    def _clear(self) -> Self:
        if SEPARATOR in self.target:
            raise ValueError(
                f"`{self.target}` has `{SEPARATOR}`, which ends it in the names of tools: give another `name`"
            )
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError("has two tools of one name")
        return self


class Config(AwsConfig):
    """What every provider of AWS takes, and the functions that may be called; `read_timeout` is how long a call may take, in seconds.

    Who may register tool groups may make one of any of these functions only if `allow_registered_groups` says so: they are called with the stack's credentials.
    """

    functions: Annotated[list[LambdaFunction], Field(min_length=1, max_length=MOST_FUNCTIONS)]
    allow_registered_groups: bool = False
    region_name: Annotated[Region | None, USER, Field(validation_alias=AliasChoices("region_name", "region"))] = None

    @model_validator(mode="after")
    def _one_region(self) -> Self:
        regions = {function.region for function in self.functions if function.region} | ({self.region_name} - {None})
        if len(regions) > 1:
            raise ValueError("its functions are in several regions: make a provider for each")
        return self

    @model_validator(mode="after")
    def _targets(self) -> Self:
        names = [function.target for function in self.functions]
        if len(set(names)) < len(names):
            raise ValueError("two of its functions have one name: give each its `name`")
        return self

    @property
    def region(self) -> str | None:
        """That of the ARNs, or of the config; None where the environment says it."""
        return self.region_name or next(filter(None, (function.region for function in self.functions)), None)

    def find(self, target: str) -> LambdaFunction | None:
        return next((function for function in self.functions if function.target == target), None)


def _match(function: str) -> Any:  # noqa: ANN401 - a match, which the field's form has promised
    return FUNCTION.fullmatch(function)
