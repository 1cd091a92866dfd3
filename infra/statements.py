"""The rights of core/cli/iam/table.py as statements of template.yaml."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
import json
from typing import Final

from core.cli.iam import table
from core.cli.iam.right import Right

WIDTH: Final = 128  # of a statement on one line
NONE: Final = "!Ref AWS::NoValue"
ANY_KEY: Final = '!Sub "arn:${AWS::Partition}:kms:*:*:key/*"'
HAS_JOBS: Final = table.SEND_JOBS.condition
IMPLIED: Final = {
    "HasFiles": ("HasFiles", "HasBlobs"),
    "HasVectorStores": ("HasVectorStores",),
    "HasTools": ("HasTools",),
    "HasResponses": ("HasResponses", "HasBlobs", HAS_JOBS),
    "HasBatches": ("HasBatches", "HasFiles", "HasBlobs", HAS_JOBS),
    "HasWebhooks": ("HasWebhooks",),
    "HasEvaluation": ("HasEvaluation", "HasBlobs", HAS_JOBS),
    HAS_JOBS: (HAS_JOBS, "HasBlobs"),
}
"""What holds of conditions where a function is that is there on one of them."""


@dataclass
class Anchors:
    """YAML anchors: a text is written in full where it first occurs, and as an alias from then on."""

    _names: set[str] = field(default_factory=set[str])

    def __call__(self, name: str, text: str) -> str:
        """`text` as it is to be written here; without a blank before what follows on lines of its own."""
        if name in self._names:
            return f"*{name}"
        self._names.add(name)
        return f"&{name}{'' if text.startswith('\n') else ' '}{text}"


def within(switch: str, name: str, right: Right) -> Right:
    """The right without a condition that holds wherever the function `name` is, which is there where `switch` holds."""
    if right.condition not in IMPLIED.get(switch, ()):
        return right
    return replace(right, condition="", sid=f"{right.sid}Of{name}")


def statement(right: Right, name: str, anchors: Anchors) -> str:
    """A line, or a few, of the policy of the function `name`."""
    resource = f"!Ref {right.parameter}" if right.parameter else ANY_KEY if right.via else '"*"'
    if right.resource:
        arns = [_arn(right.resource.format(name), rest) for rest in right.below]
        resource = arns[0] if len(arns) == 1 else f"[{', '.join(arns)}]"
    if right.arns:
        here = {"partition": "${AWS::Partition}", "account": "${AWS::AccountId}"}
        resource = f"[{', '.join(f'!Sub "{arn.format_map(here)}"' for arn in right.arns)}]"
    grant = f"Sid: {right.sid}, Effect: Allow, Resource: {resource}"
    clauses = [f"Action: {json.dumps(right.actions)}"]
    if condition := _condition_of(right):
        clauses.append(f"Condition: {condition}")
    start, end = (f"!If [{right.condition}, {{ ", f" }}, {NONE}]") if right.condition else ("{ ", " }")
    text = f"{start}{', '.join([grant, *clauses])}{end}"
    if len(text) > WIDTH:
        text = f"{start}{f',\n{" " * 18}'.join([grant, *clauses])}{end}"
    return f"{' ' * 14}- {text if '{}' in right.resource else anchors(right.sid, text)}\n"


def managed_policy(name: str, description: str, rights: Sequence[Right]) -> str:
    """A managed policy, which is there where the first of the rights holds."""
    shared = rights[0].condition  # the resource has it
    apart = (replace(right, condition="") if right.condition == shared else right for right in rights)
    statements = (statement(right, "", Anchors()).replace(f"&{right.sid} ", "") for right in apart)
    return f"""\
  {name}:
    Condition: {rights[0].condition}
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Description: {description}
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
{"".join(statements)}"""


def _arn(resource: str, rest: str) -> str:
    arn = resource if "." in resource else f"{resource}.Arn"
    return f'!Sub "${{{arn}}}{rest}"' if rest else f"!GetAtt {arn}"


def _condition_of(right: Right) -> str:
    if right.through:
        return f'{{ StringEquals: {{ "{table.PROFILE}": !Ref {right.through} }} }}'
    if right.keys:
        return f'{{ "ForAllValues:StringLike": {{ "{table.LEADING_KEYS}": {json.dumps(right.keys)} }} }}'
    if right.by_service:
        return f'{{ "Null": {{ "{table.SOURCE_FUNCTION}": "true" }} }}'
    if right.to:
        return f'{{ StringEquals: {{ "{table.PASSED_TO}": {right.to} }} }}'
    services = ", ".join(f'!Sub "{service}.*.${{AWS::URLSuffix}}"' for service in right.via)
    return f'{{ StringLike: {{ "{table.VIA}": [{services}] }} }}' if services else ""
