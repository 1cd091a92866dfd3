"""The discovery service: describes the machine and, all at the same time, every upstream."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
import logging
from typing import Any, Final, cast

from core.apis.discovery import Environment, RunsOn, Upstream
from core.errors import ApiError
from core.frame.callers import upstream_wait
from core.platform.machine import Machine

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 2.0
BROKEN: Final = "The provider could not describe its upstream; the stack's log says why."


@dataclass(frozen=True, slots=True)
class Describer:
    """A configured provider; `describe` is None where it has none (see `core.apis.discovery.Describes`)."""

    api: str
    provider_id: str
    provider_type: str
    describe: Callable[[], Awaitable[object]] | None


class DiscoveryRouter:
    """Answers `core.apis.discovery.Discovery` from what was resolved."""

    def __init__(
        self,
        version: str,
        machine: Callable[[], Machine],
        describers: Sequence[Describer],
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`machine` may run programs, and is called in a thread; `patience` is in seconds, for each upstream."""
        self._version = version
        self._machine = machine
        self._describers = tuple(describers)
        self._patience = patience

    async def environment(self) -> Environment:
        async with asyncio.TaskGroup() as group:
            machine = group.create_task(asyncio.to_thread(self._machine))
            upstreams = [group.create_task(self._upstream(describer)) for describer in self._describers]
        return Environment(
            version=self._version,
            runs_on=_to_wire(machine.result()),
            upstreams=[upstream.result() for upstream in upstreams],
        )

    async def _upstream(self, provider: Describer) -> Upstream:
        identity = {"api": provider.api, "provider_id": provider.provider_id, "provider_type": provider.provider_type}
        description: Mapping[str, Any] = (
            {} if provider.describe is None else await self._ask(provider.provider_id, provider.describe)
        )
        # The first gives the order of the keys; the last keeps an external provider from naming itself otherwise.
        return cast("Upstream", {**identity, **description, **identity})

    async def _ask(self, provider_id: str, describe: Callable[[], Awaitable[object]]) -> Mapping[str, Any]:
        """Its description, or an error: an external provider may raise and return anything."""

        async def describe_in_time() -> object:
            with upstream_wait():
                async with asyncio.timeout(self._patience):
                    return await describe()

        # Gathered, so that whatever is raised becomes a value; a cancellation of this task itself still cancels it.
        answer = (await asyncio.gather(describe_in_time(), return_exceptions=True))[0]
        if isinstance(answer, dict):
            return cast("Mapping[str, Any]", answer)
        match answer:
            case ApiError() as failure:
                return {"error": " ".join(filter(None, (failure.message, failure.fault)))}
            case TimeoutError():
                return {"error": f"It did not answer within {self._patience:g} seconds."}
            case _:
                raised = answer if isinstance(answer, BaseException) else None
                log.error("provider %s: describe failed, or gave no mapping", provider_id, exc_info=raised)
                return {"error": BROKEN}


def _to_wire(machine: Machine) -> RunsOn:
    return cast("RunsOn", asdict(machine) | {"gpus": list(machine.gpus)})
