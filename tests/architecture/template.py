"""template.yaml as data: its resources, the paths of its API, and its values once parameters are given."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
import re
from typing import Any, Final

from core.cli.deploy.template import Values, read

ROOT: Final = Path(__file__).resolve().parents[2]
REGION: Final = "us-east-1"
PSEUDO: Final = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:123456789012:stack/Llambda/0a1b2c3d-0000-11ee-be56-0242ac120002",
    "AWS::StackName": "Llambda",
    "AWS::URLSuffix": "amazonaws.com",
}
TEMPLATE: Final = read(ROOT / "template.yaml")
ANY: Final = "x-amazon-apigateway-any-method"
INTEGRATION: Final = "x-amazon-apigateway-integration"
EVERYTHING: Final = {
    "Files": "true",
    "VectorStores": "true",
    "Tools": "true",
    "Responses": "true",
    "Batches": "true",
    "Webhooks": "true",
    "Evaluation": "true",
    "Jobs": "true",
}
"""The parameters with which every function is there."""
SWITCHES: Final = (
    "HasFiles",
    "HasVectorStores",
    "HasTools",
    "HasResponses",
    "HasBatches",
    "HasWebhooks",
    "HasEvaluation",
)
FUNCTION: Final = re.compile(r"/functions/\$\{(\w+)\.Arn\}:live/")


def template() -> dict[str, Any]:
    return TEMPLATE.document


def resources(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in template()["Resources"].items() if each["Type"] == kind}


def properties(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in resources(kind).items()}


def functions() -> dict[str, dict[str, Any]]:
    """The functions' properties by the module that they run."""
    return {_module(each): each for each in properties("AWS::Serverless::Function").values()}


def _module(function: Mapping[str, Any]) -> str:
    return str(function["Handler"]).split(".")[1]


@dataclass(frozen=True, slots=True)
class Group:
    """A path of the API, with every method; `{name}` stands for one segment and `{name+}` for one or more."""

    module: str
    path: str

    def takes(self, path: str) -> bool:
        parts = re.split(r"(\{\w+\+?\})", self.path)
        patterns = [_pattern(part) for part in parts]
        return re.fullmatch("".join(patterns), path) is not None

    @property
    def greedy(self) -> bool:
        return self.path.endswith("+}")

    def rank(self) -> list[int]:
        """API Gateway takes the lowest, segment by segment: text, then a parameter, then a greedy one."""
        return [2 if part.endswith("+}") else int(part.startswith("{")) for part in self.path.split("/")]


def _pattern(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    return ".+" if part.endswith("+}") else "[^/]+"


def reached(path: str, groups: list[Group]) -> Group:
    """The one that API Gateway passes a request for this path to."""
    return min((group for group in groups if group.takes(path)), key=Group.rank)


@cache
def groups() -> list[Group]:
    modules = {name: _module(each) for name, each in properties("AWS::Serverless::Function").items()}
    paths = properties("AWS::Serverless::Api")["Api"]["DefinitionBody"]["paths"]
    return [Group(modules[function], path) for path, item in paths.items() for function in _functions_of(item)]


def _functions_of(item: Mapping[str, Any]) -> set[str]:
    """The function's name in the template, where it is switched on; it must be one."""
    return {name for method in item.values() for name in FUNCTION.findall(str(switched_on(method[INTEGRATION]["uri"])))}


def switched_on(node: Any) -> Any:
    """`node` where every function is there."""
    if isinstance(node, dict) and "Fn::If" in node:
        condition, then, otherwise = node["Fn::If"]
        inner = [switched_on(then), switched_on(otherwise)]
        return inner[0] if condition in SWITCHES else {"Fn::If": [condition, *inner]}
    return node


def template_name(module: str) -> str:
    """What the template's names of a function begin with: `VectorIo` of `vector_io`."""
    return "".join(word.capitalize() for word in module.split("_"))


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """As they are written, those that are there on a condition too."""
    for name, role in properties("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement["Fn::If"][1] if "Fn::If" in statement else statement
    for name, apart in properties("AWS::IAM::ManagedPolicy").items():
        for statement in apart["PolicyDocument"]["Statement"] if name != "VpcPolicy" else ():
            of_role = f"{name.removesuffix('Policy')}Role"
            yield of_role, statement["Fn::If"][1] if "Fn::If" in statement else statement


def values(parameters: Mapping[str, str]) -> Values:
    """With these parameters, and the defaults of the others."""
    return Values(TEMPLATE, {**TEMPLATE.defaults(), **parameters}, REGION, PSEUDO)


def broken_rules(parameters: Mapping[str, str]) -> list[str]:
    """The names of the rules whose assertions do not hold."""
    messages = {problem.message for problem in values(parameters).problems()}
    rules = template()["Rules"].items()
    return [name for name, rule in rules if any(each["AssertDescription"] in messages for each in rule["Assertions"])]
