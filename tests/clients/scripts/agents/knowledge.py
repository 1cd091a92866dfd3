"""What an agent of 0.2.12 knows beside its model: documents of a turn, a vector database; and what its shields keep from it."""

import os
from typing import Any
from uuid import uuid4

from tests.clients.scripts.agents.asking import SHIELD, WORD, agent, ask, client, kinds, logged, session, streamed
from tests.clients.scripts.harness import refusal, run
from tests.parts.model_script import Call, Round

SEARCH = Call("knowledge_search", {"query": "When was the fountain built?"})


def database(url: str) -> str:
    stack, name = client(url), f"db-{uuid4()}"
    stack.vector_dbs.register(vector_db_id=name, embedding_model="words", embedding_dimension=64, provider_id="vectors")
    documents: list[Any] = [
        {"document_id": "num-0", "content": "The fountain was built in 1949.", "metadata": {}},
        {"document_id": "num-1", "content": "The bridge was built in 2022.", "mime_type": "text/plain", "metadata": {}},
    ]
    stack.tool_runtime.rag_tool.insert(documents=documents, vector_db_id=name, chunk_size_in_tokens=128)
    return name


def knowledge_is_searched(url: str) -> None:
    name = database(url)
    for tool in ("builtin::rag/knowledge_search", "builtin::rag"):
        one = agent(url, tools=[{"name": tool, "args": {"vector_db_ids": [name]}}])
        turn, _ = streamed(one, session(one), Round("", (SEARCH,)), Round("{quote}"))
        step = next(step for step in turn.steps if step.step_type == "tool_execution")
        assert step.tool_calls[0].tool_name == "knowledge_search"
        assert set(step.tool_responses[0].metadata["document_ids"]) == {"num-0", "num-1"}
        assert "1949" in turn.output_message.content


def its_model_is_not_told_where_to_search(url: str) -> None:
    """`args` of the group are the operator's of the agent: the model is told of the query alone, and changes nothing of them."""
    name, other = database(url), database(url)
    one = agent(url, tools=[{"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": [name]}}])
    sly = Call("knowledge_search", {"query": "fountain", "vector_db_ids": [f"{other}-not"]})
    turn = ask(one, session(one), Round("", (sly,)), Round("{quote}"), stream=False)
    assert "1949" in turn.output_message.content


def documents_are_read(url: str) -> None:
    one = agent(url)
    where = session(one)
    note = f"{os.environ['MODEL_URL']}/note"
    documents = [
        {"document_id": "d", "content": {"type": "url", "uri": note}, "mime_type": "text/plain", "metadata": {}},
        {"content": "Polyjuice boils at minus one hundred.", "mime_type": "text/plain"},
        {"content": {"type": "text", "text": "A third text."}, "mime_type": "text/plain"},
        {"content": [{"type": "text", "text": "A fourth text."}], "mime_type": "text/plain"},
        {"content": {"uri": "data:text/plain,A%20fifth%20text."}, "mime_type": "text/plain"},
    ]
    told = ask(one, where, "Read this.", documents=documents, stream=False).output_message.content
    for text in ("anticlockwise", "minus one hundred", "A third", "A fourth", "A fifth"):
        assert text in told, (text, told)
    assert "anticlockwise" in ask(one, where, "What did it say?", documents=[], stream=False).output_message.content


def documents_that_are_not_there(url: str) -> None:
    from llama_stack_client import BadRequestError

    one = agent(url)
    where = session(one)
    for uri in (f"{os.environ['MODEL_URL']}/moved", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd"):
        documents = [{"content": {"uri": uri}, "mime_type": "text/plain"}]
        refused = refusal(BadRequestError, lambda it=documents: list(ask(one, where, "Read.", documents=it)))  # type: ignore[misc]
        assert "document" in str(refused), refused
    assert ask(one, where, Round("Well."), stream=False).output_message.content == "Well."


def a_shield_lets_pass(url: str) -> None:
    one = agent(url, input_shields=[SHIELD], output_shields=[SHIELD])
    where = session(one)
    turn, _ = streamed(one, where, Round("Hello, Bo."))
    assert kinds(turn) == ["shield_call", "inference", "shield_call"]
    assert [step.violation for step in turn.steps if step.step_type == "shield_call"] == [None, None]
    logs = logged(ask(one, where, Round("Hello, Bo.")))
    assert logs == "shield_call> No Violationinference> Hello, Bo.shield_call> No Violation"


def a_shield_stops_what_is_asked(url: str) -> None:
    one = agent(url, input_shields=[SHIELD], output_shields=[SHIELD])
    where = session(one)
    turn, chunks = streamed(one, where, f"Tell me how to make a {WORD}")
    assert kinds(turn) == ["shield_call"]
    violation = turn.steps[0].violation
    assert (violation.violation_level, violation.metadata["violation_type"]) == ("error", "S1")
    assert chunks[0].event.payload.metadata["touchpoint"] == "user-input"
    assert turn.output_message.content == violation.user_message
    assert "I can't" in logged(ask(one, where, f"Tell me how to make a {WORD}"))
    assert ask(one, where, Round("Well."), stream=False).output_message.content == "Well."


def a_shield_stops_what_is_answered(url: str) -> None:
    one = agent(url, output_shields=[SHIELD])
    where = session(one)
    word = f"{WORD[:3]}\\u{ord(WORD[3]):04x}{WORD[4:]}"  # in the script it is no word; in what is said, it is
    text = f'script: [{{"text": "Take a {word}."}}]'
    turn, _ = streamed(one, where, text)
    assert kinds(turn) == ["inference", "shield_call"]
    assert turn.steps[1].violation.violation_level == "error"
    assert turn.output_message.content == turn.steps[1].violation.user_message
    assert WORD not in ask(one, where, "What did you say?", stream=False).output_message.content


def shields_that_are_not_there(url: str) -> None:
    from llama_stack_client import APIStatusError

    def talk() -> None:
        one = agent(url, input_shields=["no-such-shield"])
        list(ask(one, session(one), "Hi"))

    assert "no-such-shield" in str(refusal(APIStatusError, talk))


SCENARIOS = (
    knowledge_is_searched,
    its_model_is_not_told_where_to_search,
    documents_are_read,
    documents_that_are_not_there,
    a_shield_lets_pass,
    a_shield_stops_what_is_asked,
    a_shield_stops_what_is_answered,
    shields_that_are_not_there,
)

if __name__ == "__main__":
    run(SCENARIOS)
