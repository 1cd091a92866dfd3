"""template.yaml as data: its resources, its events, and its values once parameters are given."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
import re
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
STACK_ID: Final = "arn:aws:cloudformation:us-east-1:123456789012:stack/Llambda/0a1b2c3d-0000-11ee-be56-0242ac120002"
PSEUDO: Final = {
    "AWS::AccountId": "123456789012",
    "AWS::NoValue": None,
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackId": STACK_ID,
    "AWS::StackName": "Llambda",
    "AWS::URLSuffix": "amazonaws.com",
}
PLACEHOLDER: Final = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")


class _Template(yaml.SafeLoader):
    """`!Ref X` and its like become `{"Ref": X}`."""


def _intrinsic(loader: _Template, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.ScalarNode)
    return {name: loader.construct_scalar(node)}


_Template.add_multi_constructor("!", _intrinsic)


@cache
def template() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), _Template)  # noqa: S506 - a SafeLoader
    return parsed


def resources(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in template()["Resources"].items() if each["Type"] == kind}


def properties(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in resources(kind).items()}


def functions() -> dict[str, dict[str, Any]]:
    """The functions' properties by the module that they run."""
    return {each["Handler"].split(".")[1]: each for each in properties("AWS::Serverless::Function").values()}


@dataclass(frozen=True, slots=True)
class Event:
    """A method and a path of the API; `{name}` stands for one segment and `{name+}` for one or more."""

    module: str
    method: str
    path: str

    def reaches(self, method: str, path: str) -> bool:
        return method == self.method and self._pattern().fullmatch(path) is not None

    def greedy(self) -> bool:
        return self.path.endswith("+}")

    def _pattern(self) -> re.Pattern[str]:
        parts = re.split(r"(\{\w+\+?\})", self.path)
        return re.compile("".join(self._part(part) for part in parts))

    @staticmethod
    def _part(part: str) -> str:
        if not part.startswith("{"):
            return re.escape(part)
        return ".+" if part.endswith("+}") else "[^/]+"


@cache
def events() -> list[Event]:
    found = [(module, event["Properties"]) for module, each in functions().items() for event in each["Events"].values()]
    return [Event(module, event["Method"], event["Path"]) for module, event in found]


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """As they are written, those that are there on a condition too."""
    for name, role in properties("AWS::IAM::Role").items():
        for given in role.get("Policies", []):
            policy = given["Fn::If"][1] if "Fn::If" in given else given
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


@dataclass(frozen=True, slots=True)
class Given:
    """The template's values with `parameters`; a resource's Ref is its name, its GetAtt `name.attribute`."""

    parameters: Mapping[str, str]

    def value(self, node: Any) -> Any:
        """`node` without intrinsic functions, and without what they leave out."""
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not None]
        if not isinstance(node, dict):
            return node
        if len(node) == 1 and (function := _FUNCTIONS.get(next(iter(node)))) is not None:
            return function(self, next(iter(node.values())))
        values = {key: self.value(each) for key, each in node.items()}
        return {key: each for key, each in values.items() if each is not None}

    def ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name not in template()["Parameters"]:
            return name
        parameter = template()["Parameters"][name]
        value = str(self.parameters.get(name, parameter.get("Default", "")))
        return value.split(",") if parameter["Type"] == "CommaDelimitedList" else value

    def holds(self, condition: str) -> bool:
        return bool(self.value(template()["Conditions"][condition]))

    def broken_rules(self) -> list[str]:
        """The rules whose assertions do not hold."""
        rules = template()["Rules"].items()
        asserted = {name: rule["Assertions"] for name, rule in rules if self.value(rule.get("RuleCondition", True))}
        return [name for name, each in asserted.items() if not all(self.value(one["Assert"]) for one in each)]

    def sub(self, argument: Any) -> str:
        text, own = (argument[0], argument[1]) if isinstance(argument, list) else (argument, {})
        return PLACEHOLDER.sub(
            lambda found: str(self.value(own[found[1]]) if found[1] in own else self.ref(found[1])), text
        )

    def chosen(self, argument: list[Any]) -> Any:
        condition, then, otherwise = argument
        return self.value(then if self.holds(condition) else otherwise)


_FUNCTIONS: Final[dict[str, Callable[[Given, Any], Any]]] = {
    "And": lambda given, each: all(given.value(each)),
    "Condition": lambda given, name: given.holds(name),
    "Equals": lambda given, each: given.value(each[0]) == given.value(each[1]),
    "GetAtt": lambda _, name: name,
    "Fn::If": lambda given, each: given.chosen(each),
    "If": lambda given, each: given.chosen(each),
    "Join": lambda given, each: each[0].join(given.value(each[1])),
    "Not": lambda given, each: not given.value(each[0]),
    "Or": lambda given, each: any(given.value(each)),
    "Ref": lambda given, name: given.ref(name),
    "Select": lambda given, each: given.value(each[1])[each[0]],
    "Split": lambda given, each: given.value(each[1]).split(each[0]),
    "Sub": lambda given, each: given.sub(each),
}
