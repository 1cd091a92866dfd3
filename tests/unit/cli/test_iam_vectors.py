"""What a run config with `remote::s3-vectors` or `remote::s3` needs: its bucket and what is its own there, and nothing of anybody else's."""

from typing import Final

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
