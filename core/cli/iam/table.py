"""The rights that functions may need, a row each: `llambda iam` prints them, and infra/template.py puts them into template.yaml.

Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrock.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html.
"""

from dataclasses import dataclass, replace
from typing import Final

LISTS: Final = {  # what the providers of an API list; IAM knows no resource of a list of all
    "inference": ("bedrock:ListFoundationModels", "bedrock:ListInferenceProfiles"),
    "safety": ("bedrock:ListGuardrails",),
}
INVOKE: Final = (
    "bedrock:InvokeModel",
    "bedrock:InvokeModelWithResponseStream",
)  # Converse and ConverseStream need these
PROFILE: Final = "bedrock:InferenceProfileArn"  # IAM's key for the profile through which a model is called


@dataclass(frozen=True, slots=True)
class Right:
    """Actions on a resource of template.yaml, or on the ARNs in a parameter of it, or else on `*`.

    `{}` in `resource` is the function; `below`: on what is in the resource, a bucket. `condition` is the template's: without it the statement is left out. `through` is
    the parameter with the inference profiles by which alone the ARNs may be called.
    """

    sid: str
    actions: tuple[str, ...]
    resource: str = ""
    parameter: str = ""
    condition: str = ""
    through: str = ""
    below: bool = False


REGISTRY: Final = Right(  # a transaction is allowed by the actions of its parts
    "Registry", ("dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"), "RegistryTable"
)
QUOTA: Final = Right("Quota", ("dynamodb:GetItem", "dynamodb:UpdateItem"), "QuotaTable")
STATE: Final = Right(
    "State", ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"), "StateTable"
)
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
APPLY_GUARDRAILS: Final = Right(
    "ApplyGuardrails", ("bedrock:ApplyGuardrail",), parameter="BedrockGuardrailArns", condition="AppliesGuardrails"
)

# What the stores of `Api.stores` need, by the kind of store.
DOCUMENTS: Final = Right("Documents", (*STATE.actions, "dynamodb:Query", "dynamodb:BatchGetItem"), "StateTable")
JOBS: Final = Right("Jobs", DOCUMENTS.actions, "StateTable", condition="HasJobs")
SEND_JOBS: Final = Right("SendJobs", ("sqs:SendMessage",), "JobsQueue", condition="HasJobs")
BLOBS: Final = Right(
    "Blobs",
    ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
    "BlobBucket",
    condition="HasJobs",
    below=True,
)
LIST_BLOBS: Final = Right("ListBlobs", ("s3:ListBucket",), "BlobBucket", condition="HasJobs")
OF_STORES: Final = {
    "documents": (DOCUMENTS,),
    "jobs": (JOBS,),
    "queue": (SEND_JOBS,),
    "blobs": (BLOBS, LIST_BLOBS),
}

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
OF_WORKER: Final = (
    DOCUMENTS,
    WORK_ON_JOBS,
    replace(BLOBS, sid="WorkerBlobs", condition=""),
    replace(LIST_BLOBS, sid="WorkerListsBlobs", condition=""),
)
