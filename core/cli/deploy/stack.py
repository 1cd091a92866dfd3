"""A CloudFormation stack: what it is, what a change set would do to it, and what happens to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import sleep
from typing import Any, Final

POLL_SECONDS: Final = 2.0
REVIEWED: Final = "REVIEW_IN_PROGRESS"  # of a stack that is nothing but a change set
DEPLOYED: Final = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
FUNCTION: Final = "AdminFunctionArn"  # an output; this function is always there
NOTHING: Final = ("didn't contain changes", "No updates are to be performed")


class AwsFailed(Exception):
    """AWS did not answer, or said no. Says why."""


@dataclass(frozen=True, slots=True)
class Described:
    """A secret parameter's value is AWS's own mask."""

    id: str
    status: str
    parameters: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """`replacement` is True, False, Conditional, or "" where the resource is new or removed."""

    action: str
    resource: str
    type: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a resource, or of the stack itself."""

    resource: str
    type: str
    status: str
    reason: str
    of_stack: bool

    @property
    def has_ended(self) -> bool:
        return self.status.endswith(("_COMPLETE", "_FAILED"))

    @property
    def has_failed(self) -> bool:
        return self.status.endswith("_FAILED")


@dataclass(slots=True)
class Proposal:
    """A change set; `executed` from the moment on at which AWS has been told so."""

    change_set: str
    changes: list[ResourceChange]
    executed: bool = False


class DeployedStack:
    """Of the AWS SDK's own credentials; its endpoint is that of AWS_ENDPOINT_URL, if that is set."""

    def __init__(self, name: str, region: str | None) -> None:
        """Import the SDK; nothing is called yet. Without a region it is the profile's.

        Raises:
            AwsFailed: the profile of the environment is not there.
        """
        from boto3.session import Session
        from botocore.exceptions import BotoCoreError

        self.name = name
        try:
            self._session = Session()
            configured: str | None = self._session.region_name
            self.has_credentials = self._session.get_credentials() is not None
        except BotoCoreError as failure:
            raise AwsFailed(str(failure)) from failure
        self.region = region or configured or ""
        self._clients: dict[str, Any] = {}

    def describe(self) -> Described | None:
        """The stack; None if there is none.

        Raises:
            AwsFailed: AWS did not say.
        """
        try:
            [stack] = self._call("describe_stacks", StackName=self.name)["Stacks"]
        except AwsFailed as failed:
            if "does not exist" in str(failed):
                return None
            raise
        parameters = {item["ParameterKey"]: item.get("ParameterValue", "") for item in stack.get("Parameters", ())}
        outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", ())}
        return Described(stack["StackId"], stack["StackStatus"], parameters, outputs)

    def variables(self) -> dict[str, str]:
        """The environment of its functions, which have all the same of the template.

        Raises:
            AwsFailed: AWS did not say, or there is no such stack, or none of this template.
        """
        stack = self.describe()
        arn = "" if stack is None else stack.outputs.get(FUNCTION, "")
        if not arn:
            raise AwsFailed(
                f"there is no stack {self.name} in {self.region or 'this region'} that llambda has deployed"
            )
        answer = self._call("get_function_configuration", "lambda", FunctionName=arn)
        variables: dict[str, str] = answer.get("Environment", {}).get("Variables", {})
        return variables

    def change_sets(self) -> set[str]:
        """The ids of those that AWS has; none where there is no stack."""
        if self.describe() is None:
            return set()
        return {summary["ChangeSetId"] for summary in self._pages("list_change_sets", "Summaries", StackName=self.name)}

    def proposal(self, earlier: set[str]) -> Proposal:
        """The change set that was not there earlier, with every change of it.

        Raises:
            AwsFailed: it could not be made.
        """
        new = self.change_sets() - earlier
        if not new:
            return Proposal("", [])
        if len(new) > 1:
            raise AwsFailed(f"somebody else made a change set of {self.name} just now; deploy again after theirs")
        [change_set] = new
        arguments = {"StackName": self.name, "ChangeSetName": change_set}
        details = self._call("describe_change_set", **arguments)
        reason = details.get("StatusReason", "")
        if details["Status"] == "FAILED" and not any(words in reason for words in NOTHING):
            raise AwsFailed(f"the change set could not be made: {reason}")
        pages = self._pages("describe_change_set", "Changes", **arguments)
        return Proposal(change_set, [_change(change["ResourceChange"]) for change in pages])

    def discard(self, earlier: set[str], *, new: bool) -> None:
        """Delete the change set that was not there earlier, and a new stack that was made for it alone."""
        new_sets = self.change_sets() - earlier
        if len(new_sets) > 1:
            return  # one is somebody else's
        for change_set in new_sets:
            self._call("delete_change_set", StackName=self.name, ChangeSetName=change_set)
        stack = self.describe()
        if new and not earlier and stack is not None and stack.status == REVIEWED:
            self._call("delete_stack", StackName=stack.id)

    def execute(self, proposal: Proposal) -> Iterator[Event]:
        """Start it; then what happens, the end of the stack's own operation last."""
        [stack] = self._call("describe_stacks", StackName=self.name)["Stacks"]
        seen: set[str] = set()
        self._fresh(stack["StackId"], seen)
        self._call("execute_change_set", StackName=self.name, ChangeSetName=proposal.change_set)
        proposal.executed = True
        yield from self._follow(stack["StackId"], seen)

    def _follow(self, stack_id: str, seen: set[str]) -> Iterator[Event]:
        while True:
            for event in self._fresh(stack_id, seen):
                yield event
                if event.of_stack and event.has_ended:
                    return
            sleep(POLL_SECONDS)

    def _fresh(self, stack_id: str, seen: set[str]) -> list[Event]:
        """Those that are not seen, which are then; AWS has the newest first."""
        fresh: list[Event] = []
        for event in self._pages("describe_stack_events", "StackEvents", StackName=stack_id):
            if event["EventId"] in seen:
                break
            seen.add(event["EventId"])
            own = event.get("PhysicalResourceId") == stack_id
            reason = event.get("ResourceStatusReason", "")
            fresh.append(Event(event["LogicalResourceId"], event["ResourceType"], event["ResourceStatus"], reason, own))
        return fresh[::-1]

    def _pages(self, operation: str, key: str, **arguments: str) -> Iterator[dict[str, Any]]:
        answer = self._call(operation, **arguments)
        yield from answer.get(key, ())
        while token := answer.get("NextToken"):
            answer = self._call(operation, **arguments, NextToken=token)
            yield from answer.get(key, ())

    def _call(self, operation: str, service: str = "cloudformation", /, **arguments: str) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if service not in self._clients:
                create: Any = self._session.client  # its stubs are not installed
                self._clients[service] = create(service, region_name=self.region)
            answer: dict[str, Any] = getattr(self._clients[service], operation)(**arguments)
        except (BotoCoreError, ClientError) as failure:
            raise AwsFailed(str(failure)) from failure
        return answer


def _change(change: dict[str, Any]) -> ResourceChange:
    replacement = change.get("Replacement", "") if change["Action"] == "Modify" else ""
    return ResourceChange(change["Action"], change["LogicalResourceId"], change["ResourceType"], replacement)
