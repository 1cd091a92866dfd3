"""A configuration that a caller may not read is missing, and takes as long."""

from typing import Any, cast

import pytest

from core.apis.configurations import Configuration
from core.errors import NotFound
from core.frame.callers import Principal
from core.routing.guard import Enforcement
from core.routing.policy import DEFAULT_POLICY, Policy
from core.services.configurations.router import ConfigurationService, ConfigurationsRouter
from core.services.configurations.versions import Versions
from tests.fakes import Clock

HIDDEN = Configuration(1, {}, owner={"principal": "ada", "attributes": {"roles": ["admin"]}})


class OneConfiguration:
    """As much of a ConfigurationStore as is asked."""

    async def get(self, version: int) -> Configuration | None:
        return HIDDEN if version == HIDDEN.version else None


async def test_a_hidden_configuration_takes_as_long_as_a_missing_one_and_says_the_same() -> None:
    slept = list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    store: Any = OneConfiguration()
    enforcement = Enforcement(Policy(DEFAULT_POLICY), 0.025, Clock(), sleep)
    versions = Versions(cast("Any", None), store, lambda _: None)
    router = ConfigurationsRouter(
        ConfigurationService(versions, enforcement, None, None), Principal("bob", {"roles": ("dev",)})
    )
    messages: list[str] = []
    for identifier in ("1", "2", "x"):
        with pytest.raises(NotFound) as missing:
            await router.get(identifier)
        messages.append(missing.value.message.replace(f"`{identifier}`", "`1`"))
    assert len(set(messages)) == 1
    assert slept == [0.025] * 3
