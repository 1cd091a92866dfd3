"""The rules of an access policy, as the run config has them.

Source: AccessRule and Scope of Llama Stack 0.2.12 (distribution/access_control/datatypes.py), and of its conditions.py;
`resource is unowned` and `regex:` are OGX 1.5.0's, wildcards within an id are llambda's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Final, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, model_validator

from core.config.records import Record, Text
from core.frame.callers import CATEGORIES
from core.platform.suggestions import did_you_mean

type Action = Literal["create", "read", "update", "delete"]
type Matcher = Callable[[str], bool]

ACTIONS: Final[tuple[Action, ...]] = ("create", "read", "update", "delete")
ATTRIBUTES: Final = (*CATEGORIES, "scopes")
REGEX: Final = "regex:"
CONDITION_FORMS: Final = (
    "write `user with NAME in ATTRIBUTE`, `user with NAME not in ATTRIBUTE`, `user in owners ATTRIBUTE`, "
    "`user not in owners ATTRIBUTE`, `user is owner`, `user is not owner` or `resource is unowned`, where ATTRIBUTE is "
    f"{', '.join(CATEGORIES[:-1])} or {CATEGORIES[-1]} (after `with` also scopes)"
)
RESOURCE_FORMS: Final = (
    "write `type::id`, as `model::small` or `model::vllm/*` (`*` stands for anything, also as the type), "
    f"or `{REGEX}` and a pattern for the whole of it"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be so, or with `negated` must not, of the user and the resource's owner."""

    fact: Literal["user with", "user in owners", "user is owner", "resource is unowned"]
    attribute: str = ""
    value: str = ""
    negated: bool = False


@cache
def parse_condition(text: str) -> Condition:
    """Read a condition; raises ValueError, with the forms that there are, if it has none of them."""
    match text.split():
        case ["user", "with", first, *more, "in", attribute] if attribute in ATTRIBUTES:
            negated = more[-1:] == ["not"]
            return Condition("user with", attribute, " ".join([first, *(more[:-1] if negated else more)]), negated)
        case ["user", "in", "owners", attribute] if attribute in CATEGORIES:
            return Condition("user in owners", attribute)
        case ["user", "not", "in", "owners", attribute] if attribute in CATEGORIES:
            return Condition("user in owners", attribute, negated=True)
        case ["user", "is", "owner"]:
            return Condition("user is owner")
        case ["user", "is", "not", "owner"]:
            return Condition("user is owner", negated=True)
        case ["resource", "is", "unowned"]:
            return Condition("resource is unowned")
        case _:
            raise ValueError(f"`{text}` is not a condition; {CONDITION_FORMS}")


@cache
def resource_matcher(text: str) -> Matcher:
    """Whether a whole `type::id` is one that `text` is about; raises ValueError if that is no `type::id` nor `regex:...`.

    Callers choose ids, and must not choose the time: it grows with the id's length alone.
    """
    if text.startswith(REGEX) and text != REGEX:
        return _regex_matcher(text.removeprefix(REGEX))
    kind, separator, identifier = text.partition("::")
    if not (kind and separator and identifier) or ("*" in kind and kind != "*"):
        raise ValueError(f"`{text}` does not name a resource; {RESOURCE_FORMS}")
    first, *rest = identifier.split("*")
    if kind != "*":
        return partial(_is_like, f"{kind}::{first}", rest)
    return lambda entity: _is_like(f"::{first}", rest, entity[entity.find("::") :])


def matches_pattern(pattern: str, name: str) -> bool:
    """Whether a name is like a pattern of names, as `vllm/*`: `*` stands for anything. It takes no longer than both are long."""
    first, *rest = pattern.split("*")
    return _is_like(first, rest, name)


def _is_like(beginning: str, pieces: list[str], entity: str) -> bool:
    """Whether the pieces come after the beginning in their order, the last of them at the end."""
    if not entity.startswith(beginning):
        return False
    if not pieces:
        return entity == beginning
    *middle, last = pieces
    place = len(beginning)
    for piece in middle:  # the leftmost place of a piece is as good as any
        place = entity.find(piece, place)
        if place < 0:
            return False
        place += len(piece)
    return entity.endswith(last) and len(entity) - len(last) >= place


def _regex_matcher(pattern: str) -> Matcher:
    from core.config.patterns import PatternRefused, linear_matcher  # late: few policies have any

    try:
        return linear_matcher(pattern)
    except PatternRefused as refused:
        hint = "; a `forbid` rule before this one can say what is left out" if refused.looks_around else ""
        raise ValueError(f"`{REGEX}{pattern}` {refused}{hint}") from refused


def to_tuple[T: str](value: T | tuple[T, ...] | None) -> tuple[T, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def _known_actions(value: object) -> object:
    actions = _items(value)
    if not actions:
        raise ValueError(f"names no action; use {_either(ACTIONS)}")
    for action in actions:
        if isinstance(action, str) and action not in ACTIONS:
            raise ValueError(f"unknown action `{action}`; use {_either(ACTIONS)}{did_you_mean(action, ACTIONS)}")
    return value


def _items(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else (value,)


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _known_conditions(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if not value:
        raise ValueError(f"has no condition; {CONDITION_FORMS}")
    for text in to_tuple(value):
        parse_condition(text)
    return value


def _known_resource(value: str) -> str:
    resource_matcher(value)
    return value


type Conditions = Annotated[Text | tuple[Text, ...], AfterValidator(_known_conditions)]


class Scope(Record):
    """Whom, what and which a rule is about; what is left out matches everything.

    `issuer` is who vouches for the principal, with the auth provider's type before it or without: ids of several issuers
    may be the same.
    """

    principal: Text | None = None
    issuer: Text | None = None
    actions: Annotated[Action | tuple[Action, ...], BeforeValidator(_known_actions)]
    resource: Annotated[Text, AfterValidator(_known_resource)] | None = None


class AccessRule(Record):
    """Exactly one of `permit` and `forbid`, and at most one of `when` and `unless`, whose conditions must all hold."""

    permit: Scope | None = None
    forbid: Scope | None = None
    when: Conditions | None = None
    unless: Conditions | None = None
    description: str | None = None

    @property
    def scope(self) -> Scope:
        return cast("Scope", self.forbid if self.permit is None else self.permit)

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.permit is None) == (self.forbid is None):
            raise ValueError("needs exactly one of `permit` and `forbid`")
        if self.when is not None and self.unless is not None:
            raise ValueError("has both `when` and `unless`; keep one of them, or split the rule in two")
        return self
