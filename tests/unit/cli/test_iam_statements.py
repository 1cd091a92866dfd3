"""IAM statements name what is used and nothing else, and only actions and resources that AWS knows."""

from importlib.resources import files
import json
import re
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.cli.iam import table
from core.cli.iam.right import Right
from core.cli.iam.statements import Arn, Model, Place, Rights, parameters, statements
from core.cli.iam.table import INVOKE, LISTS

HERE: Final = Place("aws", "us-east-1", "123456789012")
NOVA: Final = HERE.model("amazon.nova-v1:0")
TITAN: Final = HERE.model("amazon.titan-embed-v2:0")
PROFILE: Final = HERE.arn("inference-profile", "us.claude-v1:0")
BEHIND: Final = (
    "arn:aws:bedrock:us-east-2::foundation-model/claude-v1:0",
    "arn:aws:bedrock:::foundation-model/claude-v1:0",
)
GUARDRAIL: Final = HERE.arn("guardrail", "gr1234567890")
ROLE: Final = "arn:aws:iam::210987654321:role/team/bedrock"
EVERYTHING: Final = Rights(
    frozenset(LISTS),
    (Model((NOVA,)), Model((PROFILE,), BEHIND), Model((TITAN,), embedding=True)),
    guardrails=(GUARDRAIL,),
    roles=(ROLE,),
)

places = st.builds(
    Place,
    partition=st.sampled_from(["aws", "aws-cn", "aws-us-gov"]),
    region=st.from_regex(r"[a-z]{2}-[a-z]{4}-[1-9]", fullmatch=True),
    account=st.from_regex(r"[0-9]{12}", fullmatch=True),
)
names = st.from_regex(r"[a-z0-9][a-z0-9.:-]{0,20}", fullmatch=True)
arns = st.builds(lambda place, kind, name: place.arn(kind, name), places, st.sampled_from(["inference-profile"]), names)
foundations = st.builds(lambda place, name: place.model(name), places, names)
models = st.one_of(
    st.builds(Model, called=st.tuples(foundations), embedding=st.booleans()),
    st.builds(
        Model, called=st.tuples(arns), behind=st.lists(foundations, max_size=3).map(tuple), embedding=st.booleans()
    ),
)
everything = st.builds(
    Rights,
    apis=st.frozensets(st.sampled_from(sorted(LISTS))),
    models=st.lists(models, max_size=5).map(tuple),
    guardrails=st.lists(places.map(lambda place: place.arn("guardrail", "gr1")), max_size=2).map(tuple),
    roles=st.lists(st.just(ROLE), max_size=1).map(tuple),
)


def by_sid(rights: Rights) -> dict[str, dict[str, Any]]:
    found = statements(rights)
    sids = {statement["Sid"]: statement for statement in found}
    assert len(sids) == len(found)
    return sids


def test_nothing_used_is_no_statement() -> None:
    assert statements(Rights()) == []
    assert parameters(Rights()) == {}


def test_chat_needs_both_actions_and_embeddings_one() -> None:
    found = by_sid(EVERYTHING)
    assert (found["CallModels"]["Action"], found["CallModels"]["Resource"]) == ([*INVOKE], sorted([NOVA, PROFILE]))
    assert (found["Embed"]["Action"], found["Embed"]["Resource"]) == (["bedrock:InvokeModel"], [TITAN])


def test_models_behind_a_profile_are_called_through_that_profile_alone() -> None:
    found = by_sid(EVERYTHING)["CallModelsBehindProfiles"]
    assert found["Resource"] == sorted(BEHIND)
    assert found["Condition"] == {"StringEquals": {"bedrock:InferenceProfileArn": [PROFILE]}}
    assert "EmbedBehindProfiles" not in by_sid(EVERYTHING)


def test_guardrails_and_roles_are_named() -> None:
    found = by_sid(EVERYTHING)
    assert (found["ApplyGuardrails"]["Action"], found["ApplyGuardrails"]["Resource"]) == (
        ["bedrock:ApplyGuardrail"],
        [GUARDRAIL],
    )
    assert (found["AssumeRoles"]["Action"], found["AssumeRoles"]["Resource"]) == (["sts:AssumeRole"], [ROLE])


@pytest.mark.parametrize("api", LISTS)
def test_each_api_lists_what_its_provider_asks_for(api: str) -> None:
    [listing] = statements(Rights(frozenset([api])))
    assert (listing["Action"], listing["Resource"]) == ([*LISTS[api]], ["*"])


def test_parameters_have_every_arn_under_the_name_of_template_yaml() -> None:
    assert parameters(EVERYTHING) == {
        "BedrockModelArns": sorted([NOVA, PROFILE, TITAN]),
        "BedrockProfileModelArns": sorted(BEHIND),
        "BedrockGuardrailArns": [GUARDRAIL],
        "BedrockRoleArns": [ROLE],
    }


@given(everything)
def test_every_resource_is_used_and_all_that_is_used_is_a_resource(rights: Rights) -> None:
    found = statements(rights)
    used = {arn for model in rights.models for arn in (*model.called, *model.behind)}
    used |= {*rights.guardrails, *rights.roles}
    named = {arn for statement in found for arn in statement["Resource"]}
    assert named - {"*"} == used
    for statement in found:
        if "*" in statement["Resource"]:
            assert set(statement["Action"]) <= {action for actions in LISTS.values() for action in actions}
        assert statement["Resource"]
        assert not any("*" in action for action in statement["Action"])
    assert all("*" not in arn for arn in used)


@given(st.lists(models, min_size=1, max_size=5))
def test_what_is_behind_a_profile_is_never_allowed_without_the_condition(given_models: list[Model]) -> None:
    called = {arn for model in given_models for arn in model.called}
    for statement in statements(Rights(models=tuple(given_models))):
        if "Condition" in statement:
            [profiles] = statement["Condition"]["StringEquals"].values()
            assert profiles
            assert set(profiles) <= called
        else:
            assert set(statement["Resource"]) <= called


@given(arns | foundations)
def test_an_arn_is_what_it_was_read_from(text: str) -> None:
    arn = Arn.parse(text)
    assert str(arn) == text
    assert arn is not None
    assert arn.service == "bedrock"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "amazon.nova-v1:0",
        "arn:aws:bedrock",
        "arn:aws:bedrock:us-east-1::foundation-model",
        "arn:aws:bedrock:us-east-1::foundation-model/",
        "arn:aws:bedrock:us-east-1::foundation-model/*",
        "arn:aws:bedrock:*::foundation-model/amazon.nova",
        "arn:aws:bedrock:us-east-1:12:guardrail/gr1",
        "arn:aws:bedrock:us-east-1::foundation-model/a b",
        "arn:aws:bedrock:us-east-1::foundation-model/${x}",
        "arn:aws:bedrock:us-east-1::foundation-model/a\n",
        "arn:aws:bedrock:us-east-1::foundation-model/a,arn:aws:bedrock:us-east-1::foundation-model/b",
        " arn:aws:bedrock:us-east-1::foundation-model/a",
    ],
)
def test_what_is_no_arn_of_one_thing_is_none(text: str) -> None:
    assert Arn.parse(text) is None


def test_aws_knows_every_action_and_takes_each_resource_for_it() -> None:
    """By the service authorization reference, of which cfn-lint has a copy."""
    services = json.loads(files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text(encoding="utf-8"))
    for statement in statements(EVERYTHING):
        for service, action in (text.split(":") for text in statement["Action"]):
            known = services[service]["Actions"][action.lower()]
            formats = [services[service]["Resources"][kind]["ARNFormats"] for kind in known.get("Resources", ())]
            patterns = [re.sub(r"\$\{\w+\}", "[^:]*", text) for texts in formats for text in texts]
            for arn in statement["Resource"]:
                assert arn == "*" or any(re.match(pattern, arn) for pattern in patterns), (action, arn)


def test_no_right_is_on_actions_that_are_not_named_also_where_no_function_has_it_yet() -> None:
    rights = [right for right in vars(table).values() if isinstance(right, Right)]
    assert len(rights) > 20
    assert [action for right in rights for action in right.actions if "*" in action] == []
    assert [right.sid for right in rights if "*" in right.keys] == []


NEEDED: Final = {  # by what the adapters ask of services that no test can hold to a role
    table.LOGS: {"logs:CreateLogStream", "logs:PutLogEvents"},
    table.TRACES: {"xray:PutTraceSegments", "xray:PutTelemetryRecords"},
    table.USE_KEY: {"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"},
    table.DECRYPT_SECRETS: {"kms:Decrypt"},
    table.SEND_JOBS: {"sqs:SendMessage"},
    table.WORK_ON_JOBS: {
        f"sqs:{name}"
        for name in ("SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")
    },
    table.BLOBS: {f"s3:{name}" for name in ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload")},
    table.LIST_BLOBS: {"s3:ListBucket"},
    table.ASSUME_ROLES: {"sts:AssumeRole"},
    table.APPLY_GUARDRAILS: {"bedrock:ApplyGuardrail"},
}


def test_no_right_that_is_needed_is_dropped() -> None:
    assert {right.sid: set(right.actions) for right in NEEDED} == {
        right.sid: needed for right, needed in NEEDED.items()
    }
