"""Which roles and teams the rules and the quota of a run config name: a key with another may do less than its maker thinks."""

from collections.abc import Iterable, Iterator

from core.config.naming import names_that_count, unknown_names
from core.config.places import Value, to_list, to_mapping
from core.config.policy import Condition, parse_condition
from core.config.problems import Problem


def name_problems(document: Value, source: str, attribute: str, given: Iterable[str]) -> list[Problem]:
    """One for each role or team that nothing in the normalised document names; none where a rule makes use of any."""
    server = to_mapping(to_mapping(document).get("server"))
    policy = to_mapping(server.get("auth")).get("access_policy")
    limited = to_mapping(to_mapping(server.get("quota")).get(attribute))
    names = names_that_count(attribute, None if policy is None else list(_conditions(policy)), limited)
    message = "no rule of the access policy or of the quota in {} names it{}; {}; --force makes the key all the same"
    return [
        Problem(f"--{attribute} {name}", message.format(source, suggestion, choices))
        for name, suggestion, choices in unknown_names(given, names)
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
