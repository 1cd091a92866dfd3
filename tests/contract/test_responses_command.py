"""`llambda responses`, `conversations`, `prompts`, `agents` and `sessions` against a stack that is served, with a model that does what it is told."""

import json
from pathlib import Path
import re

from click.testing import CliRunner, Result
import httpx

from core.cli.main import command
from tests.parts.response_stack import served_responses


def run(url: str, *words: str, text: str = "") -> Result:
    runner = CliRunner(env={"LLAMBDA_URL": url, "COLUMNS": "80"})
    return runner.invoke(command, words, standalone_mode=False, input=text or None)


def make_store(url: str) -> str:
    with httpx.Client(base_url=f"{url}/v1") as client:
        file = {"file": ("notes.md", b"Files expire when they are read.")}
        made = client.post("/files", files=file, data={"purpose": "assistants"}).json()
        store: str = client.post("/vector_stores", json={"name": "notes", "file_ids": [made["id"]]}).json()["id"]
        return store


def ask(url: str, mcp_url: str) -> None:
    first = run(url, "responses", "create", "Hello.")
    assert (first.return_value, first.stdout.count("\n")) == (0, 1)
    assert "note: the model is local/m" in first.stderr
    [response] = re.findall(r"resp_\w+", first.stderr)
    then = run(url, "responses", "create", "-", "--model", "local/m", "--after", response, "--json", text="And then?")
    assert json.loads(then.stdout)["previous_response_id"] == response
    found = run(url, "responses", "create", "Search: when do files expire?", "--store", make_store(url))
    assert "Files expire when they are read." in found.stdout, found.stderr
    assert "file_search_call: " in found.stderr
    added = run(url, "responses", "create", "Please greet.", "--mcp", f"sums={mcp_url}", "--no-store")
    assert added.return_value == 0
    assert "mcp_call: sums.greet(" in added.stderr
    for words, code, said in (
        (["create", "Hello.", "--model", "nobody"], 1, "nobody"),
        (["create", "Hello.", "--after", "resp_1"], 1, "resp_1"),
        (["show", "resp_1"], 1, "`llambda responses list` lists what there is."),
        (["create", "Hello.", "--tool", "x"], 2, "is no tool"),
    ):
        refused = run(url, "responses", *words)
        assert refused.exception is not None
        assert (getattr(refused.exception, "exit_code", 0), said in str(refused.exception)) == (code, True)
    keep(url, response)


def keep(url: str, response: str) -> None:
    rows = run(url, "responses", "list").stdout.splitlines()
    assert (len(rows), max(map(len, rows)) <= 80, any(response in row for row in rows)) == (4, True, True)
    shown = run(url, "responses", "show", response).stdout
    assert "\nuser: Hello.\n" in shown
    assert "\nassistant: " in shown
    assert run(url, "responses", "delete", response).stdout == f"deleted {response}\n"
    assert len(json.loads(run(url, "responses", "list", "--json", "--limit", "1").stdout)) == 1


def talk(url: str) -> None:
    conversation = run(url, "conversations", "create", "--metadata", "topic=files").stdout.strip()
    assert run(url, "responses", "create", "Hello.", "--conversation", conversation).return_value == 0
    shown = run(url, "conversations", "show", conversation).stdout
    assert "topic:    files\n" in shown
    assert "\nuser: Hello.\n" in shown
    assert len(json.loads(run(url, "conversations", "show", conversation, "--json").stdout)["items"]) == 2
    assert run(url, "conversations", "delete", conversation).stdout == f"deleted {conversation}\n"


def remember(url: str, folder: Path) -> None:
    (folder / "prompt.txt").write_text("Answer {{ name }} briefly.", "utf-8")
    prompt = run(url, "prompts", "create", "Answer {{ name }}.").stdout.strip()
    assert run(url, "prompts", "update", prompt, "--file", str(folder / "prompt.txt")).stdout.endswith(" version 2\n")
    assert "versions:  1, 2 (used)\n" in run(url, "prompts", "show", prompt).stdout
    assert run(url, "prompts", "show", prompt, "--version", "1").stdout.endswith("\n\nAnswer {{ name }}.\n")
    rows = run(url, "prompts", "list").stdout.splitlines()
    assert (len(rows), max(map(len, rows)) <= 80, prompt in rows[1]) == (2, True, True)
    assert run(url, "prompts", "delete", prompt).stdout == f"deleted {prompt}\n"
    assert run(url, "prompts", "list").stdout == "no prompts\n"


def consult(url: str, folder: Path) -> None:
    """An agent with retrieval and a function of the caller's, from a file and options over it."""
    (folder / "notes.txt").write_text("Ada wrote them.", "utf-8")
    with httpx.Client(base_url=f"{url}/v1") as client:
        rag = {"api": "tool_runtime", "provider_id": "rag", "provider_type": "inline::rag-runtime", "config": {}}
        assert client.post("/providers", json=rag).status_code == 200
        assert client.post("/toolgroups", json={"toolgroup_id": "builtin::rag", "provider_id": "rag"}).is_success
    weather = {"name": "weather", "description": "The weather.", "parameters": []}
    (folder / "agent.yaml").write_text(json.dumps({"instructions": "Answer briefly.", "client_tools": [weather]}))
    options = ["--file", str(folder / "agent.yaml"), "--model", "local/m", "--name", "helper", "--max-rounds", "5"]
    agent = run(url, "agents", "create", *options, "--store", make_store(url)).stdout.strip()
    shown = run(url, "agents", "show", agent).stdout
    assert re.search(r"name: +helper\n", shown), shown
    assert re.search(r"tools: +builtin::rag/knowledge_search .*\n", shown)
    rows = run(url, "agents", "list").stdout.splitlines()
    assert (max(map(len, rows)) <= 80, rows[1].startswith(agent)) == (True, True)
    first = run(url, "agents", "turn", agent, "Knowledge: when do files expire?")
    assert (first.return_value, "Files expire when they are read." in first.stdout) == (0, True), (
        first.stderr,
        first.exception,
    )
    assert "knowledge_search(" in first.stderr
    [session] = set(re.findall(r"conv_\w+", first.stderr))
    with_document = run(
        url, "agents", "turn", agent, "Hello.", "--session", session, "--document", str(folder / "notes.txt")
    )
    assert "Ada wrote them." in with_document.stdout
    resume(url, agent, session)
    shown = run(url, "sessions", "show", agent, session).stdout
    assert "\nuser: Hello." in shown
    assert run(url, "sessions", "create", agent, "--name", "other").stdout.startswith("conv_")
    rows = run(url, "sessions", "list", agent).stdout.splitlines()[1:]
    assert (len(rows), sum(row.endswith(" other") for row in rows)) == (2, 1)  # in any order, of one second
    assert run(url, "sessions", "delete", agent, session).stdout == f"deleted {session}\n"
    assert run(url, "agents", "delete", agent).stdout == f"deleted {agent}\n"


def resume(url: str, agent: str, session: str) -> None:
    """What a function of the caller's is asked, and what it answers; and a newcomer's mistakes."""
    begun = run(url, "agents", "turn", agent, "weather", "--session", session, "--json")
    turn = json.loads(begun.stdout)
    [call] = turn["output_message"]["tool_calls"]
    place = ["agents", "turn", agent, "--session", session, "--resume", turn["turn_id"]]
    for words, code, said in (
        ([*place, "--answer", "call_no=sunny"], 2, "awaits no call `call_no`"),
        (place, 2, "an --answer for each call"),
        (["agents", "turn", agent], 2, "Give the TEXT"),
        (["agents", "turn", "agent_1", "Hello."], 1, "`llambda agents list` lists what there is."),
        (["agents", "turn", agent, "Hello.", "--document", "none.txt"], 2, "none.txt cannot be read"),
        (["agents", "create", "--tool", "a={b"], 2, "is no GROUP"),
    ):
        refused = run(url, *words)
        assert refused.exception is not None, words
        assert (getattr(refused.exception, "exit_code", 0), said in str(refused.exception)) == (code, True), words
    done = run(url, *place, "--answer", f"{call['call_id']}=sunny")
    assert (done.return_value, "sunny" in done.stdout) == (0, True), done.stderr
    assert f"note: --session {session} goes on" in done.stderr


def test_a_stack_is_asked_and_what_it_keeps_is_shown_and_deleted(tmp_path: Path) -> None:
    with served_responses() as (url, world):
        ask(url, world.mcp_url)
        talk(url)
        remember(url, tmp_path)
        consult(url, tmp_path)
