"""The alarms and the dashboard of template.yaml, which `make template` writes for the functions that there are.

What is measured is AWS's own metrics, those of the request lines (core/runtime/log_lines.py), and what filters count in
these lines; docs/operations.md says what to do at each alarm.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
import json
from typing import TYPE_CHECKING, Final

from core.cli.iam.table import CALL_MODELS
from core.errors import QuotaUnavailable
from core.frame.api import WORKER
from core.runtime.log_lines import COARSE, FINE, NAMESPACE

if TYPE_CHECKING:
    from infra.template import Function

SECONDS: Final = 300  # of a period
COUNTED: Final = (
    "llambda/${AWS::StackName}"  # the namespace of what filters count: over all functions, so without a dimension
)
HAS_ALARMS: Final = "HasAlarms"
WITH_JOBS: Final = "AlarmsOfJobs"
TELL: Final = "[!If [NamesAlarmTopic, !Ref AlarmTopicArn, !Ref AWS::NoValue], !If [HasAlarmEmail, !Ref AlarmTopic, !Ref AWS::NoValue]]"
OWN_TIME: Final = "{ $.OwnMilliseconds = * }"
FAILED: Final = "{ $.status >= 500 }"
SPEND: Final = "{ $.Spend = * }"
UNCOUNTED: Final = "quota: calls are allowed without being counted"
"""Begins what core/quota/quota.py logs where the run config lets calls through without a count."""
UNSETTLED: Final = "usage: calls were never settled"
"""Begins what core/stores/counters/filing.py logs of reservations that nobody has settled for a day."""
OF_UNSETTLED: Final = f'{{ $.message = "{UNSETTLED}*" }}'
DAY: Final = 86_400
QUOTA_STORE: Final = f'{{ ($.error_code = "{QuotaUnavailable.code}") || ($.message = "{UNCOUNTED}*") }}'


@dataclass(frozen=True, slots=True)
class Alarm:
    """`name` follows the stack's; `dimensions` and `threshold` are YAML. It rings where each of `periods`, of so many `seconds`, reaches the threshold."""

    name: str
    meaning: str
    namespace: str
    metric: str
    dimensions: str = ""
    statistic: str = "Sum"
    threshold: str = "1"
    periods: int = 1
    seconds: int = SECONDS
    condition: str = HAS_ALARMS

    @property
    def id(self) -> str:
        return f"{''.join(word.capitalize() for word in self.name.replace('_', '-').split('-'))}Alarm"


@dataclass(frozen=True, slots=True)
class Filter:
    """Counts the lines of a function's log that match, or has a field of each as its value."""

    function: str
    metric: str
    pattern: str
    value: str = "1"
    condition: str = HAS_ALARMS


OF_STACK: Final = (
    Alarm(
        "server-errors",
        "Answers of 500 and more left API Gateway",
        "AWS/ApiGateway",
        "5XXError",
        "[{ Name: ApiName, Value: !Ref AWS::StackName }, { Name: Stage, Value: !Ref StageName }]",
        threshold="!Ref AlarmServerErrors",
    ),
    Alarm(
        "failed-answers",
        "Models' answers failed, streams that had begun and those of the function URL too",
        COUNTED,
        "FailedAnswers",
        threshold="!Ref AlarmServerErrors",
    ),
    Alarm(
        "own-time",
        "One request of a hundred waited this long for llambda itself",
        COUNTED,
        "OwnMilliseconds",
        statistic="p99",
        threshold="!Ref AlarmOwnMilliseconds",
        periods=3,
    ),
    Alarm("quota-store", "The quota table did not answer", COUNTED, "QuotaStoreFailures"),
    Alarm(
        "spend",
        "Answers of models cost this much in 24 hours",
        COUNTED,
        "Spend",
        threshold="!Ref AlarmSpend",
        seconds=DAY,
        condition="HasSpendAlarm",
    ),
    Alarm("unsettled", "Calls died before they were settled, and stay charged as reserved", COUNTED, "Unsettled"),
    Alarm(
        "dead-letters",
        "A job's message was given up after five workers",
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        "[{ Name: QueueName, Value: !GetAtt JobsDeadLetters.QueueName }]",
        statistic="Maximum",
        condition=WITH_JOBS,
    ),
)


def alarms(every: Sequence["Function"]) -> str:
    """Resources; `every` has the worker too."""
    filters = [row for function in every for row in _filters(function)]
    rows = [*(alarm for function in every for alarm in _of_function(function)), *OF_STACK]
    first, *rest = rows
    text = [_alarm(first, f"&Tell {TELL}"), *(_alarm(alarm, "*Tell") for alarm in rest)]
    return "".join([*map(_filter, filters), *text])


def _of_function(function: "Function") -> Iterator[Alarm]:
    dimensions = f"[{{ Name: FunctionName, Value: !Ref {function.name}Function }}]"
    condition = _condition(function)
    for metric, meaning in (
        ("Errors", "crashed or ran out of time"),
        ("Throttles", "was not started, for want of concurrency"),
    ):
        alarm = Alarm(
            f"{function.module}-{metric.lower()}", f"The function {meaning}", "AWS/Lambda", metric, dimensions
        )
        yield replace(alarm, condition=condition)


def _filters(function: "Function") -> Iterator[Filter]:
    condition = _condition(function)
    yield Filter(function.name, "Unsettled", OF_UNSETTLED, condition=condition)
    if CALL_MODELS in function.rights:
        yield Filter(function.name, "Spend", SPEND, "$.Spend", condition)
    if function.module == WORKER:  # it has no requests
        return
    yield Filter(function.name, "OwnMilliseconds", OWN_TIME, "$.OwnMilliseconds", condition)
    yield Filter(function.name, "QuotaStoreFailures", QUOTA_STORE, condition=condition)
    if function.streams:
        yield Filter(function.name, "FailedAnswers", FAILED, condition=condition)


def _condition(function: "Function") -> str:
    """That of its alarms: `AlarmsOfJobs` of what is there where HasJobs holds."""
    return function.switch.replace("Has", "AlarmsOf", 1) if function.switch else HAS_ALARMS


def _filter(row: Filter) -> str:
    return f"""\
  {row.function}{row.metric}:
    Condition: {row.condition}
    Type: AWS::Logs::MetricFilter
    Properties: {{ LogGroupName: !Ref {row.function}LogGroup,
      FilterPattern: {json.dumps(row.pattern)},
      MetricTransformations: [{{ MetricNamespace: !Sub "{COUNTED}", MetricName: {row.metric}, MetricValue: "{row.value}" }}] }}
"""


def _alarm(alarm: Alarm, actions: str) -> str:
    namespace = f'!Sub "{alarm.namespace}"' if "$" in alarm.namespace else alarm.namespace
    dimensions = f" Dimensions: {alarm.dimensions}," if alarm.dimensions else ""
    few = "ExtendedStatistic: p99, EvaluateLowSampleCountPercentile: ignore"  # one slow request of ten is not one of a hundred
    statistic = few if alarm.statistic == "p99" else f"Statistic: {alarm.statistic}"
    return f"""\
  {alarm.id}:
    Condition: {alarm.condition}
    Type: AWS::CloudWatch::Alarm
    Properties: {{ AlarmName: !Sub "${{AWS::StackName}}-{alarm.name}",
      AlarmDescription: "{alarm.meaning}. What to do: docs/operations.md, Alarms.",
      Namespace: {namespace}, MetricName: {alarm.metric},{dimensions}
      {statistic}, Period: {alarm.seconds}, EvaluationPeriods: {alarm.periods},
      ComparisonOperator: GreaterThanOrEqualToThreshold, Threshold: {alarm.threshold}, TreatMissingData: notBreaching,
      AlarmActions: {actions}, OKActions: *Tell }}
"""


@dataclass(frozen=True, slots=True)
class Graph:
    """Of metrics of the request lines, one line in it for each combination of `dimensions` that occurs."""

    title: str
    metrics: tuple[tuple[str, str], ...]
    dimensions: tuple[str, ...] = (*COARSE,)
    of_jobs: bool = False  # whether the lines of the worker have them too


GRAPHS: Final = (
    Graph("Requests", (("Requests", "Sum"),)),
    Graph("Errors (500 and more) and throttles (429)", (("Errors", "Sum"), ("Throttles", "Sum"))),
    Graph("Own time, ms: median and p99", (("OwnMilliseconds", "p50"), ("OwnMilliseconds", "p99"))),
    Graph("Waiting for providers, ms: p95, by model", (("UpstreamMilliseconds", "p95"),), (*FINE,)),
    Graph("First byte of streams, ms: p95, by model", (("FirstByteMilliseconds", "p95"),), (*FINE,)),
    Graph("Tokens, by model", (("PromptTokens", "Sum"), ("CompletionTokens", "Sum")), (*FINE,), of_jobs=True),
    Graph("Spend, USD, by model", (("Spend", "Sum"),), (*FINE,), of_jobs=True),
    Graph("Budgets: warnings and refusals", (("BudgetWarnings", "Sum"), ("BudgetRefusals", "Sum"))),
    Graph("Cold starts", (("ColdStart", "Sum"),)),
)
WORKER_NAME: Final = "${WorkerFunction}"
OF_LAMBDA: Final = (
    ("Functions: crashes and time-outs", "Errors", "Sum"),
    ("Functions: throttles", "Throttles", "Sum"),
    ("Functions: at once", "ConcurrentExecutions", "Maximum"),
)
API: Final = ("AWS/ApiGateway", "{}", "ApiName", "${AWS::StackName}", "Stage", "${StageName}")
JOBS: Final = (
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "${JobsQueue.QueueName}", {"stat": "Maximum"}),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${JobsDeadLetters.QueueName}", {"stat": "Maximum"}),
    ("AWS/Lambda", "Errors", "FunctionName", "${WorkerFunction}", {"stat": "Sum"}),
)


def dashboard(every: Sequence["Function"]) -> str:
    """The properties of the dashboard: a text of JSON, with a widget on each line."""
    names = [f"${{{function.name}Function}}" for function in every]
    widgets = [
        _widget(graph.title, _searches(graph, [*names, WORKER_NAME][: len(names) + graph.of_jobs])) for graph in GRAPHS
    ]
    for title, metric, statistic in OF_LAMBDA:
        widgets.append(
            _widget(title, [["AWS/Lambda", metric, "FunctionName", name, {"stat": statistic}] for name in names])
        )
    of_api = [
        [*(part.format(metric) if part == "{}" else part for part in API), {"stat": "Sum"}]
        for metric in ("4XXError", "5XXError")
    ]
    widgets.append(_widget("API Gateway: 4xx and 5xx", of_api))
    jobs = _widget("Jobs: age of the oldest message (s), dead letters, crashes", JOBS)
    lines = f",\n{' ' * 12}".join(widgets)
    return f"""\
      DashboardBody: !Sub
        - |
          {{"widgets": [
            {lines}${{Jobs}}
          ]}}
        - Jobs: !If
            - HasJobs
            - !Sub |
              , {jobs}
            - ""
          WorkerFunction: !If [HasJobs, !Ref WorkerFunction, none]
{"".join(_name_or_none(function) for function in every if function.switch)}"""


def _name_or_none(function: "Function") -> str:
    """In the place of the function's name in the text: one that is switched off is in no graph."""
    name = f"{function.name}Function"
    return f"          {name}: !If [{function.switch}, !Ref {name}, none]\n"


def _searches(graph: Graph, functions: Iterable[str]) -> list[list[object]]:
    """CloudWatch finds the operations, providers and models by itself; two stacks of an account have other functions."""
    schema = ",".join([NAMESPACE, *graph.dimensions])
    return [
        [
            {
                "expression": f"SEARCH('{{{schema}}} function=\"{function}\" MetricName=\"{metric}\"', '{statistic}', {SECONDS})"
            }
        ]
        for metric, statistic in graph.metrics
        for function in functions
    ]


def _widget(title: str, metrics: Iterable[object]) -> str:
    region = "${AWS::Region}"
    view = {"title": title, "region": region, "period": SECONDS, "metrics": list(metrics)}
    return json.dumps({"type": "metric", "width": 12, "height": 6, "properties": view})
