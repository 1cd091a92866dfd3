"""Which roles and teams the rules and the quota of a run config name: a key with another may do less than its maker thinks."""

from collections.abc import Iterable, Iterator

from core.config.policy import AccessRule, Condition, parse_condition, to_tuple
from core.platform.suggestions import did_you_mean


def conditions_of(rules: Iterable[AccessRule]) -> Iterator[Condition]:
    for rule in rules:
        for text in (*to_tuple(rule.when), *to_tuple(rule.unless)):
            yield parse_condition(text)


def names_that_count(
    attribute: str, conditions: Iterable[Condition] | None, further: Iterable[str]
) -> frozenset[str] | None:
    """The names of an attribute, as roles, that conditions of a policy name, and `further` ones; None where any has a meaning.

    `conditions` is None where there is no policy: then owners share with those of their roles and teams, whatever these are.
    """
    about = [item for item in conditions or () if item.attribute == attribute]
    names = {item.value for item in about if item.value} | set(further)
    is_open = conditions is None or any(item.fact == "user in owners" for item in about)
    return None if is_open and not names else frozenset(names)


def unknown_names(given: Iterable[str], names: frozenset[str] | None) -> Iterator[tuple[str, str, str]]:
    """Of those `given` each that is not among `names`: with what it may be instead, and what there is."""
    choices = f"they name {', '.join(sorted(names))}" if names else "they name none"
    for name in given:
        if names is not None and name not in names:
            yield name, did_you_mean(name, names), choices
