"""What of an answer is written together: a head with the start of its body, and nothing is held back for longer or lost."""

import asyncio
from typing import override

import pytest

from core.runtime.http_protocol import MOST_JOINED, JoiningTransport

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Recorder(asyncio.Transport):
    """A transport that notes what it is told."""

    def __init__(self) -> None:
        super().__init__({"socket": "the socket"})
        self.calls: list[bytes | str] = []

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append(bytes(data))

    @override
    def write_eof(self) -> None:
        self.calls.append("eof")

    @override
    def close(self) -> None:
        self.calls.append("close")


class World:
    def __init__(self) -> None:
        self.recorder = Recorder()
        self.transport = JoiningTransport(self.recorder, asyncio.get_running_loop())


@pytest.fixture
async def world() -> World:
    return World()


async def test_a_head_goes_with_the_first_of_its_body_and_what_follows_by_itself(world: World) -> None:
    for data in (HEAD, b"body", b"more"):
        world.transport.write(data)
    assert world.recorder.calls == [HEAD + b"body", b"more"]
    await asyncio.sleep(0)
    assert world.recorder.calls == [HEAD + b"body", b"more"]


async def test_a_head_waits_for_a_body_one_turn_of_the_loop(world: World) -> None:
    world.transport.write(HEAD)
    assert world.recorder.calls == []
    await asyncio.sleep(0)
    world.transport.write(b"late")
    assert world.recorder.calls == [HEAD, b"late"]


async def test_two_answers_in_one_turn_stay_in_order(world: World) -> None:
    for data in (HEAD, b"", HEAD, b"2"):
        world.transport.write(data)
    assert b"".join(data for data in world.recorder.calls if isinstance(data, bytes)) == HEAD + HEAD + b"2"
    assert world.recorder.calls[-1] == HEAD + b"2"


async def test_a_long_body_is_not_copied(world: World) -> None:
    body = bytes(MOST_JOINED + 1)
    world.transport.write(HEAD)
    world.transport.write(body)
    assert world.recorder.calls == [HEAD, body]


@pytest.mark.parametrize(("end", "call"), [("write_eof", "eof"), ("close", "close")])
async def test_what_ends_a_connection_comes_after_the_head(world: World, end: str, call: str) -> None:
    world.transport.write(HEAD)
    getattr(world.transport, end)()
    await asyncio.sleep(0)
    assert world.recorder.calls == [HEAD, call]
    assert world.transport.get_extra_info("socket") == "the socket"
