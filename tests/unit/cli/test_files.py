"""`llambda files`, against a real HTTP server that answers by the contract."""

from collections.abc import Generator
import io
import json
from pathlib import Path
from typing import Any, override

from click.testing import CliRunner, Result
import pytest

from core.cli.files import output
from core.cli.files.command import command
from core.client import files as client_files
from core.client.failures import ApiFailed
from tests.parts.configured import FakeStack, answering


@pytest.fixture
def stack() -> Generator[FakeStack]:
    with answering(FakeStack()) as stack:
        yield stack


def file(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": f"file-{number:032x}",
        "object": "file",
        "bytes": 1_468_006,
        "created_at": 1_795_887_973,
        "expires_at": None,
        "filename": "a very long name of a handbook\x1b[2J.pdf",
        "purpose": "assistants",
        "status": "processed",
        "status_details": None,
        **more,
    }


def page(*files: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": files, "has_more": more, "first_id": "a", "last_id": files[-1]["id"]}


def refusal(status: int, text: str) -> tuple[int, dict[str, str], bytes]:
    return status, {}, json.dumps({"error": {"message": text}}).encode()


def run(stack: FakeStack, answers: list[Any], *arguments: str, text: str = "") -> Result:
    stack.said += [
        answer if isinstance(answer, tuple) else (200, {}, json.dumps(answer).encode()) for answer in answers
    ]
    return CliRunner(env={"LLAMBDA_URL": stack.url}).invoke(command, arguments, text, standalone_mode=False)


def test_list_is_a_table_of_eighty_columns_over_as_many_pages_as_it_takes(stack: FakeStack) -> None:
    pages = [page(file(), more=True), page(file(2))]
    lines = run(stack, pages, "list", "--purpose", "batch", "--limit", "1500").stdout.splitlines()
    assert lines[0].split() == ["FILE", "NAME", "SIZE", "CREATED"]
    assert lines[1].split()[0] == file()["id"]
    assert "1.4 MB" in lines[1]
    assert len(lines) == 3
    assert all(len(line) <= 80 and line.isprintable() for line in lines)
    assert [asked[1] for asked in stack.asked] == [
        "/v1/files?purpose=batch&limit=1000",
        f"/v1/files?purpose=batch&after={file()['id']}&limit=1000",
    ]


def test_a_small_file_goes_in_one_form(stack: FakeStack, tmp_path: Path) -> None:
    path = tmp_path / 'a"b.txt'
    path.write_bytes(b"hello")
    result = run(stack, [file(filename='a"b.txt', bytes=5)], "upload", str(path), "--days", "7", "--json")
    assert result.exception is None, result.exception
    assert [shown["bytes"] for shown in json.loads(result.stdout)] == [5]
    (method, target, body), headers = stack.asked[0], stack.headers[0]
    assert (method, target) == ("POST", "/v1/files")
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    text = str(body)
    for piece in ('name="purpose"', "604800", 'filename="a%22b.txt"', "hello"):
        assert piece in text


def test_a_large_file_goes_in_parts_where_the_storage_has_no_urls(
    stack: FakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_files, "PART", 4)
    path = tmp_path / "big.bin"
    path.write_bytes(b"0123456789")
    refused = refusal(400, "The storage has no URLs.")
    begun = {"id": "upload_1", "object": "upload", "bytes": 10, "created_at": 1, "expires_at": 2}
    begun |= {"filename": "big.bin", "purpose": "assistants", "status": "pending", "file": None}
    parts = [{"id": f"part_{n}", "object": "upload.part", "created_at": 1, "upload_id": "upload_1"} for n in range(3)]
    done = begun | {"status": "completed", "file": file(bytes=10, filename="big.bin")}
    result = run(stack, [refused, begun, *parts, done], "upload", str(path))
    assert result.stdout == f"{file()['id']}      10 B  big.bin\n"
    assert [asked[1] for asked in stack.asked] == [
        "/v1/files",
        "/v1/uploads",
        *["/v1/uploads/upload_1/parts"] * 3,
        "/v1/uploads/upload_1/complete",
    ]
    assert stack.asked[-1][2] == {"part_ids": ["part_0", "part_1", "part_2"]}


def test_parts_that_fail_are_given_up(stack: FakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_files, "PART", 4)
    path = tmp_path / "big.bin"
    path.write_bytes(b"0123456789")
    refused = refusal(400, "No.")
    begun = {"id": "upload_1", "object": "upload", "bytes": 10, "created_at": 1, "expires_at": 2}
    begun |= {"filename": "big.bin", "purpose": "assistants", "status": "pending", "file": None}
    broken = refusal(503, "The storage is away.")
    result = run(stack, [refused, begun, broken, begun], "upload", str(path))
    assert "The storage is away." in str(result.exception)
    assert stack.asked[-1][:2] == ("POST", "/v1/uploads/upload_1/cancel")


def test_get_shows_a_file_or_writes_its_content_to_a_new_one(stack: FakeStack, tmp_path: Path) -> None:
    shown = run(stack, [file(expires_at=1_795_974_373)], "get", "file-1").stdout
    assert "size:     1468006 bytes" in shown
    assert "expires:  2026-11-29 17:46:13 UTC" in shown
    out = tmp_path / "copy"
    assert run(stack, [(200, {}, b"hello")], "get", "file-1", "--out", str(out)).exception is None
    assert out.read_bytes() == b"hello"
    assert isinstance(run(stack, [], "get", "file-1", "--out", str(out)).exception, FileExistsError)
    other = tmp_path / "other"
    missing = refusal(404, "There is no file `file-1`.")
    refused = run(stack, [missing], "get", "file-1", "--out", str(other))
    assert "There is no file `file-1`. `llambda files list` lists what there is." in str(refused.exception)
    assert not other.exists()


def test_content_that_is_elsewhere_is_fetched_without_the_key(stack: FakeStack) -> None:
    with answering(FakeStack()) as storage:
        storage.said.append((200, {}, b"from the bucket"))
        stack.said.append((302, {"location": f"{storage.url}/bucket/key?signed=1"}, b""))
        runner = CliRunner(env={"LLAMBDA_URL": stack.url, "LLAMBDA_API_KEY": "secret"})
        result = runner.invoke(command, ["get", "file-1", "--out", "-"], standalone_mode=False)
        assert result.stdout == "from the bucket"
        assert "authorization" not in storage.headers[0]
    stack.said.append((302, {"location": "file:///etc/passwd"}, b""))
    result = CliRunner(env={"LLAMBDA_URL": stack.url}).invoke(
        command, ["get", "x", "--out", "-"], standalone_mode=False
    )
    assert isinstance(result.exception.__cause__ if result.exception else None, ApiFailed)


def test_delete_wants_names_or_a_yes(stack: FakeStack) -> None:
    gone = {"id": "file-1", "object": "file", "deleted": True}
    assert run(stack, [gone], "delete", "file-1").stdout == "deleted file-1\n"
    assert run(stack, [page(file(1), file(2)), gone, gone], "delete", "--all", text="y\n").exception is None
    assert [asked[0] for asked in stack.asked[1:]] == ["GET", "DELETE", "DELETE"]
    before = len(stack.asked)
    for arguments in (["delete"], ["delete", "--all", "file-1"], ["delete", "--all"]):
        assert run(stack, [], *arguments).exception is not None
    assert len(stack.asked) == before


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [0, 10, 10**12])
def test_the_bar_is_one_line_of_a_terminal_that_is_cleared(total: int) -> None:
    terminal = Terminal()
    progress = output.Progress(terminal, "a name that is much too long for a line\n", total)
    progress.show(total // 2)
    progress.show(total)
    progress.close()
    pieces = [piece for piece in terminal.getvalue().split("\r") if piece]
    assert all(len(piece) == 79 for piece in pieces)
    assert not pieces[-1].strip()
    assert "\n" not in terminal.getvalue()
