"""`llambda files` against `llambda serve`: a large file goes to the bucket's URL, or in parts where the bytes are in a folder."""

from collections.abc import Generator
import json
import os
from pathlib import Path

from click.testing import CliRunner, Result
import pytest

from core.cli.files.command import command
from infra.local.dynamodb import CREDENTIALS
from tests.parts.file_stack import BLOBS, in_bucket
from tests.parts.stack import serving

MB = 1024 * 1024


@pytest.fixture(params=["bucket", "folder"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    if request.param == "bucket":
        entry = in_bucket(request.getfixturevalue("bucket"), request.getfixturevalue("moto_endpoint"))
    else:
        entry = BLOBS
    document = {
        "version": 2,
        "image_name": "t",
        "apis": ["files"],
        "providers": {"files": [entry]},
        "metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")},
        "server": {"max_upload_bytes": 5 * MB},
    }
    config = tmp_path / "run.json"
    config.write_text(json.dumps(document))
    with serving(config, tmp_path / "log.txt", env=CREDENTIALS) as url:
        yield url


def run(url: str, *arguments: str) -> Result:
    result = CliRunner(env={"LLAMBDA_URL": url}).invoke(command, arguments, standalone_mode=False)
    assert result.exception is None, result.exception
    return result


def test_files_of_any_size_go_come_and_are_deleted(url: str, tmp_path: Path) -> None:
    small, large = tmp_path / "small.txt", tmp_path / "large.bin"
    small.write_bytes(b"hello")
    large.write_bytes(os.urandom(9 * MB + 7))
    files = json.loads(run(url, "upload", str(small), str(large), "--days", "1", "--json").stdout)
    assert [(file["filename"], file["status"]) for file in files] == [
        ("small.txt", "processed"),
        ("large.bin", "processed"),
    ]
    assert [file["expires_at"] - file["created_at"] for file in files] == [86_400] * 2
    assert len(run(url, "list").stdout.splitlines()) == 3
    for file, path in zip(files, (small, large), strict=True):
        copy = tmp_path / f"copy-{path.name}"
        run(url, "get", file["id"], "--out", str(copy))
        assert copy.read_bytes() == path.read_bytes()
    assert len(run(url, "delete", "--all", "--yes").stdout.splitlines()) == 2
    assert run(url, "list").stdout == "no files\n"
