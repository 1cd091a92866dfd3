"""The rights that functions may need, a row each: `llambda iam` prints them, and infra/template.py puts them into template.yaml.

Of a table of DynamoDB a right is on the items whose partition keys match `keys`; the adapters in core/stores say what these
are, and each may have the namespace of a run config before it.

Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrock.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-prereq.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html (of a transaction, its parts').
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from core.cli.iam.right import Right
from core.frame.resources import Kind

LISTS: Final = {  # what the providers of an API list; IAM knows no resource of a list of all
    "inference": ("bedrock:ListFoundationModels", "bedrock:ListInferenceProfiles"),
    "safety": ("bedrock:ListGuardrails",),
}
INVOKE: Final = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")  # what Converse needs too
PROFILE: Final = "bedrock:InferenceProfileArn"  # IAM's key for the profile through which a model is called
LEADING_KEYS: Final = "dynamodb:LeadingKeys"
VIA: Final = "kms:ViaService"
PASSED_TO: Final = "iam:PassedToService"
SOURCE_FUNCTION: Final = "lambda:SourceFunctionArn"  # in what a function's code asks, not in what Lambda asks for it


def in_any_namespace(*patterns: str) -> tuple[str, ...]:
    """These patterns, and the same behind the namespace of a run config."""
    return (*patterns, *(f"*#{pattern}" for pattern in patterns))


def _resources(*kinds: str) -> tuple[str, ...]:
    """The partitions of resources of these kinds, and of their aliases."""
    names = [quote(kind, safe="") for kind in kinds]
    return in_any_namespace(*names, *(f"{name}@*" for name in names))


def _documents(*collections: str) -> tuple[str, ...]:
    """Of `doc` and `docs` in one pattern, as a policy has room for few: ids have no `#`, so that a name between two is a collection's."""
    return in_any_namespace(*(f"doc*#{name}#*" for name in collections))


GET: Final = ("dynamodb:GetItem",)
READ: Final = (*GET, "dynamodb:Query")
WRITE: Final = ("dynamodb:PutItem", "dynamodb:DeleteItem")

# The registry's table: a function reads what it resolves and who calls, and writes the kinds that it registers.
READ_RESOURCES: Final = Right("ReadResources", READ, "RegistryTable")  # on the kinds of this build: `read_resources`
READ_CALLERS: Final = Right(
    "ReadCallers", GET, "RegistryTable", keys=in_any_namespace("api_key", "api_key_use", "@configurations")
)
NOTE_KEY_USE: Final = Right("NoteKeyUse", WRITE[:1], "RegistryTable", keys=_resources("api_key_use"))
# Of those whose changes are in the audit trail, in the place of NoteKeyUse: a role has no room for both. No right has another action on
# the trail's items than this one and the next: it is appended to.
NOTE_CHANGES: Final = replace(NOTE_KEY_USE, sid="NoteChanges", keys=(*NOTE_KEY_USE.keys, *in_any_namespace("@audit#*")))
READ_AUDIT: Final = replace(NOTE_CHANGES, sid="ReadAudit", actions=READ[1:], keys=in_any_namespace("@audit#*"))
# Of one function alone, which lists keys to those whom the policy lets.
MANAGE_KEYS: Final = Right("ManageKeys", (READ[1], *WRITE), "RegistryTable", keys=_resources("api_key", "api_key_use"))
# The names of keys, for the usage that is counted by their ids.
READ_KEYS: Final = replace(MANAGE_KEYS, sid="ReadKeys", actions=READ[1:], keys=_resources("api_key"))
CONFIGURE: Final = Right("Configure", (READ[1], *WRITE), "RegistryTable", keys=in_any_namespace("@configurations"))


def read_resources(kinds: Iterable[Kind], of: str = "") -> Right:
    """To look up and list resources of these kinds, which are `of` some functions or of all; those without a path are the run config's alone."""
    keys = _resources(*(kind.name for kind in kinds if kind.path))
    return replace(READ_RESOURCES, sid=f"{READ_RESOURCES.sid}{of}", keys=keys)


def register(kinds: tuple[Kind, ...]) -> tuple[Right, ...]:
    """To register and unregister resources of these kinds, for the function that does; () where it has none.

    Those without a path are the run config's alone.
    """
    kinds = tuple(kind for kind in kinds if kind.path)
    if not kinds:
        return ()
    sid = "Register" + "And".join(_camel(kind.section) for kind in kinds)
    return Right(sid, WRITE, "RegistryTable", keys=_resources(*(kind.name for kind in kinds))), NOTE_CHANGES


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


# A transaction of updates needs no other: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
QUOTA: Final = Right("Quota", ("dynamodb:GetItem", "dynamodb:UpdateItem"), "QuotaTable")
FIND_USAGE: Final = ("dynamodb:Query", "dynamodb:BatchGetItem")
READ_USAGE: Final = Right("ReadUsage", FIND_USAGE, "QuotaTable", below=("", "/index/by_day"))
ITEMS: Final = ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")
STATE: Final = Right("State", ITEMS, "StateTable", keys=in_any_namespace("idempotency#*"))
LOGS: Final = Right("Logs", ("logs:CreateLogStream", "logs:PutLogEvents"), "{}LogGroup")
TRACES: Final = Right("Traces", ("xray:PutTraceSegments", "xray:PutTelemetryRecords"))
LIST: Final = Right("List", (*LISTS["inference"], *LISTS["safety"]), condition="ListsBedrock")
ASSUME_ROLES: Final = Right("AssumeRoles", ("sts:AssumeRole",), parameter="BedrockRoleArns", condition="AssumesRoles")
CALL_MODELS: Final = Right("CallModels", INVOKE, parameter="BedrockModelArns", condition="CallsBedrock")
CALL_BEHIND_PROFILES: Final = Right(
    "CallModelsBehindProfiles",
    INVOKE,
    parameter="BedrockProfileModelArns",
    condition="CallsBehindProfiles",
    through=CALL_MODELS.parameter,
)
RERANK: Final = Right(  # beside InvokeModel of the model: IAM knows no resource of it
    "Rerank", ("bedrock:Rerank",), condition="CallsBedrock"
)
APPLY_GUARDRAILS: Final = Right(
    "ApplyGuardrails", ("bedrock:ApplyGuardrail",), parameter="BedrockGuardrailArns", condition="AppliesGuardrails"
)

# Batches that Bedrock runs: its jobs, which have no names before they are made, the role as which it reads and writes their files, and
# the bucket with these. https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-permissions.html
RUN_BATCH_JOBS: Final = Right(
    "RunBatchJobs",
    ("bedrock:CreateModelInvocationJob", "bedrock:GetModelInvocationJob", "bedrock:StopModelInvocationJob"),
    condition="RunsBatchJobs",
    arns=(
        "arn:{partition}:bedrock:*:{account}:model-invocation-job/*",
        "arn:{partition}:bedrock:*::foundation-model/*",
        "arn:{partition}:bedrock:*:{account}:custom-model/*",
        "arn:{partition}:bedrock:*:{account}:inference-profile/*",
    ),
)
LIST_BATCH_JOBS: Final = Right("ListBatchJobs", ("bedrock:ListModelInvocationJobs",), condition="RunsBatchJobs")
PASS_BATCH_ROLE: Final = Right(
    "PassBatchRole", ("iam:PassRole",), parameter="BatchRoleArn", condition="RunsBatchJobs", to="bedrock.amazonaws.com"
)
BATCH_BUCKETS: Final = Right(
    "BatchBuckets",
    ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucket"),
    parameter="BatchBucketArns",
    condition="HasBatchBuckets",
)

# Evaluations that Bedrock runs, likewise; what is in their bucket is left there.
RUN_EVALUATION_JOBS: Final = replace(
    RUN_BATCH_JOBS,
    sid="RunEvaluationJobs",
    actions=("bedrock:CreateEvaluationJob",),
    condition="RunsEvaluationJobs",
    arns=RUN_BATCH_JOBS.arns[1:],
)
FOLLOW_EVALUATION_JOBS: Final = replace(
    RUN_EVALUATION_JOBS,
    sid="FollowEvaluationJobs",
    actions=("bedrock:GetEvaluationJob", "bedrock:StopEvaluationJob"),
    arns=("arn:{partition}:bedrock:*:{account}:evaluation-job/*",),
)
LIST_EVALUATION_JOBS: Final = replace(
    LIST_BATCH_JOBS,
    sid="ListEvaluationJobs",
    actions=("bedrock:ListEvaluationJobs",),
    condition=RUN_EVALUATION_JOBS.condition,
)
PASS_EVALUATION_ROLE: Final = replace(
    PASS_BATCH_ROLE,
    sid="PassEvaluationRole",
    parameter="EvaluationRoleArn",
    condition=RUN_EVALUATION_JOBS.condition,
)
EVALUATION_BUCKETS: Final = replace(
    BATCH_BUCKETS,
    sid="EvaluationBuckets",
    actions=("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucket"),
    parameter="EvaluationBucketArns",
    condition="HasEvaluationBuckets",
)

# The vector bucket of `remote::s3-vectors`, and its indexes. A query with a filter, with words or for what is kept beside a vector
# needs GetVectors too: https://docs.aws.amazon.com/AmazonS3/latest/API/API_S3VectorBuckets_QueryVectors.html
VECTORS: Final = Right(
    "Vectors",
    (
        "s3vectors:CreateIndex",
        "s3vectors:DeleteIndex",
        "s3vectors:DeleteVectors",
        "s3vectors:GetIndex",
        "s3vectors:GetVectorBucket",
        "s3vectors:GetVectors",
        "s3vectors:ListVectors",
        "s3vectors:PutVectors",
        "s3vectors:QueryVectors",
    ),
    parameter="VectorBucketArns",
    condition="HasVectorBuckets",
)
VECTORS_OF_STACK: Final = replace(
    VECTORS,
    sid="VectorsOfStack",
    resource="VectorBucket.VectorBucketArn",
    parameter="",
    condition="HasVectorStores",
    below=("", "/index/*"),
)

# The Aurora clusters that `remote::pgvector` asks over the RDS Data API, which reads the secret with the database's user as its
# caller: that one is in `secrets`. https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.access.html
DATABASES: Final = Right(
    "Databases",
    (
        "rds-data:BatchExecuteStatement",
        "rds-data:BeginTransaction",
        "rds-data:CommitTransaction",
        "rds-data:ExecuteStatement",
        "rds-data:RollbackTransaction",
    ),
    parameter="DatabaseArns",
    condition="HasDatabases",
)

# The knowledge bases of `remote::bedrock-knowledge-base`.
SEARCH_KNOWLEDGE_BASES: Final = Right(
    "SearchKnowledgeBases", ("bedrock:Retrieve",), parameter="KnowledgeBaseArns", condition="HasKnowledgeBases"
)

# The functions of `remote::lambda`. One that is called by an alias or a version is allowed by that ARN alone:
# https://docs.aws.amazon.com/lambda/latest/dg/access-control-identity-based.html
INVOKE_TOOL_FUNCTIONS: Final = Right(
    "InvokeToolFunctions", ("lambda:InvokeFunction",), parameter="ToolFunctionArns", condition="HasToolFunctions"
)

# AgentCore's gateways among the MCP servers whose requests are signed:
# https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/gateway-inbound-auth.html
INVOKE_MCP_GATEWAYS: Final = Right(
    "InvokeMcpGateways", ("bedrock-agentcore:InvokeGateway",), parameter="McpGatewayArns", condition="HasMcpGateways"
)

# The buckets of `remote::s3`, and what is in them. Whoever may not list a bucket is told that a missing object is forbidden.
FILE_BUCKETS: Final = Right(
    "FileBuckets",
    ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucket"),
    parameter="FileBucketArns",
    condition="HasFileBuckets",
)

# The buckets from which datasets are read, and what is in them.
READ_SOURCES: Final = replace(
    FILE_BUCKETS,
    sid="ReadSources",
    actions=("s3:GetObject", "s3:ListBucket"),
    parameter="SourceBucketArns",
    condition="HasSourceBuckets",
)

# The functions' network interfaces, which Lambda makes as the function's role:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
JOIN_VPC: Final = Right(
    "JoinVpc",
    (
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ),
    condition="JoinsVpc",
    by_service=True,
)

# The secrets that a run config names: whoever asks a provider, be it for its models alone, bears its key.
GET_SECRET: Final = ("secretsmanager:GetSecretValue",)
READ_VLLM_TOKEN: Final = Right("ReadVllmToken", GET_SECRET, parameter="VllmApiTokenSecretArn", condition="HasVllmToken")
READ_UPSTREAM_KEY: Final = replace(
    READ_VLLM_TOKEN, sid="ReadUpstreamKey", parameter="UpstreamApiKeySecretArn", condition="HasUpstreamKey"
)
READ_SECRETS: Final = replace(READ_VLLM_TOKEN, sid="ReadSecrets", parameter="SecretArns", condition="HasSecrets")
READ_PARAMETERS: Final = Right(
    "ReadParameters", ("ssm:GetParameter",), parameter="SsmParameterArns", condition="HasSsmParameters"
)
DECRYPT_SECRETS: Final = (
    Right(  # whatever key a secret is encrypted with: where it is not AWS's own, its reader needs it
        "DecryptSecrets", ("kms:Decrypt",), condition="ReadsSecrets", via=("secretsmanager", "ssm")
    )
)
SECRETS: Final = (READ_VLLM_TOKEN, READ_UPSTREAM_KEY, READ_SECRETS, READ_PARAMETERS, DECRYPT_SECRETS)
USE_KEY: Final = (
    Right(  # of the tables, the bucket and the queue, which DynamoDB, S3 and SQS use for whoever calls them
        "UseKey",
        ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"),
        parameter="KmsKeyArn",
        condition="HasKmsKey",
    )
)
SEAL: Final = (
    replace(  # what a compacted context is sealed with, by the key of the run config; UseKey has it of the stack's own
        USE_KEY, sid="SealContexts", actions=("kms:Decrypt", "kms:GenerateDataKey")
    )
)

# What the stores of `Api.stores` need, by the kind of store.
STORE: Final = (*ITEMS, "dynamodb:Query", "dynamodb:BatchGetItem")
DOCUMENTS: Final = Right("Documents", STORE, "StateTable", keys=_documents("*"))
JOBS: Final = Right(
    "Jobs",
    (*ITEMS, "dynamodb:Query"),
    "StateTable",
    condition="HasJobs",
    keys=in_any_namespace("job#*", "jobs#*", "jobkey#*"),
)
SEND_JOBS: Final = Right("SendJobs", ("sqs:SendMessage",), "JobsQueue", condition="HasJobs")
BLOBS: Final = Right(
    "Blobs",
    ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
    "BlobBucket",
    condition="HasBlobs",
    below=("/*",),
)
LIST_BLOBS: Final = Right("ListBlobs", ("s3:ListBucket",), "BlobBucket", condition="HasBlobs")
OF_STORES: Final = {
    "documents": (DOCUMENTS,),
    "jobs": (JOBS,),
    "queue": (SEND_JOBS,),
    "blobs": (BLOBS, LIST_BLOBS),
}


def documents_of(api: str, collections: tuple[str, ...]) -> Right:
    """To keep the documents of these collections, the only ones that the API has."""
    return replace(DOCUMENTS, sid=f"DocumentsOf{_camel(api)}", keys=_documents(*collections))


# The worker's own, which is only there with its queue and bucket.
WORK_ON_JOBS: Final = Right(  # the last is what Lambda itself asks, as the function's role
    "WorkOnJobs",
    (
        "sqs:SendMessage",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
    ),
    "JobsQueue",
)
TELL_EVENT_BUS: Final = Right("TellEventBus", ("events:PutEvents",), parameter="EventBusArn", condition="HasEventBus")
OF_WORKER: Final = (
    TELL_EVENT_BUS,
    replace(JOBS, sid="WorkerJobs", condition=""),
    WORK_ON_JOBS,
    replace(BLOBS, sid="WorkerBlobs", condition=""),
    replace(LIST_BLOBS, sid="WorkerListsBlobs", condition=""),
    READ_SOURCES,
)
OF_BATCHES: Final = (RUN_BATCH_JOBS, LIST_BATCH_JOBS, PASS_BATCH_ROLE, BATCH_BUCKETS)  # the worker's too
OF_EVALUATIONS: Final = (RUN_EVALUATION_JOBS, FOLLOW_EVALUATION_JOBS, PASS_EVALUATION_ROLE, EVALUATION_BUCKETS)
