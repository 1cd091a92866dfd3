"""template.yaml has a place for jobs where it is asked for one: a queue that fits its worker, and a bucket that nobody else reads."""

from collections.abc import Iterator
from typing import Any, Final

from core.cli.iam import table
from core.config.load import interpret
from core.config.state import state_of
from core.stores.queue.port import MOST_RECEIVES
from tests.architecture.template import functions, properties, resources, statements, template, values

ON: Final = {"Jobs": "true"}
OF_JOBS: Final = {
    "JobsQueue",
    "JobsDeadLetters",
    "BlobBucket",
    "BlobBucketPolicy",
    "WorkerFunction",
    "WorkerLogGroup",
    "WorkerRole",
    "WorkerPolicy",
}


def made(parameters: dict[str, str]) -> set[str]:
    return {
        name
        for name, each in template()["Resources"].items()
        if "Condition" not in each or values(parameters).holds(each["Condition"])
    }


def granted(role: str, prefix: str) -> set[str]:
    return {
        action
        for of_role, statement in statements()
        if of_role == role
        for action in statement["Action"]
        if action.startswith(prefix)
    }


def test_everything_of_jobs_is_made_on_request_alone() -> None:
    assert template()["Parameters"]["Jobs"]["Default"] == "false"
    assert made(ON) - made({}) == OF_JOBS
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert values({}).value(variables["JOBS_QUEUE_URL"]) == values({}).value(variables["BLOB_BUCKET"]) == ""
    assert values(ON).value(variables["JOBS_QUEUE_URL"])


def test_responses_bring_the_queue_and_the_worker_of_their_runs_and_nothing_is_there_without_them() -> None:
    made_here = made({"Responses": "true"}) - made({})
    assert made_here >= OF_JOBS
    assert {name for name in made_here - OF_JOBS if not name.startswith("Responses")} == set()
    assert "sqs:SendMessage" in granted("ResponsesRole", "sqs:")
    assert functions()["worker"]["RecursiveLoop"] == "Allow"


def test_the_queue_hides_a_message_at_least_as_long_as_its_worker_may_run_and_buries_what_kills_it() -> None:
    queue = properties("AWS::SQS::Queue")["JobsQueue"]
    assert queue["VisibilityTimeout"] >= functions()["worker"]["Timeout"] == 900
    redrive = queue["RedrivePolicy"]
    assert redrive["maxReceiveCount"] == MOST_RECEIVES
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["JobsDeadLetters", "Arn"]}


def test_the_worker_gets_a_message_at_a_time_says_which_failed_and_may_send_to_its_own_queue() -> None:
    worker = functions()["worker"]
    assert worker["RecursiveLoop"] == "Allow"
    [source] = [event["Properties"] for event in worker["Events"].values()]
    assert (source["BatchSize"], source["FunctionResponseTypes"]) == (1, ["ReportBatchItemFailures"])
    assert source["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "JobsConcurrency"}}


def test_the_bucket_is_private_encrypted_kept_and_forgets_what_was_never_finished() -> None:
    [bucket] = resources("AWS::S3::Bucket").values()
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    settings: dict[str, Any] = bucket["Properties"]
    assert set(settings["PublicAccessBlockConfiguration"].values()) == {True}
    assert settings["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    rules = settings["LifecycleConfiguration"]["Rules"]
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    lives = {f"documents/{name}/": int(name[:-1]) for name in ("1d", "7d", "30d", "365d")}
    files = {f"files/{name}/": int(name[:-1]) for name in ("1d", "7d", "30d", "365d")}
    assert days == {"jobs/": 45, "uploads/1d/": 1, **lives, **files}


def test_the_worker_takes_messages_and_whoever_makes_jobs_sends_them() -> None:
    assert granted("WorkerRole", "sqs:") == set(table.WORK_ON_JOBS.actions)
    assert granted("WorkerRole", "s3:") == {*table.BLOBS.actions, *table.LIST_BLOBS.actions}
    assert granted("AdminRole", "sqs:") == {"sqs:SendMessage"}
    assert granted("WorkerRole", "bedrock:") >= granted("InferenceRole", "bedrock:")


def test_a_run_config_may_name_the_stores_by_the_variables() -> None:
    document = {
        "version": 2,
        "image_name": "jobs",
        "metadata_store": {"type": "dynamodb", "table": "registry"},
        "storage": {
            "backends": {
                "state": {"type": "kv_dynamodb", "table": "${env.STATE_TABLE}"},
                "bucket": {"type": "blob_s3", "bucket": "${env.BLOB_BUCKET}"},
                "messages": {"type": "queue_sqs", "url": "${env.JOBS_QUEUE_URL}"},
            },
            "stores": dict(_stores()),
        },
    }
    loaded = interpret(
        document,
        {
            "STATE_TABLE": "state",
            "BLOB_BUCKET": "the-bucket",
            "JOBS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
        },
    )
    assert loaded.problems == []
    assert loaded.config is not None
    assert state_of(loaded.config).queue is not None


def _stores() -> Iterator[tuple[str, dict[str, str]]]:
    for name, backend in (("documents", "state"), ("jobs", "state"), ("queue", "messages"), ("blobs", "bucket")):
        yield name, {"backend": backend}
