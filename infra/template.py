"""`python -m infra.template` writes the parts of template.yaml that follow from the code: PARTS.

A part stands between `# ---- NAME` and `# ---- end of NAME`; the rest is written by hand. The result is checked in,
because SAM reads the file as it is, and a test says when it is stale.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
import json
import re
from typing import Final

from core.apis.index import all_manifests, manifest, route_rows
from core.cli.iam import table
from core.cli.iam.right import Right
from core.frame.api import WORKER, Api, Deployment, RouteRow
from infra import monitoring
from infra.build import ROOT, modules
from infra.gateway_paths import CATCH_ALL, Group, groups
from infra.resource_rights import READ_BY_ALL, read_by
from infra.statements import HAS_JOBS, IMPLIED, NONE, Anchors, managed_policy, statement, within

PATH: Final = ROOT / "template.yaml"
EVERY: Final = (  # every function may list models: that is how a provider's health is found
    table.LOGS,
    READ_BY_ALL,
    table.READ_CALLERS,
    table.QUOTA,
    table.LIST,
    table.ASSUME_ROLES,
    *table.SECRETS,
    table.USE_KEY,
    table.TRACES,
)
OF_MODELS: Final = (table.CALL_MODELS, table.CALL_BEHIND_PROFILES, table.RERANK, table.APPLY_GUARDRAILS)
OF_HTTP: Final = (
    table.NOTE_KEY_USE,
    table.STATE,
    table.CONFIGURE,
    table.MANAGE_KEYS,
    table.NOTE_CHANGES,
    table.READ_AUDIT,
    table.READ_KEYS,
    table.READ_USAGE,
    table.LIST_EVALUATION_JOBS,
)
"""What only those need whom callers call: the worker acts for them, and has no tokens and no requests of theirs."""
OF_BEDROCKS_JOBS: Final = (
    ("BatchPolicy", WORKER, "What the worker needs to have Bedrock run batches.", table.OF_BATCHES),
    ("EvaluationPolicy", "eval", "What the function eval needs to have Bedrock evaluate.", table.OF_EVALUATIONS),
)
"""Policies beside a function's own, in which there is no room: models' ARNs nearly reach the limit."""
RIGHTS: Final = {right.sid: right for right in vars(table).values() if isinstance(right, Right)}
ALIAS: Final = "live"  # what the API calls: Globals.Function.AutoPublishAlias
URI: Final = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path"
BOUNDARY: Final = f"!If [HasBoundary, !Ref PermissionsBoundaryArn, {NONE}]"
KEY: Final = f"!If [HasKmsKey, !Ref KmsKeyArn, {NONE}]"
OF_STREAMS: Final = ("StreamsAtOnce", f"!If [BoundsStreams, !Ref StreamConcurrency, {NONE}]")
OF_OTHERS: Final = ("RequestsAtOnce", f"!If [BoundsRequests, !Ref RequestConcurrency, {NONE}]")
IN_VPC: Final = f"!If [{table.JOIN_VPC.condition}, [!Ref VpcPolicy], {NONE}]"
BY_LAMBDA: Final = """
        Version: "2012-10-17"
        Statement: [{ Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: "sts:AssumeRole" }]"""
THE_API: Final = '!Sub "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"'
# An empty list asks for nothing; `sam local` reads no NoValue in the API's document.
GUARDED: Final = "!If [AuthorizesInFront, [{ Cognito: !Ref GatewayScopes }], []]"
PREFLIGHT: Final = "{ responses: {}, x-amazon-apigateway-integration: *To%s }"  # of a browser, which sends no token


@dataclass(frozen=True, slots=True)
class Function:
    """`module` is that of functions/; `rows` are all that its app serves; `rights` are those beside EVERY."""

    module: str
    description: str
    rows: tuple[RouteRow, ...]
    deployment: Deployment = field(default_factory=Deployment)
    streams: bool = False
    rights: tuple[Right, ...] = ()

    @property
    def switch(self) -> str:
        """The condition without which there is no such function; "" where there is always one."""
        return HAS_JOBS if self.module == WORKER else self.deployment.switch

    @property
    def rights_apart(self) -> tuple[Right, ...]:
        """Those in a policy of their own: a role's is too small for the ARNs of models and for what a function keeps."""
        is_large = table.CALL_MODELS in self.rights and (self.switch or table.BLOBS in self.rights)
        return tuple(right for right in self.rights if right not in OF_MODELS) if is_large else ()

    @property
    def name(self) -> str:
        """`vector_io` is VectorIo in the template, as `infra.build.module_of` reads it."""
        return "".join(word.capitalize() for word in self.module.split("_"))


def functions() -> list[Function]:
    """The functions of this checkout that serve an API, in alphabetical order."""
    return [_function(module) for module in modules() if module != WORKER]


def _function(module: str) -> Function:
    api, rows = manifest(module), tuple(route_rows([module]))
    return Function(module, _description(module), rows, api.deployment, api.streams, _rights(api))


def _description(module: str) -> str:
    docstring = ast.get_docstring(ast.parse((ROOT / "functions" / f"{module}.py").read_text("utf-8"))) or ""
    return docstring.partition("\n")[0]


def _rights(api: Api) -> tuple[Right, ...]:
    """Those that its manifest names, those of the kinds that it registers, and of the stores that it keeps state in."""
    stores = [right for store in (*api.stores, *api.optional_stores) for right in table.OF_STORES[store]]
    if api.collections:
        stores = [table.documents_of(api.name, api.collections) if r is table.DOCUMENTS else r for r in stores]
    own = [RIGHTS[sid] for sid in api.deployment.rights]
    rights = dict.fromkeys([table.NOTE_KEY_USE, *own, *read_by(api), *table.register(api.kinds), *stores])
    return tuple(right for right in rights if right is not table.NOTE_KEY_USE or table.NOTE_CHANGES not in rights)


def _worker() -> Function:
    """It acts for every API that has jobs, with the rights of all of them: those on documents in one, as a policy is short."""
    apis = [replace(api, kinds=()) for api in all_manifests()]
    rights = [right for api in apis for right in _rights(api)]
    apart = {table.documents_of(api.name, api.collections) for api in apis if api.collections}
    own = [right for right in rights if right.condition not in IMPLIED[HAS_JOBS] and right not in {*OF_HTTP, *apart}]
    documents = table.documents_of(WORKER, tuple(dict.fromkeys(name for api in apis for name in api.collections)))
    return Function(WORKER, _description(WORKER), (), rights=tuple(dict.fromkeys([*own, documents, *table.OF_WORKER])))


def _functions(every: Sequence[Function]) -> str:
    anchors = Anchors()
    return "\n".join(
        [
            *(_stanza(function, anchors) for function in every),
            _worker_stanza(_worker(), anchors),
            *(managed_policy(name, description, rights) for name, _, description, rights in OF_BEDROCKS_JOBS),
            managed_policy("VpcPolicy", "What Lambda itself needs to connect functions with a VPC.", [table.JOIN_VPC]),
        ]
    )


def _stanza(function: Function, anchors: Anchors) -> str:
    name, deployment, only = function.name, function.deployment, _only(function)
    seconds = "!If [Streams, 900, 29] # as long as API Gateway waits" if function.streams else deployment.seconds
    reserved = anchors(*(OF_STREAMS if function.streams else OF_OTHERS))
    wrapper = (
        f"      Environment: {{ Variables: {{ AWS_LAMBDA_EXEC_WRAPPER: !If [Streams, /var/task/stream, {NONE}] }} }}\n"
    )
    return f"""\
  {name}Function:
{only}\
    Type: AWS::Serverless::Function
    Metadata: {{ BuildMethod: makefile }}
    Properties:
      Description: {json.dumps(function.description)}
      Handler: functions.{function.module}.handler
      MemorySize: {deployment.memory_mb}
      Timeout: {seconds}
      Role: !GetAtt {name}Role.Arn
      LoggingConfig: {{ LogGroup: !Ref {name}LogGroup }}
      AutoPublishAliasAllProperties: true # else a changed parameter makes no new version
      ReservedConcurrentExecutions: {reserved}
{wrapper if function.streams else ""}\
  {name}Permission:
{only}\
    Type: AWS::Lambda::Permission
    Properties: {{ Action: "lambda:InvokeFunction", FunctionName: !Ref {name}Function.Alias, Principal: apigateway.amazonaws.com,
      SourceArn: {anchors("TheApi", THE_API)} }}
{_log_group_and_role(function, anchors)}"""


def _worker_stanza(function: Function, anchors: Anchors) -> str:
    """Batches of one message, of which a failure is one; a failure of the function itself is all of them."""
    return f"""\
  WorkerFunction: # its queue invokes it, and nobody else
    Condition: {HAS_JOBS}
    Type: AWS::Serverless::Function
    Metadata: {{ BuildMethod: makefile }}
    Properties:
      Description: {json.dumps(function.description)}
      Handler: functions.{function.module}.handler
      MemorySize: {function.deployment.memory_mb}
      Timeout: 900
      Role: !GetAtt WorkerRole.Arn
      LoggingConfig: {{ LogGroup: !Ref WorkerLogGroup }}
      AutoPublishAliasAllProperties: true # else a changed parameter makes no new version
      RecursiveLoop: Allow # a shard is sent on to the same queue, as often as it takes
      Events:
        Jobs:
          Type: SQS
          Properties: {{ Queue: !GetAtt JobsQueue.Arn, BatchSize: 1, FunctionResponseTypes: [ReportBatchItemFailures],
            ScalingConfig: {{ MaximumConcurrency: !Ref JobsConcurrency }} }}
{_log_group_and_role(function, anchors)}"""


def _only(function: Function) -> str:
    return f"    Condition: {function.switch}\n" if function.switch else ""


def _log_group_and_role(function: Function, anchors: Anchors) -> str:
    name, only, apart = function.name, _only(function), function.rights_apart
    return f"""\
  {name}LogGroup:
{only}\
    Type: AWS::Logs::LogGroup
    Properties: {{ LogGroupName: !Sub "/aws/lambda/${{AWS::StackName}}-{function.module}", RetentionInDays: !Ref LogRetentionDays,
      KmsKeyId: {anchors("Key", KEY)} }}
  {name}Role:
{only}\
    Type: AWS::IAM::Role
    Properties:
      PermissionsBoundary: {anchors("Boundary", BOUNDARY)}
      AssumeRolePolicyDocument: {anchors("ByLambda", BY_LAMBDA)}
      ManagedPolicyArns: {_managed_policies(function, anchors)}
      Policies:
        - PolicyName: rights
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
{_statements(function, [right for right in [*EVERY, *function.rights] if right not in apart], anchors)}{_policy_apart(function, anchors)}"""


def _statements(function: Function, rights: Sequence[Right], anchors: Anchors) -> str:
    of_function = (within(function.switch, function.name, right) for right in rights)
    return "".join(statement(right, function.name, anchors) for right in of_function)


def _managed_policies(function: Function, anchors: Anchors) -> str:
    if not function.rights_apart:
        return anchors("InVpc", IN_VPC)
    policies = [(table.JOIN_VPC, "VpcPolicy")]
    policies += [(rights[0], name) for name, module, _, rights in OF_BEDROCKS_JOBS if module == function.module]
    optional = (f"!If [{first.condition}, !Ref {name}, {NONE}]" for first, name in policies)
    return f"[{', '.join([f'!Ref {function.name}Policy', *optional])}]"


def _policy_apart(function: Function, anchors: Anchors) -> str:
    if not function.rights_apart:
        return ""
    return f"""\
  {function.name}Policy:
{_only(function)}\
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Description: What the function {function.module} keeps and works on.
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
{_statements(function, function.rights_apart, anchors)}"""


def _paths(every: Sequence[Function]) -> str:
    anchors = Anchors()
    by_module = {function.module: function for function in every}
    return "".join(
        f"          {group.path}: {_path_item(by_module[group.module], group, anchors)}\n" for group in groups(every)
    )


def _path_item(function: Function, group: Group, anchors: Anchors) -> str:
    integration = anchors(f"To{function.name}", _integration(function))
    security = "" if group.open else f"\n              security: {anchors('Guarded', GUARDED)}"
    name = f"{function.name}Open" if group.open else function.name
    preflight = f"\n            options: {PREFLIGHT % function.name}" if not group.open else ""
    return anchors(
        name,
        f"""
            x-amazon-apigateway-any-method:
              responses: {{}}{security}
              x-amazon-apigateway-integration: {integration}{preflight}""",
    )


def _integration(function: Function) -> str:
    """What is switched off leads to CATCH_ALL, whose 404 says which API it is."""
    streams = "Streams"
    target = f"functions/${{{function.name}Function.Arn}}:{ALIAS}"
    whole = [_invocation(function.name)]
    if function.switch:
        streams = f"{function.switch.replace('Has', 'Streams', 1)}"
        other = _invocation(CATCH_ALL.capitalize())
        whole = ["!If", f"  - {function.switch}", f"  - {whole[0]}", f"  - {other}"]
    lines = ["", "type: aws_proxy", "httpMethod: POST"]
    if not function.streams:
        return f"\n{' ' * 16}".join([*lines, f"uri: {whole[0]}", *whole[1:]])
    streamed = f'!Sub "{URI}/2021-11-15/{target}/response-streaming-invocations"'
    uri = ["uri: !If", f"  - {streams}", f"  - {streamed}", f"  - {whole[0]}", *(f"  {line}" for line in whole[1:])]
    how = [
        f"responseTransferMode: !If [{streams}, STREAM, BUFFERED]",
        f"timeoutInMillis: !If [{streams}, 900000, 29000]",
    ]
    return f"\n{' ' * 16}".join([*lines, *uri, *how])


def _invocation(name: str) -> str:
    """Of a function that answers in one piece."""
    return f'!Sub "{URI}/2015-03-31/functions/${{{name}Function.Arn}}:{ALIAS}/invocations"'


def _outputs(every: Sequence[Function]) -> str:
    worker = f"  WorkerFunctionArn: {{ Condition: {HAS_JOBS}, Description: {json.dumps(_description(WORKER))},"
    return (
        worker
        + " Value: !GetAtt WorkerFunction.Arn }\n"
        + "".join(
            f"  {function.name}FunctionArn: {{ {f'Condition: {function.switch}, ' if function.switch else ''}"
            f"Description: {json.dumps(function.description)}, Value: !GetAtt {function.name}Function.Arn }}\n"
            for function in every
        )
    )


def _alarms(every: Sequence[Function]) -> str:
    return monitoring.alarms([*every, _worker()])


PARTS: Final = {
    "functions": _functions,
    "paths": _paths,
    "outputs": _outputs,
    "alarms": _alarms,
    "dashboard": monitoring.dashboard,
}


def refresh(text: str, every: Sequence[Function]) -> str:
    """The template with its generated parts written anew.

    Raises:
        ValueError: two functions serve the same path, or a part has not exactly one place.
    """
    for name, write in PARTS.items():
        places = list(re.finditer(rf"^ *# ---- {name}\b.*\n(?s:(.*?))^ *# ---- end of {name}\n", text, re.MULTILINE))
        if len(places) != 1:
            raise ValueError(f"template.yaml must have one place for its {name}")
        text = f"{text[: places[0].start(1)]}{write(every)}{text[places[0].end(1) :]}"
    return text


if __name__ == "__main__":
    PATH.write_text(refresh(PATH.read_text("utf-8"), functions()), "utf-8")
