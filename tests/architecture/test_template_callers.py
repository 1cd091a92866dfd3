"""template.yaml lets callers in by the code's own rules: keys, Cognito, quotas, and an authorizer in front if wanted."""

import re
from typing import Any, Final

import pytest

from core.apis.index import all_manifests, names, route_rows
from core.cli.iam.table import LEADING_KEYS, STATE
from core.config.security import QuotaConfig
from core.stores.counters.items import BUCKET, EXPIRES, INDEX
from infra.local.dynamodb import BY_DAY
from tests.architecture.template import (
    ANY,
    INTEGRATION,
    ROOT,
    broken_rules,
    groups,
    properties,
    resources,
    statements,
    template,
    template_name,
    values,
)

VLLM: Final = {"VllmUrl": "https://models.example.com/v1"}
CREATED: Final = {"CreateUserPool": "true"}
NAMED: Final = {"UserPoolId": "us-east-1_Own", "UserPoolClientIds": "first,second"}
IN_FRONT: Final = {"GatewayAuthorizer": "true"}
RIGHTS: Final = {  # of every function's role, on each table; on which of its items: tests/attack/test_template.py
    "RegistryTable": {"GetItem", "Query"},
    "QuotaTable": {"GetItem", "UpdateItem"},
}
NOTING: Final = {"GetItem", "Query", "PutItem"}  # of the others, which note when keys are used
REGISTERING: Final = {"GetItem", "Query", "PutItem", "DeleteItem"}  # of those whose callers register something
STATE_RIGHTS: Final = {"GetItem", "PutItem", "UpdateItem", "DeleteItem"}  # of those whose manifest names them
JOB_RIGHTS: Final = STATE_RIGHTS | {"Query"}  # of those whose manifest names jobs
STORE_RIGHTS: Final = JOB_RIGHTS | {"BatchGetItem"}  # of those whose manifest names documents

every_choice = pytest.mark.parametrize("chosen", [{}, CREATED, NAMED], ids=["none", "created", "named"])


def environment(parameters: dict[str, str]) -> dict[str, str]:
    """The functions' variables."""
    given: dict[str, str] = values(parameters).value(template()["Globals"]["Function"]["Environment"]["Variables"])
    return given


def body(parameters: dict[str, str]) -> dict[str, Any]:
    """What the API's document has beside what SAM adds to it."""
    given: dict[str, Any] = values(parameters).value(properties("AWS::Serverless::Api")["Api"]["DefinitionBody"])
    return given


def guarded(parameters: dict[str, str]) -> dict[str, Any]:
    """The paths for which API Gateway itself asks for a token, and what it wants of that."""
    found = {path: item[ANY].get("security") for path, item in body(parameters)["paths"].items()}
    return {path: security for path, security in found.items() if security}


def test_each_role_has_exactly_the_actions_that_its_function_does_on_each_table() -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for role, statement in statements():
        for action in statement["Action"]:
            if action.startswith("dynamodb:"):
                resources = statement["Resource"]
                table = (resources[0] if isinstance(resources, list) else resources)["Fn::GetAtt"][0]
                found.setdefault((role, table), set()).add(action.removeprefix("dynamodb:"))
    stateful = {template_name(api.name) for api in all_manifests() if STATE.sid in api.deployment.rights}
    assert "Inference" in stateful
    roles = [*(template_name(api.name) for api in all_manifests()), "Worker"]
    expected = {(f"{role}Role", table): rights for role in roles for table, rights in RIGHTS.items()}
    expected |= {(f"{template_name(api.name)}Role", "RegistryTable"): NOTING for api in all_manifests()}
    registering = [
        api for api in all_manifests() if api.name in {"admin", "keys"} or any(kind.path for kind in api.kinds)
    ]
    expected |= {(f"{template_name(api.name)}Role", "RegistryTable"): REGISTERING for api in registering}
    expected |= {(f"{name}Role", "StateTable"): STATE_RIGHTS for name in stateful}
    expected["UsageRole", "QuotaTable"] = RIGHTS["QuotaTable"] | {"Query", "BatchGetItem"}
    for store, rights in (("jobs", JOB_RIGHTS), ("documents", STORE_RIGHTS)):
        keepers = [template_name(api.name) for api in all_manifests() if store in (*api.stores, *api.optional_stores)]
        expected |= {(f"{name}Role", "StateTable"): rights for name in [*keepers, "Worker"]}
    assert found == expected


def test_every_right_on_the_registry_and_the_state_is_on_the_items_of_somebody() -> None:
    for role, statement in statements():
        tables = (
            {"RegistryTable", "StateTable"} & set(statement["Resource"].get("Fn::GetAtt", ()))
            if isinstance(statement["Resource"], dict)
            else set()
        )
        keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get(LEADING_KEYS, [])
        assert bool(tables) == bool(keys), f"{role} {statement['Sid']}"
        assert not any(key.strip("*#@") == "" for key in keys), f"{role} {statement['Sid']}"


def test_quota_table_has_the_key_and_the_expiry_that_the_counters_write() -> None:
    table = properties("AWS::DynamoDB::Table")["QuotaTable"]
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert {name: table[name] for name in BY_DAY} == BY_DAY  # as the tests' own table has it
    assert BY_DAY["GlobalSecondaryIndexes"][0]["IndexName"] == INDEX
    assert {each["AttributeName"] for each in BY_DAY["AttributeDefinitions"]} == {"pk", BUCKET}
    assert table["TimeToLiveSpecification"] == {"AttributeName": EXPIRES, "Enabled": True}


def test_quota_table_is_encrypted_on_demand_and_stays_when_the_stack_goes() -> None:
    table = template()["Resources"]["QuotaTable"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["Properties"]["SSESpecification"]["SSEEnabled"] is True


def test_state_table_has_the_keys_and_the_expiry_that_answers_are_kept_under() -> None:
    table = properties("AWS::DynamoDB::Table")["StateTable"]
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert table["SSESpecification"]["SSEEnabled"] is True


def test_every_variable_of_the_distribution_is_set_and_no_other() -> None:
    text = (ROOT / "infra" / "distributions" / "lambda.yaml").read_text(encoding="utf-8")
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    own = {"LLAMBDA_CONFIG", "LLAMBDA_BASE_PATH"}
    others = {"STATE_TABLE", "JOBS_QUEUE_URL", "BLOB_BUCKET", "UPSTREAM_API_KEY"}  # which run configs of their own name
    named = set(re.findall(r"\$\{env\.([A-Z_]+)", text))
    assert named | others == set(variables) - own


def test_periods_are_those_of_the_run_config() -> None:
    period = QuotaConfig.model_json_schema()["$defs"]["Period"]
    assert template()["Parameters"]["QuotaPeriod"]["AllowedValues"] == period["enum"]


@pytest.mark.parametrize("text", ["", "1", "2000000"])
def test_number_of_tokens_is_digits_or_nothing(text: str) -> None:
    assert re.fullmatch(template()["Parameters"]["QuotaMaxTokens"]["AllowedPattern"], text)


@pytest.mark.parametrize("text", ["-1", "1.5", "many", "1 ", "1" * 13])
def test_other_number_of_tokens_is_refused(text: str) -> None:
    assert not re.fullmatch(template()["Parameters"]["QuotaMaxTokens"]["AllowedPattern"], text)


def test_without_cognito_no_pool_is_named_so_that_keys_are_the_only_way_in() -> None:
    given = environment({})
    assert (given["COGNITO_USER_POOL_ID"], given["COGNITO_CLIENT_IDS"]) == ("", "")
    assert not values({}).holds(template()["Outputs"]["UserPoolId"]["Condition"])


@pytest.mark.parametrize(
    ("parameters", "pool", "clients"),
    [
        (CREATED, "us-east-1_UserPool", "us-east-1_UserPoolClient"),
        (
            CREATED | {"UserPoolClientIds": "first,second"},
            "us-east-1_UserPool",
            "us-east-1_UserPoolClient,first,second",
        ),
        (NAMED, "us-east-1_Own", "first,second"),
    ],
)
def test_functions_are_told_the_created_pool_or_the_named_one(
    parameters: dict[str, str], pool: str, clients: str
) -> None:
    given = environment(parameters)
    assert (given["COGNITO_USER_POOL_ID"], given["COGNITO_CLIENT_IDS"]) == (pool, clients)
    output = template()["Outputs"]["UserPoolId"]
    assert values(parameters).holds(output["Condition"])
    assert values(parameters).value(output["Value"]) == pool


@pytest.mark.parametrize(
    ("parameters", "broken"),
    [
        ({}, []),
        (CREATED | IN_FRONT, []),
        (NAMED | IN_FRONT, []),
        (CREATED | NAMED, ["OneUserPool"]),
        ({"UserPoolId": "us-east-1_Own"}, ["UserPoolHasClients"]),
        (IN_FRONT, ["AuthorizerHasUserPool"]),
    ],
)
def test_parameters_that_contradict_each_other_are_refused_before_anything_is_made(
    parameters: dict[str, str], broken: list[str]
) -> None:
    assert broken_rules(VLLM | parameters) == broken


def test_everything_of_cognito_is_made_on_request_alone() -> None:
    made = {name: each for name, each in template()["Resources"].items() if each["Type"].startswith("AWS::Cognito::")}
    assert len(made) == 4
    assert {each.get("Condition") for each in made.values()} == {"CreatesUserPool"}
    assert {template()["Outputs"][name]["Condition"] for name in ("UserPoolClientId", "TokenUrl")} == {
        "CreatesUserPool"
    }


def test_user_pool_outlives_the_stack_and_is_protected_like_the_registry() -> None:
    [pool] = resources("AWS::Cognito::UserPool").values()
    assert (pool["DeletionPolicy"], pool["UpdateReplacePolicy"]) == ("Retain", "Retain")
    protection = pool["Properties"]["DeletionProtection"]
    assert values({"DeletionProtection": "true"}).value(protection) == "ACTIVE"
    assert values({}).value(protection) == "INACTIVE"


def test_nobody_signs_up_alone_and_passwords_are_strong() -> None:
    [pool] = properties("AWS::Cognito::UserPool").values()
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    policy = pool["Policies"]["PasswordPolicy"]
    assert policy["MinimumLength"] >= 14
    assert all(policy[f"Require{each}"] for each in ("Lowercase", "Uppercase", "Numbers", "Symbols"))
    assert (pool["MfaConfiguration"], pool["EnabledMfas"]) == ("OPTIONAL", ["SOFTWARE_TOKEN_MFA"])


def test_app_client_is_for_programs_with_a_secret_and_for_no_password() -> None:
    [client] = properties("AWS::Cognito::UserPoolClient").values()
    assert client["GenerateSecret"] is True
    assert client["AllowedOAuthFlows"] == ["client_credentials"]
    assert client["AllowedOAuthFlowsUserPoolClient"] is True
    assert client["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert (client["AccessTokenValidity"], client["TokenValidityUnits"]) == (1, {"AccessToken": "hours"})


def test_scopes_are_the_same_in_the_resource_server_the_client_and_the_authorizer() -> None:
    [server] = properties("AWS::Cognito::UserPoolResourceServer").values()
    [client] = properties("AWS::Cognito::UserPoolClient").values()
    scopes = [f"{server['Identifier']}/{scope['ScopeName']}" for scope in server["Scopes"]]
    assert client["AllowedOAuthScopes"] == scopes == values({}).ref("GatewayScopes")
    assert resources("AWS::Cognito::UserPoolClient")["UserPoolClient"]["DependsOn"] == "UserPoolResourceServer"


@pytest.mark.parametrize("parameters", [{}, {"CognitoDomainPrefix": "acme-llm"}])
def test_domain_is_one_that_cognito_takes_and_the_token_url_is_there(parameters: dict[str, str]) -> None:
    given = values(CREATED | parameters)
    domain = given.value(properties("AWS::Cognito::UserPoolDomain")["UserPoolDomain"]["Domain"])
    assert re.fullmatch(template()["Parameters"]["CognitoDomainPrefix"]["AllowedPattern"], domain)
    assert not re.search("aws|amazon|cognito", domain)  # which Cognito refuses
    url = given.value(template()["Outputs"]["TokenUrl"]["Value"])
    assert url == f"https://{domain}.auth.us-east-1.amazoncognito.com/oauth2/token"
    assert domain == parameters.get("CognitoDomainPrefix", domain)


@every_choice
def test_api_gateway_lets_all_through_to_the_functions_unless_told_otherwise(chosen: dict[str, str]) -> None:
    assert guarded(chosen) == {}
    assert body(chosen)["components"] == {"securitySchemes": {}}


@pytest.mark.parametrize("chosen", [CREATED, NAMED], ids=["created", "named"])
def test_authorizer_guards_every_path_but_those_that_are_open_in_the_code(chosen: dict[str, str]) -> None:
    """The catch-all too: API Gateway looks for a path first, and for a token when it has one."""
    open_ = {row.path for row in route_rows(names()) if row.operation is not None and row.operation.open}
    every = {group.path for group in groups()}
    assert open_ < every
    wanted = [{"Cognito": ["llambda/use", "llambda/manage"]}]
    assert guarded(chosen | IN_FRONT) == dict.fromkeys(every - open_, wanted)


@pytest.mark.parametrize(
    ("chosen", "arn"),
    [(CREATED, "UserPool.Arn"), (NAMED, "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_Own")],
)
def test_authorizer_asks_the_pool_that_the_functions_ask(chosen: dict[str, str], arn: str) -> None:
    scheme = body(chosen | IN_FRONT)["components"]["securitySchemes"]["Cognito"]
    assert (scheme["type"], scheme["name"], scheme["in"]) == ("apiKey", "Authorization", "header")
    authorizer = scheme["x-amazon-apigateway-authorizer"]
    assert authorizer == {"type": "cognito_user_pools", "providerARNs": [arn]}


def test_change_of_the_authorizer_reaches_the_stage() -> None:
    assert properties("AWS::Serverless::Api")["Api"]["AlwaysDeploy"] is True


def gateway_responses(parameters: dict[str, str]) -> dict[str, Any]:
    responses: dict[str, Any] = values(parameters).value(properties("AWS::Serverless::Api")["Api"]["GatewayResponses"])
    return responses


def test_pages_may_read_what_api_gateway_itself_answers_where_there_are_any() -> None:
    name = "Access-Control-Allow-Origin"
    for origins, header in (("", None), ("https://a.example,http://localhost:*", "'*'")):
        answers = gateway_responses({"CorsOrigins": origins})
        for kind, answer in answers.items():
            assert answer.get("ResponseParameters", {}).get("Headers", {}).get(name) == header, kind
        assert environment({"CorsOrigins": origins})["CORS_ORIGINS"] == origins
    assert {"UNAUTHORIZED", "THROTTLED", "DEFAULT_4XX", "DEFAULT_5XX"} <= answers.keys()


def test_a_preflight_reaches_the_functions_without_a_token() -> None:
    for path, item in body(CREATED | IN_FRONT)["paths"].items():
        method = item.get("options", item[ANY])
        assert "security" not in method, path
        assert method[INTEGRATION] == item[ANY][INTEGRATION]


@pytest.mark.parametrize("kind", ["UNAUTHORIZED", "EXPIRED_TOKEN"])
def test_api_gateway_refuses_a_token_as_the_functions_do(kind: str) -> None:
    response = gateway_responses({})[kind]
    assert response["StatusCode"] == 401
    assert response["ResponseParameters"]["Headers"] == {"WWW-Authenticate": "'Bearer error=\"invalid_token\"'"}
    assert '"code":"unauthenticated"' in response["ResponseTemplates"]["application/json"]


def test_token_without_the_scope_is_403() -> None:
    response = properties("AWS::Serverless::Api")["Api"]["GatewayResponses"]["ACCESS_DENIED"]
    assert response["StatusCode"] == 403
    assert '"code":"permission_denied"' in response["ResponseTemplates"]["application/json"]


def test_every_parameter_is_in_one_group_of_the_console() -> None:
    groups = template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(template()["Parameters"])


def test_description_of_the_authorizer_says_that_keys_do_not_pass_it() -> None:
    assert "API keys do not pass it" in template()["Parameters"]["GatewayAuthorizer"]["Description"]
