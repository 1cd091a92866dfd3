"""template.yaml watches what runs, and joins a VPC, on request alone; each alarm is one that the docs tell what to do at."""

import json
import re
from typing import Any, Final

import pytest

from core.cli.iam.table import JOIN_VPC
from core.errors import QuotaUnavailable
from core.frame.api import WORKER
from core.runtime.log_lines import COARSE, FINE, NAMESPACE, UNITS
from infra.monitoring import UNCOUNTED, UNSETTLED
from tests.architecture.template import (
    EVERYTHING,
    ROOT,
    broken_rules,
    functions,
    properties,
    template,
    template_name,
    values,
)

TOPIC: Final = {"AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:pager"}
EMAIL: Final = {"AlarmEmail": "night@example.com"}
SPEND: Final = {"AlarmSpend": "25"}
JOBS: Final = {"Jobs": "true"}
VPC: Final = {"VpcSubnetIds": "subnet-0a1b2c3d,subnet-0a1b2c3e", "VpcSecurityGroupIds": "sg-0a1b2c3d"}
WATCHING: Final = ("AWS::CloudWatch::", "AWS::SNS::", "AWS::Logs::MetricFilter")
SEARCH: Final = re.compile(r"SEARCH\('\{([\w,]+)\} function=\"([\w.-]+)\" MetricName=\"(\w+)\"', '(Sum|p\d\d)', 300\)")


def properties_with(parameters: dict[str, str], *kinds: str) -> dict[str, dict[str, Any]]:
    """The properties of the resources of these kinds that there are with these parameters."""
    choice = values(parameters)
    return {
        name: choice.value(each["Properties"])
        for name, each in template()["Resources"].items()
        if each["Type"].startswith(kinds or WATCHING) and ("Condition" not in each or choice.holds(each["Condition"]))
    }


def alarms(parameters: dict[str, str]) -> dict[str, dict[str, Any]]:
    """By their names without the stack's."""
    rows_by_name = properties_with(parameters, "AWS::CloudWatch::Alarm").values()
    return {each["AlarmName"].removeprefix("Llambda-"): each for each in rows_by_name}


def dashboard(parameters: dict[str, str]) -> list[dict[str, Any]]:
    [properties] = properties_with({"Dashboard": "true", **parameters}, "AWS::CloudWatch::Dashboard").values()
    widgets: list[dict[str, Any]] = json.loads(properties["DashboardBody"])["widgets"]
    return [each["properties"] for each in widgets]


@pytest.mark.parametrize("parameters", [{}, JOBS, {"FunctionUrl": "true"}])
def test_nothing_watches_and_nothing_costs_unless_asked_for(parameters: dict[str, str]) -> None:
    assert properties_with(parameters) == {}
    assert "VpcConfig" not in values(parameters).value(template()["Globals"]["Function"])


@pytest.mark.parametrize(
    ("parameters", "told"),
    [(TOPIC, [TOPIC["AlarmTopicArn"]]), (EMAIL, ["us-east-1_AlarmTopic"])],
    ids=["topic", "email"],
)
def test_every_alarm_tells_of_its_beginning_and_of_its_end(parameters: dict[str, str], told: list[str]) -> None:
    rows_by_name = alarms(parameters)
    assert rows_by_name
    assert all(each["AlarmActions"] == each["OKActions"] == told for each in rows_by_name.values())
    assert all(each["TreatMissingData"] == "notBreaching" for each in rows_by_name.values())
    assert bool(properties_with(parameters, "AWS::SNS::")) == (parameters is EMAIL)


def test_a_topic_and_an_address_are_both_told() -> None:
    assert {len(each["AlarmActions"]) for each in alarms({**TOPIC, **EMAIL}).values()} == {2}


def test_every_function_has_alarms_for_its_errors_and_throttles() -> None:
    rows_by_name = alarms({**TOPIC, **EVERYTHING})
    for module in functions():
        for metric in ("Errors", "Throttles"):
            alarm = rows_by_name[f"{module}-{metric.lower()}"]
            assert (alarm["Namespace"], alarm["MetricName"], alarm["Threshold"]) == ("AWS/Lambda", metric, 1)
            [dimension] = alarm["Dimensions"]
            assert dimension["Value"] == f"us-east-1_{template_name(module)}Function"


def test_alarms_of_jobs_are_there_with_jobs_alone() -> None:
    extra = alarms({**TOPIC, **JOBS}).keys() - alarms(TOPIC).keys()
    assert extra == {f"{WORKER}-errors", f"{WORKER}-throttles", "dead-letters"}


def test_every_count_that_an_alarm_watches_is_made_by_a_filter_and_every_filter_is_watched() -> None:
    filters = properties_with({**TOPIC, **EVERYTHING}, "AWS::Logs::MetricFilter").values()
    counted = {
        (each["MetricNamespace"], each["MetricName"]) for row in filters for each in row["MetricTransformations"]
    }
    watched = {(each["Namespace"], each["MetricName"]) for each in alarms({**TOPIC, **SPEND}).values()}
    assert counted == {each for each in watched if each[0] == "llambda/Llambda"}
    served = {f"us-east-1_{template_name(module)}LogGroup" for module in functions() if module != WORKER}
    for metric in ("OwnMilliseconds", "QuotaStoreFailures"):  # which every function has
        assert {
            row["LogGroupName"] for row in filters if row["MetricTransformations"][0]["MetricName"] == metric
        } == served
    [spending, dead] = [
        {row["LogGroupName"] for row in filters if row["MetricTransformations"][0]["MetricName"] == metric}
        for metric in ("Spend", "Unsettled")
    ]
    worker = "us-east-1_WorkerLogGroup"
    assert {worker, "us-east-1_InferenceLogGroup", "us-east-1_ResponsesLogGroup"} <= spending
    assert dead == {*served, worker}


def test_filters_look_for_what_the_code_writes() -> None:
    patterns = {row["FilterPattern"] for row in properties_with(TOPIC, "AWS::Logs::MetricFilter").values()}
    assert "OwnMilliseconds" in UNITS
    assert patterns == {
        "{ $.OwnMilliseconds = * }",
        "{ $.Spend = * }",
        f'{{ $.message = "{UNSETTLED}*" }}',
        "{ $.status >= 500 }",
        f'{{ ($.error_code = "{QuotaUnavailable.code}") || ($.message = "{UNCOUNTED}*") }}',
    }
    assert f'"{UNCOUNTED}: %s"' in (ROOT / "core" / "quota" / "quota.py").read_text("utf-8")
    assert f'"{UNSETTLED}: %d' in (ROOT / "core" / "stores" / "counters" / "filing.py").read_text("utf-8")


def test_bounds_of_alarms_are_parameters() -> None:
    rows_by_name = alarms({**TOPIC, "AlarmServerErrors": "9", "AlarmOwnMilliseconds": "250"})
    assert {rows_by_name[name]["Threshold"] for name in ("server-errors", "failed-answers")} == {"9"}
    assert (rows_by_name["own-time"]["Threshold"], rows_by_name["own-time"]["ExtendedStatistic"]) == ("250", "p99")
    title = properties("AWS::Serverless::Api")["Api"]["DefinitionBody"]["info"]["title"]  # which is the API's name
    assert rows_by_name["server-errors"]["Dimensions"] == [
        {"Name": "ApiName", "Value": values({}).value(title)},
        {"Name": "Stage", "Value": "api"},
    ]


def test_what_is_spent_rings_where_somebody_says_how_much_a_day() -> None:
    assert "spend" not in alarms(TOPIC)
    assert alarms(SPEND) == {}
    spend = alarms({**TOPIC, **SPEND})["spend"]
    assert (spend["Threshold"], spend["Period"], spend["Statistic"]) == ("25", 86_400, "Sum")


def test_the_docs_say_of_every_alarm_what_to_do() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    section = text.partition("\n## Alarms\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)`", section, re.MULTILINE)
    functions_of = {f"{module}-{kind}" for module in functions() for kind in ("errors", "throttles")}
    rows_by_name = {name: name for name in alarms({**TOPIC, **EVERYTHING, **SPEND})}
    expected = {name for name in rows_by_name if name not in functions_of} | {"FUNCTION-errors", "FUNCTION-throttles"}
    assert set(rows) == expected


@pytest.mark.parametrize("parameters", [{}, EVERYTHING], ids=["of what is always there", "of everything"])
def test_the_dashboard_shows_every_metric_of_the_request_lines_for_every_function(parameters: dict[str, str]) -> None:
    graphs = dashboard(parameters)
    searches = [SEARCH.fullmatch(row[0]["expression"]) for graph in graphs for row in graph["metrics"] if len(row) == 1]
    assert all(searches)
    served = {f"us-east-1_{template_name(module)}Function" for module in functions() if module != WORKER}
    if not parameters:
        served = {"none"} | {
            name
            for name in served
            if not any(
                word in name
                for word in (
                    "Files",
                    "Tool",
                    "Vector",
                    "Responses",
                    "Batches",
                    "Webhooks",
                    "Datasetio",
                    "Scoring",
                    "Eval",
                )
            )
        }
    functions_by_metric: dict[str, set[str]] = {}
    for search in searches:
        assert search is not None
        assert search[1] in {",".join([NAMESPACE, *COARSE]), ",".join([NAMESPACE, *FINE])}
        functions_by_metric.setdefault(search[3], set()).add(search[2])
    worker = "us-east-1_WorkerFunction" if parameters else "none"
    of_jobs = {"PromptTokens", "CompletionTokens", "Spend"}
    assert functions_by_metric == {name: {*served, worker} if name in of_jobs else served for name in UNITS}
    assert ("JobsQueue" in json.dumps(graphs)) == bool(parameters)


def test_no_dashboard_has_another_regions_metrics() -> None:
    assert {each["region"] for each in dashboard(JOBS)} == {"us-east-1"}


def test_every_function_joins_the_vpc() -> None:
    choice = values(VPC)
    assert choice.value(template()["Globals"]["Function"])["VpcConfig"] == {
        "SubnetIds": VPC["VpcSubnetIds"].split(","),
        "SecurityGroupIds": [VPC["VpcSecurityGroupIds"]],
    }
    assert not any("VpcConfig" in each for each in functions().values())


def test_only_functions_in_a_vpc_have_rights_for_it_and_their_code_has_not() -> None:
    roles = {each["Role"]["Fn::GetAtt"][0] for each in functions().values()}
    for parameters, arns in ((EVERYTHING, None), ({**EVERYTHING, **VPC}, ["us-east-1_VpcPolicy"])):
        rows_by_name = properties_with(parameters, "AWS::IAM::Role")
        own = {f"us-east-1_{name}" for name in properties("AWS::IAM::ManagedPolicy")} - {"us-east-1_VpcPolicy"}
        given = {name: [*rows_by_name[name].get("ManagedPolicyArns", ())] for name in roles}
        assert {name: [arn for arn in given[name] if arn not in own] for name in roles} == dict.fromkeys(
            roles, arns or []
        )
    assert "VpcPolicy" not in properties_with(JOBS, "AWS::IAM::ManagedPolicy")
    without, joined = (properties_with(each, "AWS::IAM::ManagedPolicy") for each in ({}, VPC))
    [policy] = [joined[name] for name in joined.keys() - without.keys()]
    [statement] = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == list(JOIN_VPC.actions)
    assert statement["Condition"] == {"Null": {"lambda:SourceFunctionArn": "true"}}  # which every call of theirs has


@pytest.mark.parametrize("name", VPC)
def test_subnets_and_security_groups_need_each_other(name: str) -> None:
    model = {"VllmUrl": "https://models.example.com/v1"}
    assert broken_rules(model | VPC) == []
    assert broken_rules(model | {name: VPC[name]}) != []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("AlarmTopicArn", "arn:aws:sns:eu-west-1:123456789012:on-call", "arn:aws:sqs:eu-west-1:123456789012:on-call"),
        ("AlarmEmail", "on.call@example.com", "on call@example.com"),
        ("VpcSubnetIds", "subnet-0123456789abcdef0", "subnet-1, subnet-2"),
        ("VpcSecurityGroupIds", "sg-1a,sg-2b", "subnet-1a"),
    ],
)
def test_parameters_that_are_none_are_refused_by_name(name: str, good: str, bad: str) -> None:
    pattern = template()["Parameters"][name]["AllowedPattern"]
    assert re.fullmatch(pattern, "")
    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)
