"""Tools that are AWS Lambda functions: a tool group is a function of the run config, with the tools that it says (docs/adr/0078)."""

import asyncio
from collections.abc import Mapping
import logging
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from pydantic_core import to_json

from core.apis.tools import ToolAccess, ToolGroup, ToolListing, ToolProvider, ToolResult
from core.errors import InvalidRequest, NotFound
from core.frame.tracing import REQUEST_ID
from core.frame.types import Health, JsonObject
from core.platform.suggestions import did_you_mean
from core.providers.aws.clients import AwsClients, call_options
from core.providers.aws_lambda import wire
from core.providers.aws_lambda.config import Config, LambdaFunction
from core.providers.aws_lambda.errors import translate_errors

if TYPE_CHECKING:
    from core.platform.signed_json import SignedJson

log = logging.getLogger(__name__)

SERVICE: Final = "lambda"
ONCE: Final = 1  # tries: whether a function that was called has done something, only it knows
ARGUMENT: Final = "function"  # of a tool group: the function that it is, where its own name is another
LISTED_SECONDS: Final = 0.0  # not remembered: what the run config says costs nothing to look up


class LambdaTools:
    """A group's name at the provider, or its argument `function`, is the name of one of the config's functions."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """Nothing is imported or opened before the first call."""
        self._provider_id = provider_id
        self._config = config
        self._clients = AwsClients(config)
        self._signed: SignedJson | None = None

    def warm(self) -> None:
        """Import what the first call would wait for."""
        self._service.warm()

    async def check_tool_group(self, group: ToolGroup) -> None:
        self._function(group)

    def credentials_of(self, group: ToolGroup, access: ToolAccess) -> str:
        """Whoever calls, the stack's role is who invokes."""
        del group, access
        return ""

    async def list_tools(self, group: ToolGroup, access: ToolAccess) -> ToolListing:
        """As the run config has them: the function is not asked."""
        del access
        return ToolListing(wire.list_tools(self._function(group)), LISTED_SECONDS)

    async def invoke_tool(self, group: ToolGroup, tool: str, arguments: JsonObject, access: ToolAccess) -> ToolResult:
        """A function that was called goes on until it has ended, also where nobody waits for it any more."""
        function = self._function(group)
        if all(tool != one.name for one in function.tools):
            raise NotFound(
                f"Function `{function.target}` has no tool `{tool}`. List the group's tools again.", param="tool_name"
            )
        call_id = access.key or str(uuid4())
        headers = wire.print_headers(function.target, tool, REQUEST_ID.get() or call_id, call_id)
        with translate_errors(self._provider_id, function.target):
            answer = await self._service.send(wire.print_path(function.function), to_json(arguments), headers)
        if wire.ERROR_HEADER not in answer.headers:
            return wire.read_result(self._provider_id, answer.content)
        result = wire.read_failure(self._provider_id, answer.content)
        reason = result.metadata.get("error_type", "")
        log.warning("function %s failed", function.target, extra={"provider": self._provider_id, "reason": reason})
        return result

    async def health(self) -> Health:
        """Whether all functions are there and may be called, which Lambda says without calling them."""
        from core.providers.aws.overview_health import health_by_rights  # late: few calls look

        return await health_by_rights(self._probe(), has_own=self._config.has_own_identity)

    async def close(self) -> None:
        if self._signed is not None:
            await self._signed.close()
        await self._clients.close()

    @property
    def _service(self) -> "SignedJson":
        if self._signed is None:
            from core.platform.signed_json import SignedJson

            # By IPv4, as the SDK calls it: an interface endpoint of a VPC answers to that name.
            options = call_options(self._config, self._config.region, tries=ONCE, dual_stack=False)
            self._signed = SignedJson(SERVICE, self._clients, options)
        return self._signed

    async def _probe(self) -> None:
        probes = await asyncio.gather(*map(self._probe_one, self._config.functions), return_exceptions=True)
        for failure in filter(None, probes):
            raise failure

    async def _probe_one(self, function: LambdaFunction) -> None:
        with translate_errors(self._provider_id, function.target):
            await self._service.send(wire.print_path(function.function), b"", wire.DRY_RUN)

    def _function(self, group: ToolGroup) -> LambdaFunction:
        """The group's function; raises InvalidRequest where it has none, or may not have one."""
        if group.endpoint:
            raise InvalidRequest(
                f"Provider `{self._provider_id}` is of Lambda functions, which have no endpoint: leave out `mcp_endpoint`.",
                param="mcp_endpoint",
            )
        if not (group.trusted or self._config.allow_registered_groups):
            raise InvalidRequest(
                f"Tool groups of provider `{self._provider_id}` are declared at `tool_groups` of the run config: its functions are called with the stack's own credentials. "
                "`allow_registered_groups` in its config lets callers register them too.",
                param="provider_id",
            )
        name = str(group.args.get(ARGUMENT) or group.name)
        function = self._config.find(name)
        if function is None:
            hint = did_you_mean(name, [one.target for one in self._config.functions])
            raise InvalidRequest(
                f"Provider `{self._provider_id}` has no function `{name}`{hint or '.'} Name one of `functions` in its config as the group's `args.{ARGUMENT}`, or as its id.",
                param=f"args.{ARGUMENT}",
            )
        return function


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> ToolProvider:
    """A provider over the functions of one region; it depends on no other API."""
    del deps
    return LambdaTools(provider_id, config)
