"""The real Python clients, each in an environment of its own under `.venv-clients/`, from `locks/clients/`."""

from fcntl import LOCK_EX, flock
from pathlib import Path
import subprocess
import sys
from typing import Final

from infra.uv import uv

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = ROOT / "locks" / "clients"
ENVIRONMENTS: Final = ROOT / ".venv-clients"


def names() -> list[str]:
    """The clients that there are locks for."""
    return sorted(lock.stem for lock in LOCKS.glob("*.txt"))


def python_of(name: str) -> Path:
    """The interpreter of a client's environment, which is made first where it is missing or its lock has changed."""
    folder, lock = ENVIRONMENTS / name, (LOCKS / f"{name}.txt").read_text("utf-8")
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("w") as alone:
        flock(alone, LOCK_EX)  # until it is closed: another process may want the same
        return _prepare(folder, lock)


def _prepare(folder: Path, lock: str) -> Path:
    python, stamp = folder / "bin" / "python", folder / "lock.txt"
    if not stamp.exists() or stamp.read_text("utf-8") != lock:
        subprocess.run([uv(), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        install = [uv(), "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", "-"]
        subprocess.run(install, check=True, input=lock, text=True)
        stamp.write_text(lock, "utf-8")
    return python
