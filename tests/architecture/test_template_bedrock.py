"""template.yaml lets functions do on Bedrock what its parameters name, and nothing where they name nothing."""

import re
from typing import Any, Final

import pytest

from core.cli.iam.statements import Model, Rights, parameters, statements
from core.cli.iam.table import INVOKE, LISTS
from tests.architecture.template import REGION, broken_rules, functions, properties, template, template_name, values

MODEL: Final = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-v1:0"
PROFILE: Final = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.claude-v1:0"
BEHIND: Final = (
    "arn:aws:bedrock:us-east-1::foundation-model/claude-v1:0",
    "arn:aws:bedrock:::foundation-model/claude-v1:0",
)
GUARDRAIL: Final = "arn:aws:bedrock:us-east-1:123456789012:guardrail/gr1234567890"
ROLE: Final = "arn:aws:iam::210987654321:role/bedrock/caller"
RIGHTS: Final = Rights(
    frozenset(LISTS), (Model((MODEL,)), Model((PROFILE,), BEHIND)), guardrails=(GUARDRAIL,), roles=(ROLE,)
)
PARAMETERS: Final = {"BedrockRegion": "us-east-1"} | {name: ",".join(arns) for name, arns in parameters(RIGHTS).items()}
RERANKING: Final = [
    statement
    for statement in statements(Rights(models=(Model((MODEL,), embedding=True, reranks=True),)))
    if statement["Sid"] == "Rerank"
]
LISTING: Final = {action for actions in LISTS.values() for action in actions}
LISTS_OF_ARNS: Final = [name for name in PARAMETERS if name.endswith("Arns")]
ROLES: Final = ("InferenceRole", "SafetyRole", "AdminRole")


def rights(role: str, given: dict[str, str]) -> list[dict[str, Any]]:
    """The statements of a function's role that are about Bedrock, or about roles to call it in."""
    policies = values(given).value(properties("AWS::IAM::Role")[role]["Policies"])
    every = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    return [statement for statement in every if statement["Action"][0].startswith(("bedrock:", "sts:"))]


def allowed(found: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Each action with each resource, and the condition under which it is allowed."""
    return {
        (action, resource, str(statement.get("Condition")))
        for statement in found
        for action in statement["Action"]
        for resource in ([statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"])
    }


@pytest.mark.parametrize("role", ROLES)
def test_without_parameters_there_is_no_right_on_bedrock(role: str) -> None:
    assert rights(role, {"VllmUrl": "https://models.example.com"}) == []


@pytest.mark.parametrize("role", ["InferenceRole", "SafetyRole"])
def test_rights_are_exactly_those_of_the_command_that_prints_the_parameters(role: str) -> None:
    """The template does not know whether a model reranks: inference may wherever it may call models."""
    wanted = statements(RIGHTS) + (RERANKING if role == "InferenceRole" else [])
    [behind] = [statement for statement in wanted if "Condition" in statement]
    behind["Condition"] = {"StringEquals": {"bedrock:InferenceProfileArn": [PROFILE, MODEL]}}  # a model is no profile
    assert allowed(rights(role, PARAMETERS)) == allowed(wanted)


def test_admin_looks_at_providers_and_calls_no_model() -> None:
    found = allowed(rights("AdminRole", PARAMETERS))
    assert found == {(action, "*", "None") for action in LISTING} | {("sts:AssumeRole", ROLE, "None")}


EVALUATION: Final = Rights(
    evaluation_roles=("arn:aws:iam::123456789012:role/evaluations",),
    evaluation_buckets=("arn:aws:s3:::mine", "arn:aws:s3:::mine/evaluations/*"),
    source_buckets=("arn:aws:s3:::rows", "arn:aws:s3:::rows/*"),
)
OF_EVALUATION: Final = {"Evaluation": "true"} | {
    name: ",".join(texts) for name, texts in parameters(EVALUATION).items()
}


def held(module: str, given: dict[str, str]) -> set[tuple[str, str, str]]:
    """What a function may do by its role and by the policies that it has with these parameters, there where they are."""
    choice = values(given)
    role = choice.value(properties("AWS::IAM::Role")[f"{template_name(module)}Role"])
    names = [name.removeprefix(f"{REGION}_") for name in role.get("ManagedPolicyArns") or ()]  # as Values has a Ref
    documents = [choice.value(properties("AWS::IAM::ManagedPolicy")[name])["PolicyDocument"] for name in names]
    documents += [policy["PolicyDocument"] for policy in role["Policies"]]
    return allowed([statement for document in documents for statement in document["Statement"]])


def test_evaluations_of_bedrock_are_the_right_of_their_function_alone_and_buckets_of_datasets_that_of_the_worker() -> (
    None
):
    wanted = allowed(statements(EVALUATION))
    reading = {each for each in wanted if "arn:aws:s3:::rows" in each[1]}
    listing = {("bedrock:ListEvaluationJobs", "*", "None")}  # is for the health of the provider, which admin asks for
    without = {"Evaluation": "true"}
    added = {
        module: held(module, OF_EVALUATION) - held(module, without) for module in functions() if held(module, without)
    }
    assert {module: more for module, more in added.items() if more} == {
        "admin": listing,
        "eval": wanted - reading - listing,
        "worker": reading,
    }
    assert not any(right in found for found in (held("eval", without), held("admin", without)) for right in wanted)


@pytest.mark.parametrize("role", ["InferenceRole", "SafetyRole"])
@pytest.mark.parametrize("name", LISTS_OF_ARNS)
def test_each_parameter_allows_its_own_arns_alone(role: str, name: str) -> None:
    found = allowed(rights(role, {name: PARAMETERS[name]}))
    assert {resource for _, resource, _ in found} - {"*"} == set(PARAMETERS[name].split(","))
    lists = {action for action, resource, _ in found if resource == "*"}
    assert ("bedrock:Rerank" in lists) == ((name, role) == ("BedrockModelArns", "InferenceRole"))
    assert lists - {"bedrock:Rerank"} == (LISTING if name in {"BedrockModelArns", "BedrockGuardrailArns"} else set())


def test_models_behind_profiles_are_called_through_profiles_alone() -> None:
    for action, resource, condition in allowed(rights("InferenceRole", PARAMETERS)):
        if resource in BEHIND:
            assert action in INVOKE
            assert "bedrock:InferenceProfileArn" in condition


def test_region_is_enough_to_list() -> None:
    assert {action for action, _, _ in allowed(rights("InferenceRole", {"BedrockRegion": "us-east-1"}))} == LISTING


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        ({}, ["SomeModels"]),
        ({"BedrockRegion": "us-east-1"}, []),
        ({"VllmUrl": "https://models.example.com"}, []),
        ({"VllmUrl": "https://models.example.com", "BedrockRegion": "us-east-1"}, []),
    ],
)
def test_deployment_without_any_model_is_refused(given: dict[str, str], broken: list[str]) -> None:
    assert broken_rules(given) == broken


@pytest.mark.parametrize("name", LISTS_OF_ARNS)
def test_what_the_command_prints_is_taken_and_a_wildcard_is_not(name: str) -> None:
    pattern = template()["Parameters"][name]["AllowedPattern"]
    arns = PARAMETERS[name].split(",")
    assert all(re.fullmatch(pattern, text) for text in ["", *arns])
    assert not any(re.fullmatch(pattern, text) for text in ["*", "arn:*", f"{arns[0]}*", arns[0].replace("/", "/*/")])


@pytest.mark.parametrize("region", ["", "us-east-1", "us-gov-west-1", "eusc-de-east-1", "ap-southeast-4"])
def test_regions_are_taken(region: str) -> None:
    assert re.fullmatch(template()["Parameters"]["BedrockRegion"]["AllowedPattern"], region)
