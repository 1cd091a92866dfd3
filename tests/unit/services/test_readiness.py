"""A stack is ready where each of its parts answers; who asks often asks no part often, and learns no address."""

import asyncio

import pytest

from core.errors import ProviderUnavailable
from core.services.admin.readiness import NotReady, Readiness


async def test_it_is_ready_where_every_part_answers_and_they_are_asked_once_in_a_second() -> None:
    now, asked = 0.0, list[str]()

    async def check() -> None:
        asked.append("a")
        await asyncio.sleep(0)

    ready = Readiness({"a": check}, clock=lambda: now)
    shown = await asyncio.gather(*(ready.show() for _ in range(5)))
    assert shown == [{"status": "OK", "parts": {"a": {"status": "OK"}}}] * 5
    assert asked == ["a"]
    now = 1.0
    await ready.show()
    assert asked == ["a", "a"]


async def test_each_part_that_does_not_answer_is_named_and_its_store_is_not() -> None:
    async def broken() -> None:
        raise ProviderUnavailable("The table `secret-table` is not there.")

    async def silent() -> None:
        await asyncio.sleep(60)

    async def well() -> None:
        pass

    ready = Readiness({"registry": broken, "quota": silent, "jobs": well}, patience=0.01)
    for _ in range(2):  # the second is what was kept
        with pytest.raises(NotReady) as refused:
            await ready.show()
        body = refused.value.body()
        assert body["parts"] == {
            "registry": {"status": "Error", "reason": "cannot be used (provider_unavailable)"},
            "quota": {"status": "Error", "reason": "does not answer within 0.01 s"},
            "jobs": {"status": "OK"},
        }
        assert body["error"]["message"].startswith("Not ready: registry cannot be used (provider_unavailable); quota")
        assert "secret-table" not in str(body)
        assert refused.value.headers == {"retry-after": "1"}
