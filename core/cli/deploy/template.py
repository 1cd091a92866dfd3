"""template.yaml before CloudFormation reads it: what its parameters allow, and what its functions' variables become."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import getitem
from pathlib import Path
import re
from typing import Any, Final, cast

from core.config.problems import Problem
from core.platform.suggestions import did_you_mean

LIST: Final = "CommaDelimitedList"
PLACEHOLDER: Final = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")


class Undecided(Exception):
    """A function of CloudFormation that is not evaluated here."""


@dataclass(frozen=True, slots=True)
class Template:
    """`document` has the functions of CloudFormation in their long form: `{"Ref": X}`, `{"Fn::If": [...]}`."""

    document: dict[str, Any]

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        return cast("dict[str, dict[str, Any]]", self.document.get("Parameters", {}))

    @property
    def variables(self) -> dict[str, Any]:
        """What every function gets, by name, as it is written."""
        function = self.document.get("Globals", {}).get("Function", {})
        return cast("dict[str, Any]", function.get("Environment", {}).get("Variables", {}))

    def defaults(self) -> dict[str, str]:
        return {
            name: str(parameter["Default"]) for name, parameter in self.parameters.items() if "Default" in parameter
        }

    def secret(self, name: str) -> bool:
        return str(self.parameters.get(name, {}).get("NoEcho", "")).lower() == "true"

    def passed_on(self, variable: str) -> str:
        """The parameter that a function's variable is; "" where it is anything else."""
        node = self.variables.get(variable)
        name = cast("dict[str, str]", node).get("Ref", "") if isinstance(node, dict) else ""
        return name if name in self.parameters else ""

    def parameters_of(self, variable: str) -> list[str]:
        """The parameters in the value of a function's variable; its conditions' do not count."""
        names = dict.fromkeys(_references(self.variables.get(variable)))
        return [name for name in names if name in self.parameters]

    def problems(self, given: Mapping[str, str]) -> Iterator[Problem]:
        """What is wrong with parameters, in the template's own words; no value is repeated."""
        for name, value in given.items():
            if name not in self.parameters:
                yield Problem(name, f"is no parameter of template.yaml{did_you_mean(name, self.parameters)}")
            elif complaint := _complaint(self.parameters[name], value):
                yield Problem(name, complaint)


def read(path: Path) -> Template:
    """The template of a checkout."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def function(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
        key = name if name in {"Ref", "Condition"} else f"Fn::{name}"
        if isinstance(node, yaml.SequenceNode):
            return {key: loader.construct_sequence(node, deep=True)}
        text = str(loader.construct_scalar(cast("yaml.ScalarNode", node)))
        return {key: text.split(".", 1) if name == "GetAtt" else text}

    cast("Any", Loader).add_multi_constructor("!", function)  # typed in part only
    return Template(yaml.load(path.read_text("utf-8"), Loader))  # noqa: S506 - it is a SafeLoader


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in cast("dict[str, Any]", node).items():
            if key == "Ref":
                yield value
            elif key == "Fn::Sub":
                yield from PLACEHOLDER.findall(str(value))
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in cast("list[object]", node):
            yield from _references(value)


def _complaint(parameter: Mapping[str, Any], value: str) -> str:
    allowed = [str(item) for item in parameter.get("AllowedValues", ())]
    if allowed:
        return "" if value in allowed else f"must be one of {', '.join(allowed)}{did_you_mean(value, allowed)}"
    if parameter.get("Type") == "Number":
        return _no_number(parameter, value)
    pattern = parameter.get("AllowedPattern")
    values = value.split(",") if parameter.get("Type") == LIST else [value]
    if pattern is None or all(re.fullmatch(pattern, item, re.ASCII) for item in values):
        return ""
    return str(parameter.get("ConstraintDescription", "does not have the form that template.yaml asks for"))


def _no_number(parameter: Mapping[str, Any], value: str) -> str:
    if not re.fullmatch(r"-?\d+(\.\d+)?", value, re.ASCII):
        return "must be a number"
    if "MinValue" in parameter and float(value) < parameter["MinValue"]:
        return f"must be at least {parameter['MinValue']}"
    if "MaxValue" in parameter and float(value) > parameter["MaxValue"]:
        return f"must be at most {parameter['MaxValue']}"
    return ""


@dataclass(frozen=True, slots=True)
class Values:
    """The template with these parameters, in this region. What a resource's name will be is `REGION_RESOURCE` here.

    `pseudo` are the pseudo parameters of AWS that are known, beside the region; what has another in it is undecided.
    """

    template: Template
    parameters: Mapping[str, str]
    region: str
    pseudo: Mapping[str, str] = field(default_factory=dict[str, str])

    def problems(self) -> list[Problem]:
        """The template's rules that are broken, in its own words."""
        rules: dict[str, Any] = self.template.document.get("Rules", {})
        return [Problem("", message) for rule in rules.values() for message in self._broken(rule)]

    def variables(self) -> dict[str, str]:
        """What the functions will find in their environment."""
        values = {name: self._variable(node) for name, node in self.template.variables.items()}
        return {name: value for name, value in values.items() if value is not None}

    def _variable(self, node: object) -> str | None:
        try:
            value = self.value(node)
        except Undecided:
            return "-"
        return None if value is None else ",".join(cast("list[str]", value)) if isinstance(value, list) else str(value)

    def _broken(self, rule: Mapping[str, Any]) -> Iterator[str]:
        try:
            if self.value(rule.get("RuleCondition", True)):
                for assertion in rule["Assertions"]:
                    if not self.value(assertion["Assert"]):
                        yield assertion.get("AssertDescription", "a rule of template.yaml does not hold")
        except Undecided:
            return  # CloudFormation decides

    def value(self, node: object) -> Any:  # noqa: ANN401 - the template has anything
        """`node` without functions, and without what is AWS::NoValue; None if it is that itself.

        Raises:
            Undecided: this needs CloudFormation.
        """
        if isinstance(node, list):
            return [value for value in map(self.value, cast("list[object]", node)) if value is not None]
        if not isinstance(node, dict):
            return node
        entries = cast("dict[str, Any]", node)
        if len(entries) == 1:
            [(name, argument)] = entries.items()
            if name in FUNCTIONS:
                return FUNCTIONS[name](self, argument)
            if name.startswith("Fn::"):
                raise Undecided
        values = {key: self.value(entry) for key, entry in entries.items()}
        return {key: value for key, value in values.items() if value is not None}

    def ref(self, name: str) -> str | list[str] | None:
        """What `!Ref` gives.

        Raises:
            Undecided: a pseudo parameter that is not known.
        """
        if name in self.template.parameters:
            value = self.parameters.get(name, "")
            return value.split(",") if self.template.parameters[name].get("Type") == LIST else value
        if name == "AWS::NoValue":
            return None
        if name == "AWS::Region":
            return self.region
        if name in self.pseudo:
            return self.pseudo[name]
        if name.startswith("AWS::"):
            raise Undecided
        return f"{self.region}_{name}"

    def holds(self, condition: str) -> bool:
        return bool(self.value(self.template.document["Conditions"][condition]))


def _choose(values: Values, argument: Sequence[Any]) -> object:
    condition, then, otherwise = argument
    return values.value(then if values.holds(condition) else otherwise)


def _substitute(values: Values, argument: str | list[Any]) -> str:
    """`argument` is the text, or a list of it and of its own names."""
    text: str = argument if isinstance(argument, str) else argument[0]
    own: dict[str, Any] = {} if isinstance(argument, str) else argument[1]

    def replacement(place: re.Match[str]) -> str:
        name = place[1]
        if name in own:
            return str(values.value(own[name]))
        return name if "." in name else str(values.ref(name))  # as Fn::GetAtt

    return PLACEHOLDER.sub(replacement, text)


FUNCTIONS: Final[dict[str, Callable[[Values, Any], Any]]] = {
    "Condition": lambda values, name: values.holds(name),
    "Ref": lambda values, name: values.ref(name),
    "Fn::And": lambda values, nodes: all(values.value(nodes)),
    "Fn::Equals": lambda values, nodes: values.value(nodes[0]) == values.value(nodes[1]),
    "Fn::FindInMap": lambda values, keys: reduce(getitem, values.value(keys), values.template.document["Mappings"]),
    "Fn::GetAtt": lambda _, names: ".".join(names),
    "Fn::If": _choose,
    "Fn::Join": lambda values, nodes: nodes[0].join(values.value(nodes[1])),
    "Fn::Not": lambda values, nodes: not values.value(nodes[0]),
    "Fn::Or": lambda values, nodes: any(values.value(nodes)),
    "Fn::Select": lambda values, nodes: values.value(nodes[1])[int(nodes[0])],
    "Fn::Split": lambda values, nodes: values.value(nodes[1]).split(nodes[0]),
    "Fn::Sub": _substitute,
}
