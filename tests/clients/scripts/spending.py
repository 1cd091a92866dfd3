"""OpenAI's own client spends: a hundred chats of three keys, and a conversation that goes on until a budget ends it.

The environment variables NIGHT, DAY and CI have the keys of three callers, and THRIFTY that of one with a budget.
"""

from concurrent.futures import ThreadPoolExecutor
import os
import re
from typing import Any, Final

import openai

from tests.clients.scripts.harness import refusal, run

CHATS: Final = {"NIGHT": ("small", 50, False), "DAY": ("large", 30, True), "CI": ("small", 20, False)}
"""Of each key the model, how many, and whether they are streamed."""
ENDED: Final = re.compile(
    r"Quota exceeded: of your 0\.0055 USD a month 0\.\d+ USD are left until \d{4}-\d\d-01T00:00:00Z, and this may take 0\.\d+ USD"
)
MOST_TURNS: Final = 5  # of 0.0011 USD


def client_of(url: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=os.environ[key], max_retries=0)


def a_hundred_chats_are_answered(url: str) -> None:
    def chat(key: str, model: str, is_streamed: bool) -> None:  # noqa: FBT001 - as CHATS has them
        messages: Any = [{"role": "user", "content": "Hi"}]
        answer: Any = client_of(url, key).chat.completions.create(
            model=model, messages=messages, max_tokens=10, stream=is_streamed
        )
        assert list(answer)

    calls = [(key, model, how) for key, (model, count, how) in CHATS.items() for _ in range(count)]
    mixed = [calls[37 * place % len(calls)] for place in range(len(calls))]
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(chat, *call) for call in mixed]:
            done.result()


def a_budget_ends_a_conversation_and_says_which_and_until_when(url: str) -> None:
    client, turns = client_of(url, "THRIFTY"), 0
    messages: list[Any] = [{"role": "user", "content": "Hi"}]

    def go_on() -> None:
        nonlocal turns
        for _ in range(MOST_TURNS + 1):
            answer = client.chat.completions.create(model="small", messages=messages, max_tokens=10)
            messages.extend([answer.choices[0].message, {"role": "user", "content": "Go on"}])
            turns += 1

    refused = refusal(openai.RateLimitError, go_on)
    assert 1 <= turns <= MOST_TURNS, turns
    assert ENDED.search(refused.message), refused.message
    said = refused.response.headers
    assert said["x-llambda-limit"].startswith("caller; month; money; limit=0.0055; used=0.00"), said
    assert int(said["retry-after"]) > 0


SCENARIOS = (a_hundred_chats_are_answered, a_budget_ends_a_conversation_and_says_which_and_until_when)

if __name__ == "__main__":
    run(SCENARIOS)
