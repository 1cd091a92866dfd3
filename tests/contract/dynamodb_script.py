"""A DynamoDB that answers as a test says: for what DynamoDB Local never answers, and for what each call costs."""

import asyncio
from collections.abc import Callable
import json
from typing import Any, Final

from aiohttp import web

from core.platform.retry import Backoff

type Answer = tuple[int, dict[str, Any]]
TRIES: Final = 10
AT_ONCE: Final = Backoff(0, 0, TRIES)
DONE: Final[Answer] = (200, {})


def failure(code: str, status: int = 400, **more: Any) -> Answer:
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "arn:aws:secret", **more}


def cancelled(*codes: str, item: dict[str, Any] | None = None) -> Answer:
    reasons = [{"Code": code, "Message": "secret"} for code in codes]
    return failure(
        "TransactionCanceledException",
        CancellationReasons=[reasons[0] | ({"Item": item} if item else {}), *reasons[1:]],
    )


class Scripted:
    """Gives the answers it was told to, the last one for ever, and keeps what it was asked.

    None is silence; a function makes the answer from the first request.
    """

    def __init__(self) -> None:
        self.answers: list[Answer | Callable[[dict[str, Any]], Answer] | None] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers["x-amz-target"].partition(".")[2], json.loads(await request.text())))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await self.over.wait()
            return web.Response()
        status, body = answer(self.asked[0][1]) if callable(answer) else answer
        return web.json_response(body, status=status, content_type="application/x-amz-json-1.0")
