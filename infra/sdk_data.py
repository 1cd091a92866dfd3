"""botocore's service models, endpoints, rules and paginators, reduced to the operations in use.

A cold start parses them as JSON: the whole of DynamoDB, of Bedrock and of the endpoints of 300 services would take 30
ms of it. They are written without botocore's gzip: the package is compressed already, and to decompress twice takes
time.
"""

from collections.abc import Collection, Iterable, Iterator
import gzip
import json
from pathlib import Path
from typing import Any, Final, cast

OPERATIONS: Final = {  # tests/unit/infra/test_sdk_data.py holds it to what core calls
    "bedrock/2023-04-20": (
        "CreateModelInvocationJob",
        "GetModelInvocationJob",
        "ListFoundationModels",
        "ListGuardrails",
        "ListInferenceProfiles",
        "ListModelInvocationJobs",
        "StopModelInvocationJob",
    ),
    "bedrock-agent-runtime/2023-07-26": ("Retrieve",),
    "bedrock-runtime/2023-09-30": ("ApplyGuardrail", "Converse", "ConverseStream", "InvokeModel"),
    "dynamodb/2012-08-10": (
        "BatchGetItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "Scan",
        "TransactWriteItems",
        "UpdateItem",
    ),
    "s3/2006-03-01": (
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CreateBucket",
        "CreateMultipartUpload",
        "DeleteObject",
        "DeleteObjects",
        "GetObject",
        "HeadBucket",
        "HeadObject",
        "ListObjectsV2",
        "PutObject",
        "UploadPart",
    ),
    "secretsmanager/2017-10-17": ("GetSecretValue",),
    "sqs/2012-11-05": ("ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage", "SendMessageBatch"),
    "ssm/2014-11-06": ("GetParameter",),
    "sts/2011-06-15": ("AssumeRole", "AssumeRoleWithWebIdentity"),
}
ONLY_WITH: Final = {
    "bedrock-agent-runtime/2023-07-26": "core.providers.knowledge_bases.vector_io",
    "s3/2006-03-01": "core.stores.blobs.s3",
    "secretsmanager/2017-10-17": "core.platform.aws_secrets",
    "sqs/2012-11-05": "core.stores.queue.sqs",
    "ssm/2014-11-06": "core.platform.aws_secrets",
}
"""The module that a package has where it needs the description of this service; those of all others are in every package."""
MODEL: Final = "service-2"
PAGES: Final = "paginators-1"
RULES: Final = "endpoint-rule-set-1"
PROSE: Final = frozenset({"documentation", "examples"})

type Json = dict[str, Any]


def trim_sdk_data(data: Path, modules: Collection[str] = frozenset(ONLY_WITH.values())) -> None:
    """Leave in botocore's folder `data` what OPERATIONS need in a package with these modules, and nothing more.

    Raises:
        ValueError: this botocore does not have an operation of the table.
    """
    services = [name for name in OPERATIONS if name not in ONLY_WITH or ONLY_WITH[name] in modules]
    contents = {
        f"{service}/{part}": _part(data, service, part) for service in services for part in (MODEL, PAGES, RULES)
    }
    endpoints = trim_endpoints(_read(data / "endpoints.json"), services)
    for path in sorted(data.rglob("*"), reverse=True):
        if path.parent != data:
            path.unlink() if path.is_file() else path.rmdir()
        elif path.is_dir():
            path.rmdir()
    for name, content in contents.items():
        _write(data / f"{name}.json", content)
    _write(data / "endpoints.json", endpoints)


def trim_model(model: Json, operations: Iterable[str]) -> Json:
    """A service's model with these operations alone, and the shapes that they and their errors are made of."""
    selection = {name: model["operations"][name] for name in operations}
    shapes: Json = {}
    waiting = sorted(set(_shapes(selection)))
    while waiting:
        name = waiting.pop()
        if name not in shapes:
            shapes[name] = model["shapes"][name]
            waiting += sorted(set(_shapes(shapes[name])))
    ordered = {name: shape for name, shape in model["shapes"].items() if name in shapes}  # so that a build repeats
    trimmed = cast("Json", _strip_prose(model | {"operations": selection, "shapes": ordered}))
    for parameter in trimmed.get("clientContextParams", {}).values():
        parameter["documentation"] = ""  # which the SDK reads, of S3's
    return trimmed


def trim_endpoints(endpoints: Json, operations: Iterable[str]) -> Json:
    """The endpoints of these services, by their names in OPERATIONS, in every partition and region."""
    services = {name.partition("/")[0] for name in operations}
    partitions = [
        partition | {"services": {name: of for name, of in partition["services"].items() if name in services}}
        for partition in endpoints["partitions"]
    ]
    return endpoints | {"partitions": partitions}


def _part(data: Path, service: str, part: str) -> Json:
    path = next((path for end in ("json", "json.gz") if (path := data / service / f"{part}.{end}").exists()), None)
    if path is None:
        raise ValueError(f"botocore has no {service}/{part}: correct OPERATIONS in infra/sdk_data.py")
    content, operations = _read(path), OPERATIONS[service]
    if part == MODEL:
        if missing := sorted(set(operations) - set(content["operations"])):
            raise ValueError(
                f"botocore's {service} has no {', '.join(missing)}: correct OPERATIONS in infra/sdk_data.py"
            )
        return trim_model(content, operations)
    if part == PAGES:
        return content | {"pagination": {name: of for name, of in content["pagination"].items() if name in operations}}
    return content


def _shapes(part: object) -> Iterator[str]:
    """The names of the shapes that it refers to."""
    if isinstance(part, dict):
        for key, value in cast("Json", part).items():
            if key == "shape" and isinstance(value, str):
                yield value
            else:
                yield from _shapes(value)
    elif isinstance(part, list):
        for item in cast("list[object]", part):
            yield from _shapes(item)


def _strip_prose(part: object) -> object:
    """Without documentation; a shape may have a member of that name, which is an object and stays."""
    if isinstance(part, dict):
        items = cast("Json", part).items()
        return {key: _strip_prose(value) for key, value in items if key not in PROSE or isinstance(value, dict)}
    if isinstance(part, list):
        return [_strip_prose(item) for item in cast("list[object]", part)]
    return part


def _read(path: Path) -> Json:
    content = path.read_bytes()
    return cast("Json", json.loads(gzip.decompress(content) if path.suffix == ".gz" else content))


def _write(path: Path, content: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")
