"""`llambda responses`, `conversations` and `prompts` against a stack that is served, with a model that does what it is told."""

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


def test_a_stack_is_asked_and_what_it_keeps_is_shown_and_deleted(tmp_path: Path) -> None:
    with served_responses() as (url, world):
        ask(url, world.mcp_url)
        talk(url)
        remember(url, tmp_path)
