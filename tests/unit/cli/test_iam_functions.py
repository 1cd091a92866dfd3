"""What a run config with `remote::lambda` needs: to call its functions as it names them, and no others; and what is said of a deployment that may not."""

from dataclasses import replace
from typing import Any, Final

import pytest

from core.cli.deploy.functions import function_warnings
from core.cli.deploy.template import read
from core.cli.iam.rights import SELF, derive
from core.cli.iam.statements import Place, parameters
from core.cli.iam.uses import Usage, collect_usage
from core.config.document import ProviderEntry, RunConfig
from tests.unit.cli.test_deploy_output import ROOT, plan
from tests.unit.cli.test_iam import ACCOUNT, ROLE
from tests.unit.cli.test_iam_vectors import resources

TEMPLATE: Final = read(ROOT / "template.yaml")
ARN: Final = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:"


def run_config(*functions: str, **config: Any) -> RunConfig:
    rows = [{"function": name, "tools": [{"name": "run"}]} for name in functions]
    config = {"functions": rows, "region_name": "eu-west-1"} | config
    entry = ProviderEntry(provider_id="tools", provider_type="remote::lambda", config=config)
    store = {"type": "sqlite", "db_path": "/nowhere"}
    return RunConfig(name="t", metadata_store=store, providers={"tool_runtime": (entry,)})


def usage(*functions: str, **config: Any) -> Usage:
    return collect_usage(run_config(*functions, **config))


def test_each_function_may_be_called_as_it_is_named_and_no_other() -> None:
    used = usage("orders", "billing:live", f"{ARN}mail:3")
    arns = [f"{ARN}billing:live", f"{ARN}mail:3", f"{ARN}orders"]
    assert resources(used) == {"InvokeToolFunctions": arns}
    places = {source: Place("aws", "eu-west-1", ACCOUNT) for source in used.sources}
    assert parameters(derive(used, SELF, places, {}).rights) == {"ToolFunctionArns": arns}
    assert resources(usage("orders", role_arn=ROLE)) == {"AssumeRoles": [ROLE]}
    assert resources(usage("orders", role_arn=ROLE), ROLE) == {"InvokeToolFunctions": [f"{ARN}orders"]}


def test_gateways_of_agentcore_may_be_called_where_requests_are_signed() -> None:
    def server(name: str, **more: Any) -> dict[str, Any]:
        return {"url": f"https://{name}.gateway.bedrock-agentcore.eu-west-1.amazonaws.com/mcp", **more}

    other = {"url": "https://tools.example.com/mcp", "sigv4": {}}
    servers = [
        server("one-a1", sigv4={}),
        server("two-b2", sigv4={"role_arn": ROLE}),
        server("three", bearer_token="t"),
        other,
    ]
    entry = ProviderEntry(provider_id="m", provider_type="remote::model-context-protocol", config={"servers": servers})
    store = {"type": "sqlite", "db_path": "/nowhere"}
    used = collect_usage(RunConfig(name="t", metadata_store=store, providers={"tool_runtime": (entry,)}))
    arn = f"arn:aws:bedrock-agentcore:eu-west-1:{ACCOUNT}:gateway/"
    assert resources(used) == {"InvokeMcpGateways": [f"{arn}one-a1"], "AssumeRoles": [ROLE]}
    assert resources(used, ROLE) == {"InvokeMcpGateways": [f"{arn}two-b2"]}


def test_the_key_that_contexts_are_sealed_with_may_be_used_and_is_no_parameter() -> None:
    key = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd"
    config = {"compaction_config": {"kms_key_id": key}}
    entry = ProviderEntry(provider_id="b", provider_type="inline::builtin", config=config)
    store = {"type": "sqlite", "db_path": "/nowhere"}
    used = collect_usage(RunConfig(name="t", metadata_store=store, providers={"responses": (entry,)}))
    assert resources(used) == {"SealContexts": [key]}
    assert parameters(derive(used, SELF, {}, {}).rights) == {}


def test_what_webhooks_and_jobs_are_sealed_with_and_the_bus_that_is_told_are_allowed() -> None:
    keys = [f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{name}" for name in ("1a", "2b")]
    bus = f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/jobs"
    entry = ProviderEntry(provider_id="b", provider_type="inline::builtin", config={"kms_key_id": keys[0]})
    store = {"type": "sqlite", "db_path": "/nowhere"}
    jobs = {"event_bus": bus, "provider_data_key": keys[1]}
    used = collect_usage(RunConfig(name="t", metadata_store=store, providers={"webhooks": (entry,)}, jobs=jobs))
    assert resources(used) == {"SealContexts": keys, "TellEventBus": [bus]}
    assert parameters(derive(used, SELF, {}, {}).rights) == {"EventBusArn": [bus]}


def test_an_arn_says_the_region_and_a_name_needs_the_account() -> None:
    used = usage(f"{ARN}orders", region_name=None)
    assert [source.region for source in used.sources] == ["eu-west-1"]
    assert resources(used, account="") == {"InvokeToolFunctions": [f"{ARN}orders"]}
    used = usage("orders")
    [problem] = derive(used, SELF, {source: Place("aws", "eu-west-1", "") for source in used.sources}, {}).problems
    assert (problem.path, "needs the account" in problem.message) == ("function `orders`", True)


@pytest.mark.parametrize(
    ("config", "allowed", "barred"),
    [
        ({}, "", "`orders`, `billing:live`"),
        ({}, f"{ARN}orders,{ARN}billing", "`billing:live`"),
        ({}, f"{ARN}orders,{ARN}billing:live", ""),
        ({"role_arn": ROLE}, "", ""),
    ],
)
def test_a_deployment_that_may_not_call_a_function_is_said_before_it_is_built(
    config: dict[str, Any], allowed: str, barred: str
) -> None:
    made = plan(TEMPLATE, None, ToolFunctionArns=allowed)
    made = replace(
        made, config=run_config("orders", "billing:live", **config), path=ROOT / "infra/distributions/lambda.yaml"
    )
    warnings = list(function_warnings(made))
    assert len(warnings) == bool(barred)
    for warning in warnings:
        assert warning.startswith(f"provider `tools` may not call {barred}, which the parameter ToolFunctionArns")
        assert "llambda iam" in warning
