"""The `safety` section: which shields guard every model, and whom.

Source: SafetyConfig of OGX 1.5.0, which has `default_shield_id`; `default_shields` and `rules` are llambda's own.
"""

from collections.abc import Sequence
from typing import Annotated, Self, cast

from pydantic import BeforeValidator, model_validator

from core.config.policy import Conditions
from core.config.records import Record, Text


def _for_both(value: object) -> object:
    """A plain list judges both requests and replies."""
    if not isinstance(value, list | tuple):
        return value
    names = cast("Sequence[object]", value)
    return {"input": names, "output": names}


class ShieldLists(Record):
    """Ids of shields that the run config declares: what judges requests, and what judges replies."""

    input: tuple[Text, ...] = ()
    output: tuple[Text, ...] = ()


type Shields = Annotated[ShieldLists, BeforeValidator(_for_both)]


class ShieldRule(Record):
    """The shields of every call for which all conditions of `when` hold, or not all of `unless`.

    The user of a condition is the caller; the resource is the model that is asked.
    """

    when: Conditions | None = None
    unless: Conditions | None = None
    shields: Shields
    description: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.when is None) == (self.unless is None):
            raise ValueError(
                "needs exactly one of `when` and `unless`; what holds for everybody is in `default_shields`"
            )
        return self


class SafetyConfig(Record):
    """`default_shield_id` judges moderations that name no model; `default_shields` guard every model."""

    default_shield_id: str | None = None
    default_shields: Shields = ShieldLists.model_construct()
    rules: tuple[ShieldRule, ...] = ()
