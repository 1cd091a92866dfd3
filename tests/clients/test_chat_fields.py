"""docs/chat-fields.md has every field that the newest of OpenAI's SDKs knows."""

from tests.clients import running
from tests.parts.chat_fields import outcomes


def test_every_field_of_openais_chat_request_has_a_row() -> None:
    names = running.results("openai-3", "tests.clients.scripts.chat_fields")
    assert len(names) > 30
    assert names.keys() - outcomes().keys() == set()
