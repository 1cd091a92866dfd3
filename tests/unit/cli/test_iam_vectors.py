"""What a run config needs of its buckets, of vectors, files, datasets and jobs of Bedrock: what is its own there, and nothing of anybody else's."""

from typing import Any, Final

import pytest

from core.cli.iam.rights import SELF, derive
from core.cli.iam.statements import Place, parameters, statements
from core.cli.iam.uses import Usage, collect_usage
from core.config.document import ProviderEntry, RunConfig
from tests.unit.cli.test_iam import ACCOUNT, ROLE

BUCKET: Final = f"arn:aws:s3vectors:eu-west-1:{ACCOUNT}:bucket/vectors"


def usage(**values: str) -> Usage:
    entry = ProviderEntry(
        provider_id="s3",
        provider_type="remote::s3-vectors",
        config={"vector_bucket": "vectors", "region_name": "eu-west-1"} | values,
    )
    store = {"type": "sqlite", "db_path": "/nowhere"}
    return collect_usage(RunConfig(name="t", metadata_store=store, providers={"vector_io": (entry,)}))


def resources(usage: Usage, principal: str = SELF, account: str = ACCOUNT) -> dict[str, list[str]]:
    places = {source: Place("aws", source.region, account) for source in usage.sources}
    derived = derive(usage, principal, places, {})
    assert not derived.problems
    return {statement["Sid"]: statement["Resource"] for statement in statements(derived.rights)}


def test_a_vector_bucket_and_its_indexes_are_allowed() -> None:
    assert resources(usage()) == {"Vectors": [BUCKET, f"{BUCKET}/index/*"]}
    assert resources(usage(index_prefix="mine.")) == {"Vectors": [BUCKET, f"{BUCKET}/index/mine.*"]}


def test_the_arn_of_a_vector_bucket_says_all_and_is_a_parameter() -> None:
    used = usage(vector_bucket=BUCKET, region_name="")
    [source] = used.sources
    assert source.region == "eu-west-1"
    assert resources(used, account="") == {"Vectors": [BUCKET, f"{BUCKET}/index/*"]}
    rights = derive(used, SELF, {source: Place("aws", "", "")}, {}).rights
    assert parameters(rights) == {"VectorBucketArns": [BUCKET, f"{BUCKET}/index/*"]}


def test_what_is_done_with_vectors_in_a_role_is_the_roles_right() -> None:
    used = usage(role_arn=ROLE)
    assert resources(used) == {"AssumeRoles": [ROLE]}
    assert resources(used, ROLE) == {"Vectors": [BUCKET, f"{BUCKET}/index/*"]}


@pytest.mark.parametrize(
    ("bucket", "place", "fault"),
    [
        ("vectors", Place("aws", "eu-west-1", ""), "its ARN needs the account"),
        ("vectors", Place("", "", ACCOUNT), "region is not known"),
        ("arn:aws:s3:::vectors", Place("aws", "eu-west-1", ACCOUNT), "neither the name of a vector bucket nor its ARN"),
        (f"{BUCKET}*", Place("aws", "eu-west-1", ACCOUNT), "neither the name of a vector bucket nor its ARN"),
    ],
)
def test_what_makes_no_arn_is_a_problem(bucket: str, place: Place, fault: str) -> None:
    used = usage(vector_bucket=bucket, region_name="")
    derived = derive(used, SELF, dict.fromkeys(used.sources, place), {})
    [problem] = derived.problems
    assert problem.path == f"vector_bucket `{bucket}`"
    assert fault in problem.message
    assert not statements(derived.rights)


CLUSTER: Final = f"arn:aws:rds:eu-west-1:{ACCOUNT}:cluster:vectors"
SECRET: Final = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:vectors-AbCdEf"


def database(**values: str) -> Usage:
    entry = ProviderEntry(provider_id="pg", provider_type="remote::pgvector", config=values)
    store = {"type": "sqlite", "db_path": "/nowhere"}
    return collect_usage(RunConfig(name="t", metadata_store=store, providers={"vector_io": (entry,)}))


def test_a_cluster_and_the_secret_with_its_user_are_allowed() -> None:
    used = database(resource_arn=CLUSTER, secret_arn=SECRET)
    assert [source.region for source in used.sources] == ["eu-west-1"]
    assert resources(used) == {"Databases": [CLUSTER], "ReadSecrets": [SECRET]}
    rights = derive(used, SELF, dict.fromkeys(used.sources, Place("aws", "", "")), {}).rights
    assert parameters(rights) == {"DatabaseArns": [CLUSTER], "SecretArns": [SECRET]}
    assumed = database(resource_arn=CLUSTER, secret_arn=SECRET, role_arn=ROLE)
    assert resources(assumed) == {"AssumeRoles": [ROLE]}
    assert resources(assumed, ROLE) == {"Databases": [CLUSTER], "ReadSecrets": [SECRET]}


def test_a_database_that_is_reached_by_connections_needs_no_right() -> None:
    used = database(host="db.example.com")
    assert (used.sources, resources(used)) == ((), {})
    keys = database(resource_arn=CLUSTER, secret_arn=SECRET, aws_access_key_id="k", aws_secret_access_key="s")
    assert resources(keys) == {}


def files(**values: str) -> Usage:
    entry = ProviderEntry(provider_id="s3", provider_type="remote::s3", config={"bucket_name": "my-files"} | values)
    store = {"type": "sqlite", "db_path": "/nowhere"}
    return collect_usage(RunConfig(name="t", metadata_store=store, providers={"files": (entry,)}))


def test_a_bucket_of_files_and_what_is_the_providers_in_it_are_allowed() -> None:
    used = files(region="cn-north-1", key_prefix="llambda/")
    rights = derive(used, SELF, {source: Place("aws-cn", "cn-north-1", "") for source in used.sources}, {}).rights
    arns = ["arn:aws-cn:s3:::my-files", "arn:aws-cn:s3:::my-files/llambda/*"]
    assert [statement["Resource"] for statement in statements(rights)] == [arns]
    assert parameters(rights) == {"FileBucketArns": arns}
    assert resources(files(region="eu-west-1")) == {"FileBuckets": ["arn:aws:s3:::my-files", "arn:aws:s3:::my-files/*"]}


def test_a_bucket_that_has_keys_of_its_own_needs_no_right_of_the_function() -> None:
    assert resources(files(aws_access_key_id="k", aws_secret_access_key="s")) == {}


def test_a_bucket_whose_partition_is_not_known_is_a_problem() -> None:
    used = files()
    [problem] = derive(used, SELF, dict.fromkeys(used.sources, Place("", "", ACCOUNT)), {}).problems
    assert (problem.path, "region is not known" in problem.message) == ("bucket_name `my-files`", True)


def batches(**values: str) -> Usage:
    given = {"batch_s3_uri": "s3://mine/batches", "batch_role_arn": "arn:aws:iam::123456789012:role/batches"}
    entry = ProviderEntry(provider_id="b", provider_type="remote::bedrock", config=given | values)
    store = {"type": "sqlite", "db_path": "/nowhere"}
    return collect_usage(RunConfig(name="t", metadata_store=store, providers={"inference": (entry,)}))


def test_batches_of_bedrock_need_its_jobs_their_role_for_it_alone_and_their_folder() -> None:
    used = batches(region_name="us-east-1")
    rights = derive(used, SELF, {source: Place("aws", "us-east-1", ACCOUNT) for source in used.sources}, {}).rights
    by_sid = {statement["Sid"]: statement for statement in statements(rights)}
    assert by_sid["RunBatchJobs"]["Action"][0] == "bedrock:CreateModelInvocationJob"
    assert set(by_sid["RunBatchJobs"]["Resource"]) == {
        "arn:aws:bedrock:*:123456789012:model-invocation-job/*",
        "arn:aws:bedrock:*::foundation-model/*",
        "arn:aws:bedrock:*:123456789012:custom-model/*",
        "arn:aws:bedrock:*:123456789012:inference-profile/*",
    }
    assert by_sid["ListBatchJobs"]["Resource"] == ["*"]
    assert by_sid["PassBatchRole"]["Condition"] == {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}
    role, arns = "arn:aws:iam::123456789012:role/batches", ["arn:aws:s3:::mine", "arn:aws:s3:::mine/batches/*"]
    assert parameters(rights) == {"BatchRoleArn": [role], "BatchBucketArns": arns}
    assert "PassBatchRole" not in resources(batches(aws_access_key_id="k", aws_secret_access_key="s"))
    other = "arn:aws:iam::123456789012:role/other"
    assumed = batches(region_name="us-east-1", role_arn=other)
    places = {source: Place("aws", "us-east-1", ACCOUNT) for source in assumed.sources}
    assert derive(assumed, SELF, places, {}).rights.batch_roles == ()
    assert derive(assumed, other, places, {}).rights.batch_roles == (role,)


EVALUATIONS: Final = f"arn:aws:iam::{ACCOUNT}:role/evaluations"


def evaluations(provider_type: str = "remote::bedrock", **values: str) -> Usage:
    given = {"s3_uri": "s3://mine/evals/", "evaluation_role_arn": EVALUATIONS, "region_name": "us-east-1"}
    entry = ProviderEntry(provider_id="b", provider_type=provider_type, config=given | values)
    store = {"type": "sqlite", "db_path": "/nowhere"}
    return collect_usage(RunConfig(name="t", metadata_store=store, providers={"eval": (entry,)}))


def test_evaluations_of_bedrock_need_its_jobs_their_role_for_it_alone_and_their_folder_of_which_nothing_is_removed() -> (
    None
):
    used = evaluations()
    rights = derive(used, SELF, {source: Place("aws", "us-east-1", ACCOUNT) for source in used.sources}, {}).rights
    found = {
        sid: (set(statement["Action"]), set(statement["Resource"]))
        for sid, statement in {statement["Sid"]: statement for statement in statements(rights)}.items()
    }
    arns = {"arn:aws:s3:::mine", "arn:aws:s3:::mine/evals/*"}
    assert found == {
        "RunEvaluationJobs": (
            {"bedrock:CreateEvaluationJob"},
            {
                "arn:aws:bedrock:*::foundation-model/*",
                f"arn:aws:bedrock:*:{ACCOUNT}:custom-model/*",
                f"arn:aws:bedrock:*:{ACCOUNT}:inference-profile/*",
            },
        ),
        "FollowEvaluationJobs": (
            {"bedrock:GetEvaluationJob", "bedrock:StopEvaluationJob"},
            {f"arn:aws:bedrock:*:{ACCOUNT}:evaluation-job/*"},
        ),
        "ListEvaluationJobs": ({"bedrock:ListEvaluationJobs"}, {"*"}),
        "PassEvaluationRole": ({"iam:PassRole"}, {EVALUATIONS}),
        "EvaluationBuckets": ({"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucket"}, arns),
    }
    [passed] = [statement["Condition"] for statement in statements(rights) if statement["Sid"] == "PassEvaluationRole"]
    assert passed == {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}
    assert parameters(rights) == {"EvaluationRoleArn": [EVALUATIONS], "EvaluationBucketArns": sorted(arns)}


def test_evaluations_of_whoever_has_keys_a_role_or_another_service_need_no_right_of_the_function() -> None:
    assert resources(evaluations(aws_access_key_id="k", aws_secret_access_key="s")) == {}
    assert resources(evaluations("remote::of-a-package")) == {}
    assumed = evaluations(role_arn=ROLE)
    assert resources(assumed) == {"AssumeRoles": [ROLE]}
    assert {"RunEvaluationJobs", "PassEvaluationRole", "EvaluationBuckets"} <= resources(assumed, ROLE).keys()


def sources(provider_type: str, **values: Any) -> Usage:
    entry = ProviderEntry(provider_id="d", provider_type=provider_type, config=values)
    store = {"type": "sqlite", "db_path": "/nowhere"}
    return collect_usage(RunConfig(name="t", metadata_store=store, providers={"datasetio": (entry,)}))


def test_buckets_of_datasets_are_read_the_providers_own_and_those_beside_it_and_none_is_written_to() -> None:
    own = {"bucket_name": "rows", "key_prefix": "mine/", "region": "eu-west-1"}
    others = [
        {"bucket_name": "further", "region": "us-east-1"},
        {"bucket_name": "theirs", "aws_access_key_id": "k", "aws_secret_access_key": "s"},
    ]
    used = sources("remote::s3", **own, buckets=others)
    further = ["arn:aws:s3:::further", "arn:aws:s3:::further/*"]
    assert resources(used) == {"ReadSources": [*further, "arn:aws:s3:::rows", "arn:aws:s3:::rows/mine/*"]}
    beside = sources("inline::localfs", buckets=others)
    rights = derive(beside, SELF, {source: Place("aws", "us-east-1", "") for source in beside.sources}, {}).rights
    [statement] = statements(rights)
    assert set(statement["Action"]) == {"s3:GetObject", "s3:ListBucket"}
    assert parameters(rights) == {"SourceBucketArns": further}
    assert resources(sources("inline::localfs", storage_dir="/rows")) == {}


def of_knowledge_bases(name: str, **config: str) -> Usage:
    entry = ProviderEntry(
        provider_id="kb", provider_type="remote::bedrock-knowledge-base", config={"region_name": "eu-west-1"} | config
    )
    other = ProviderEntry(provider_id="v", provider_type="inline::sqlite", config={})
    stores = (
        {"vector_store_id": "manuals", "provider_id": "kb", "provider_vector_store_id": name},
        {"vector_store_id": "own", "provider_id": "v"},
    )
    store = {"type": "sqlite", "db_path": "/nowhere"}
    providers = {"vector_io": (other, entry)}
    return collect_usage(
        RunConfig(name="t", metadata_store=store, providers=providers, resources={"vector_stores": stores})
    )


def test_declared_knowledge_bases_may_be_searched_and_no_others() -> None:
    arn = f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:knowledge-base/KB12345678"
    for name in ("KB12345678", arn):
        used = of_knowledge_bases(name)
        assert resources(used) == {"SearchKnowledgeBases": [arn]}
        rights = derive(
            used, SELF, {source: Place("aws", source.region, ACCOUNT) for source in used.sources}, {}
        ).rights
        assert parameters(rights) == {"KnowledgeBaseArns": [arn]}
    assert resources(of_knowledge_bases("KB12345678", role_arn=ROLE), ROLE) == {"SearchKnowledgeBases": [arn]}


def test_an_arn_of_something_else_is_no_knowledge_base() -> None:
    used = of_knowledge_bases(f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:guardrail/abc")
    derived = derive(used, SELF, {source: Place("aws", "eu-west-1", ACCOUNT) for source in used.sources}, {})
    [problem] = derived.problems
    assert problem.path.startswith("knowledge base `arn:aws")
