"""The discovery service: describes the machine and, all at the same time, every upstream."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
import logging
from typing import Any, Final, cast

from core.apis.discovery import Environment, RunsOn, Upstream
from core.errors import ApiError
from core.frame.callers import upstream_wait
from core.platform.machine import Machine
from core.routing.isolation import ProviderMistake, Question, Secrets, ask_apart, failure_of

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 2.0
BROKEN: Final = "The provider could not describe its upstream; the stack's log says why."


@dataclass(frozen=True, slots=True)
class Describer:
    """A configured provider; `describe` is None where it has none (see `core.apis.discovery.Describes`)."""

    api: str
    provider_id: str
    provider_type: str
    describe: Question | None
    secrets: Secrets = tuple


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
            {} if provider.describe is None else await self._ask(provider, provider.describe)
        )
        # The first gives the order of the keys; the last keeps an external provider from naming itself otherwise.
        return cast("Upstream", {**identity, **description, **identity})

    async def _ask(self, provider: Describer, describe: Question) -> Mapping[str, Any]:
        """Its description, or an error: an external provider may raise and return anything."""
        try:
            with upstream_wait():
                answer = await ask_apart(describe, self._patience, provider.secrets)
            return read_description(answer)
        except (ApiError, TimeoutError) as failure:
            return {"error": failure_of(failure, self._patience)}
        except ProviderMistake as mistake:
            facts = {"provider": provider.provider_id, "reason": str(mistake)}
            log.error("provider %s: describe failed: it %s", provider.provider_id, mistake, extra=facts)  # noqa: TRY400 - a report of somebody else's bug
            return {"error": BROKEN}


def read_description(answer: object) -> Mapping[str, Any]:
    """Raises ProviderMistake for what is none."""
    if not isinstance(answer, dict):
        raise ProviderMistake(f"gave {type(answer).__name__}, which is no mapping")
    return cast("Mapping[str, Any]", answer)


def _to_wire(machine: Machine) -> RunsOn:
    return cast("RunsOn", asdict(machine) | {"gpus": list(machine.gpus)})
