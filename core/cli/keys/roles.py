"""Which roles the rules and the quota of a run config name: a key with another may do less than its maker thinks."""

from collections.abc import Iterable, Iterator

from core.config.places import Value, to_list, to_mapping
from core.config.policy import Condition, parse_condition
from core.config.problems import Problem
from core.platform.suggestions import did_you_mean


def role_problems(document: Value, source: str, roles: Iterable[str]) -> list[Problem]:
    """One for each role that nothing in the normalised document names; none where a rule makes use of any role."""
    server = to_mapping(to_mapping(document).get("server"))
    policy = to_mapping(server.get("auth")).get("access_policy")
    conditions = [item for item in _conditions(policy) if item.attribute == "roles"]
    names = {item.value for item in conditions if item.value} | set(
        to_mapping(to_mapping(server.get("quota")).get("roles"))
    )
    is_open = policy is None or any(item.fact == "user in owners" for item in conditions)
    if is_open and not names:  # owners share with those of their roles, whatever the roles
        return []
    choices = f"they name {', '.join(sorted(names))}" if names else "they name none"
    rest = f"; {choices}; --force makes the key all the same"
    message = "no rule of the access policy or of the quota in {} names it{}{}"
    return [
        Problem(f"--roles {role}", message.format(source, did_you_mean(role, names), rest))
        for role in roles
        if role not in names
    ]


def _conditions(policy: Value) -> Iterator[Condition]:
    """Those that can be read; what is wrong with others, `config validate` says."""
    for rule in map(to_mapping, to_list(policy)):
        for key in ("when", "unless"):
            texts = rule.get(key)
            for text in [texts] if isinstance(texts, str) else to_list(texts):
                try:
                    yield parse_condition(str(text))
                except ValueError:
                    continue
