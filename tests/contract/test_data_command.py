"""`llambda data`: what a principal keeps is shown, written as a folder or a tar, and deleted, from the operator's machine."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
import json
from pathlib import Path
import stat
import tarfile
from typing import Any

import pytest

from core.cli.data.sinks import open_sink
from core.cli.main import main
from tests.parts.file_stack import FileWorld, file_world, upload

type Output = pytest.CaptureFixture[str]
type Run = Callable[..., int]

CONTENT = b"x" * 2000
STAYS = ["audit entries", "usage, summed", "logs and traces", "backups"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FileWorld]:
    async with file_world(tmp_path) as world:
        yield world


@pytest.fixture
def run(world: FileWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`llambda data`, with the world's run config."""
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / "run.json"
    path.write_text(json.dumps(world.document()))

    def running(*words: str) -> int:
        with ThreadPoolExecutor(1) as threads:  # its event loop is no business of those of the tests
            return threads.submit(main, ["data", *words, "--config", str(path)]).result()

    return running


def files_in(output: Path) -> dict[str, bytes]:
    """By their paths, in a folder or a tar."""
    if output.suffix != ".tar":
        return {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    with tarfile.open(output) as archive:
        contents = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name: b"" if content is None else content.read() for name, content in contents.items()}


@pytest.mark.parametrize("name", ["ada", "ada.tar"])
async def test_all_is_written_with_a_manifest_and_for_the_operators_eyes(
    world: FileWorld, run: Run, tmp_path: Path, capsys: Output, name: str
) -> None:
    client = await world.client()
    ids = [(await upload(client, CONTENT, who=who)).json()["id"] for who in ("ada", "ada", "bob")]
    output = tmp_path / "out" / name
    assert run("export", "--principal", "ada", "--output", str(output)) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "Exported of ada:",
        "API             DATA                                COUNT      SIZE",
        "files           files                               2          4.3 KB",
    ]
    assert all(len(line) <= 80 or str(output) in line for line in said)
    files = files_in(output)
    manifest = json.loads(files.pop("manifest.json"))
    assert {path: content for path, content in files.items() if path.endswith("content")} == {
        f"files/files/{file_id}/content": CONTENT for file_id in ids[:2]
    }
    assert (manifest["principal"], manifest["files"], manifest["failed"]) == ("ada", len(files), [])
    assert manifest["bytes"] == sum(map(len, files.values()))
    assert [entry["what"] for entry in manifest["stays_after_deletion"]] == STAYS
    for path in (output, *output.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert [path.name for path in output.parent.iterdir()] == [name]


def interrupt(output: Path, content: bytes) -> None:
    """An export that is ended by Ctrl-C."""
    with open_sink(output) as sink:
        sink.write("a/b", content)
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["ada", "ada.tar"])
async def test_what_is_there_is_not_written_over_and_what_was_cut_off_is_begun_anew(
    run: Run, tmp_path: Path, capsys: Output, name: str
) -> None:
    output = tmp_path / name
    for content in (b"old", b"new"):
        with pytest.raises(KeyboardInterrupt):
            interrupt(output, content)
    assert not output.exists()
    partial = output.with_name(f"{name}.partial")
    partial.mkdir()  # of a run that was killed
    (partial / "left").write_text("of one that was killed")
    assert run("export", "--principal", "ada", "--output", str(output)) == 0
    assert list(files_in(output)) == ["manifest.json"]
    assert "ada keeps nothing here that can be handed out." in capsys.readouterr().out
    assert run("export", "--principal", "ada", "--output", str(output)) == 2
    assert "is there already; name another place" in " ".join(capsys.readouterr().err.split())
    assert run("export", "--principal", "ada", "--output", "/proc/nowhere/x") == 1
    assert "cannot be written" in capsys.readouterr().err


async def test_what_cannot_be_read_is_said_and_ends_with_1(
    world: FileWorld, run: Run, tmp_path: Path, capsys: Output
) -> None:
    await upload(await world.client(), CONTENT)
    document = world.document({"provider_id": "other", "provider_type": "inline::localfs", "config": {}})
    (tmp_path / "run.json").write_text(json.dumps(document))
    assert run("export", "--principal", "ada", "--output", str(tmp_path / "ada"), "--json") == 1
    [failure] = json.loads(capsys.readouterr().out)["failed"]
    assert (failure["api"], failure["name"]) == ("files", "files")
    assert run("export", "--principal", "ada", "--output", str(tmp_path / "again")) == 1
    assert "Not read of files: files: The file is kept by the provider `blobs`" in " ".join(
        capsys.readouterr().out.split()
    )


async def test_a_dry_run_shows_what_would_go_and_a_deletion_says_what_stays(
    world: FileWorld, run: Run, capsys: Output
) -> None:
    await upload(await world.client(), CONTENT)
    for words in (("show",), ("delete", "--dry-run"), ("delete", "--dry-run", "--yes")):
        assert run(*words, "--principal", "ada", "--json") == 0
        assert [entry["count"] for entry in json.loads(capsys.readouterr().out)["data"]] == [1]
    assert len(world.blobs()) == 1
    assert run("delete", "--principal", "ada", "--yes") == 0
    said = capsys.readouterr().out
    assert all(f"  {what}: " in said for what in STAYS)
    assert all(len(line) <= 80 for line in said.splitlines())
    assert world.blobs() == []
    for words in (("delete", "--yes"), ("show",)):
        assert run(*words, "--principal", "ada") == 0
        assert capsys.readouterr().out == "ada keeps nothing here.\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["show"], "Missing option '--principal'"),
        (["show", "--principal", " "], "must be 1 to 2048 printable characters"),
        (["export", "--principal", "ada"], "Missing option '--output'"),
        (["delete", "--principal", "ada"], "give --yes"),
        (["show", "--principal", "ada", "--vouched-by", "evil"], "`evil` vouches for nobody here; say `custom http"),
    ],
)
async def test_a_mistake_says_what_to_do(run: Run, capsys: Output, words: list[str], complaint: Any) -> None:
    assert run(*words) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())
