"""`llambda principals`: what a principal keeps is shown and deleted from the operator's machine, over a run config's own stores."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
import json
from pathlib import Path
import sys
from typing import Any

import click
import pytest

from core.cli.deploy.stack import DeployedStack, Described
from core.cli.main import main
from tests.parts.file_stack import FileWorld, file_world, upload

type Output = pytest.CaptureFixture[str]
type Run = Callable[..., int]

TWO = [{"type": "api_key"}, {"type": "custom", "endpoint": "http://127.0.0.1:9/auth", "issuer": "corp"}]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FileWorld]:
    async with file_world(tmp_path) as world:
        yield world


@pytest.fixture
def run(world: FileWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`llambda principals`, with the world's run config unless another is named."""
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / "run.json"
    path.write_text(json.dumps(world.document()))

    def running(*words: str, config: Path | None = path) -> int:
        options = [] if config is None else ["--config", str(config)]
        with ThreadPoolExecutor(1) as threads:  # its event loop is no business of those of the tests
            return threads.submit(main, ["principals", *words, *options]).result()

    return running


def with_auth(world: FileWorld, providers: list[dict[str, Any]] | None) -> Path:
    document = world.document(auth=False)
    document["server"] = {} if providers is None else {"auth": {"providers": providers}}
    path = world.folder / "auth.json"
    path.write_text(json.dumps(document))
    return path


def answering(answers: list[str]) -> Callable[..., str]:
    """In the place of click's prompt."""

    def prompt(*_: object, **__: object) -> str:
        return answers.pop()

    return prompt


def describing(stack: Described | None) -> Callable[[DeployedStack], Described | None]:
    def describe(_: DeployedStack) -> Described | None:
        return stack

    return describe


async def test_what_is_kept_is_shown_and_goes_and_a_second_run_has_nothing_to_do(
    world: FileWorld, run: Run, capsys: Output
) -> None:
    client = await world.client()
    for who in ("ada", "ada", "bob"):
        assert (await upload(client, b"x" * 2000, who=who)).status_code == 200
    assert run("data", "ada") == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "API             DATA                                COUNT      SIZE",
        "files           files                               2          3.9 KB",
    ]
    assert run("delete-data", "ada", "--yes") == 0
    assert capsys.readouterr().out.splitlines()[0] == "Deleted of ada:"
    assert len(world.blobs()) == 1
    assert run("delete-data", "ada", "--yes") == 0
    assert capsys.readouterr().out == "ada keeps nothing here.\n"
    assert run("data", "bob", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    issuer = f"custom {world.upstream.url}/auth"
    entry = {"api": "files", "name": "files", "count": 1, "bytes": 2000}
    assert shown == {"principal": "bob", "issuer": issuer, "data": [entry]}
    assert run("delete-data", "bob", "--yes", "--json", "--issuer", issuer) == 0
    deleted = json.loads(capsys.readouterr().out)
    assert len(deleted.pop("stays")) == 4
    assert deleted == {"principal": "bob", "issuer": issuer, "deleted": [entry], "left": []}


async def test_what_cannot_go_is_left_with_a_reason_and_a_code(world: FileWorld, run: Run, capsys: Output) -> None:
    client = await world.client()
    await upload(client)
    document = world.document({"provider_id": "other", "provider_type": "inline::localfs", "config": {}})
    (path := world.folder / "moved.json").write_text(json.dumps(document))
    assert run("delete-data", "ada", "--yes", config=path) == 1
    assert "files: 1 files: The file is kept by the provider `blobs`" in " ".join(capsys.readouterr().out.split())
    assert run("delete-data", "ada", "--yes", "--json", config=path) == 1
    [left] = json.loads(capsys.readouterr().out)["left"]
    assert (left["api"], left["name"], left["count"]) == ("files", "files", 1)
    assert len(world.blobs()) == 1


async def test_nothing_goes_before_its_name_is_typed(
    world: FileWorld, run: Run, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upload(await world.client())
    assert run("delete-data", "ada") == 2
    assert "give --yes" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for answers, code, left in ((["ad"], 1, 1), (["ada"], 0, 0)):
        monkeypatch.setattr(click, "prompt", answering(answers))
        assert run("delete-data", "ada") == code
        said = capsys.readouterr()
        assert "files" in said.err  # what would go
        assert ("nothing was deleted" in said.err) is bool(left)
        assert len(world.blobs()) == left


@pytest.mark.parametrize(
    ("words", "auth", "complaint"),
    [
        (["data", "ada"], None, "no server.auth: nobody can be told apart"),
        (["data", "ada"], TWO, "several may vouch for `ada`; say which: `api_key`, or `custom corp`"),
        (["data", "ada", "--issuer", "evil"], TWO, "`evil` vouches for nobody here; say `api_key`, or `custom corp`"),
        (["data", "ada", "--issuer", "custom"], TWO, "`custom` vouches for nobody here"),
        (["data", "ada", "--region", "eu-west-1"], TWO, "is for --stack-name"),
        (["data", " "], TWO, "must be 1 to 2048 printable characters"),
        (["data", "a\x1b[2J"], TWO, "must be 1 to 2048 printable characters"),
        (["delete-data", "ada", "--yes", "--wait", "-1"], TWO, "-1 is not in the range"),
    ],
)
async def test_a_mistake_is_said_and_nothing_is_done(
    world: FileWorld, run: Run, capsys: Output, words: list[str], auth: Any, complaint: str
) -> None:
    assert run(*words, config=with_auth(world, auth)) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("issuer", ["corp", "custom corp", "oauth2_token https://gone.example iss"])
async def test_an_issuer_is_said_as_a_rule_says_it_or_as_owners_have_it(
    world: FileWorld, run: Run, capsys: Output, issuer: str
) -> None:
    assert run("data", "ada", "--json", "--issuer", issuer, config=with_auth(world, TWO)) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"principal": "ada", "issuer": "custom corp" if "corp" in issuer else issuer, "data": []}


async def test_a_deployed_stack_is_reached_by_what_its_functions_have(
    world: FileWorld, run: Run, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This shell's variables may be those of another stack; a function's own are of no use here."""
    await upload(await world.client())
    document = world.document()
    document["metadata_store"]["db_path"] = "${env.REGISTRY_DB}"
    (path := tmp_path / "deployed.json").write_text(json.dumps(document))
    for name in ("REGISTRY_DB", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "elsewhere")
    stack = Described("id", "CREATE_COMPLETE", {}, {"AdminFunctionArn": "arn:aws:lambda:x"})
    variables = {
        "REGISTRY_DB": str(tmp_path / "registry.db"),
        "LLAMBDA_CONFIG": "run.json",
        "AWS_LAMBDA_EXEC_WRAPPER": "/x",
    }
    asked = list[Any]()

    def call(_: DeployedStack, operation: str, *service: str, **arguments: str) -> dict[str, Any]:
        asked.append((operation, *service, arguments))
        return {"Environment": {"Variables": variables}}

    monkeypatch.setattr(DeployedStack, "describe", describing(stack))
    monkeypatch.setattr(DeployedStack, "_call", call)
    assert run("data", "ada", "--json", "--stack-name", "chat", "--region", "eu-west-1", config=path) == 0
    assert asked == [("get_function_configuration", "lambda", {"FunctionName": "arn:aws:lambda:x"})]
    assert [entry["count"] for entry in json.loads(capsys.readouterr().out)["data"]] == [1]
    monkeypatch.setattr(DeployedStack, "describe", describing(None))
    assert run("data", "ada", "--stack-name", "chat", config=path) == 1
    assert "there is no stack chat" in " ".join(capsys.readouterr().err.split())
