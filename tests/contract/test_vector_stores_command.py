"""`llambda vector-stores` and `llambda files` against a stack that is served: from files to what is found in them."""

import asyncio
import json
from pathlib import Path
import re

from click.testing import CliRunner, Result

from core.cli.main import command
from tests.parts.stack import serving
from tests.parts.vector_stack import vector_world


def run(url: str, *words: str) -> Result:
    result = CliRunner(env={"LLAMBDA_URL": url, "COLUMNS": "80"}).invoke(command, words, standalone_mode=False)
    assert result.exception is None, result.exception
    return result


def use(url: str, folder: Path) -> None:
    for name, text in {"sun.md": "The sun is a star.\n\nIt shines.", "moon.md": "The moon has craters."}.items():
        (folder / name).write_text(text)
    (folder / "empty.bin").write_bytes(b"\x00\x01\x02")
    made = run(url, "vector-stores", "create", "sky", "--files", str(folder / "sun.md"))
    store_id = made.stdout.split()[0]
    assert re.fullmatch(r"file-\w+ sun.md completed", " ".join(made.stdout.splitlines()[1].split()))
    added = run(
        url, "vector-stores", "add", "sky", str(folder / "moon.md"), str(folder / "empty.bin"), "--attribute", "n=1"
    )
    assert added.return_value == 1
    assert "moon.md  completed" in added.stdout
    assert "empty.bin  failed: " in added.stdout
    for mode in ("vector", "keyword", "hybrid"):
        found = run(url, "vector-stores", "search", store_id, "craters moon", "--mode", mode).stdout
        assert re.match(r"0\.\d\d  moon\.md\n      The moon has craters\.|1\.00  moon\.md", found), found
    page = json.loads(run(url, "vector-stores", "search", "sky", "the", "--where", "n=1", "--json").stdout)
    assert [row["filename"] for row in page["data"]] == ["moon.md"]
    [row] = json.loads(run(url, "vector-stores", "list", "--json").stdout)
    assert (row["id"], row["file_counts"]["completed"], row["file_counts"]["failed"]) == (store_id, 2, 1)
    copy = run(url, "vector-stores", "copy", "sky", "heaven")
    assert (copy.return_value, copy.stdout.split(maxsplit=1)[1]) == (0, "3 files with 2 chunks\n")
    pages = [
        json.loads(run(url, "vector-stores", "search", name, "moon", "--json").stdout) for name in ("sky", "heaven")
    ]
    assert pages[0] == pages[1]
    run(url, "vector-stores", "delete", "heaven")
    lines = run(url, "vector-stores", "list", "sky").stdout.splitlines()
    assert sorted(line.split()[1] for line in lines[1:]) == ["completed", "completed", "failed"]
    assert run(url, "vector-stores", "delete", "sky").stdout == f"deleted {store_id}\n"
    assert run(url, "vector-stores", "list").stdout == "no vector stores\n"
    assert len(json.loads(run(url, "files", "list", "--json").stdout)) == 3


async def test_files_are_put_into_a_store_and_found_from_the_command_line(tmp_path: Path) -> None:
    async with vector_world(tmp_path) as world:
        config = tmp_path / "run.yaml"
        config.write_text(json.dumps(world.document(auth=False)))

        def serve() -> None:
            with serving(config, tmp_path / "log.txt") as url:
                use(url, tmp_path)

        await asyncio.to_thread(serve)
