"""The real clients, each in an environment of its own under `.venv-clients/`, from the locks.

`locks/clients/` has those that speak to a stack themselves, `locks/frameworks/` those that other people's programs are written in,
`locks/servers/` servers that a stack speaks to.
"""

from collections.abc import Callable
from fcntl import LOCK_EX, flock
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Final

from infra.uv import uv

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = ROOT / "locks" / "clients"
FRAMEWORKS: Final = ROOT / "locks" / "frameworks"
SERVERS: Final = ROOT / "locks" / "servers"
NODE_SCRIPTS: Final = ROOT / "tests" / "clients" / "scripts" / "node"
ENVIRONMENTS: Final = ROOT / ".venv-clients"


def names() -> list[str]:
    """The clients that there are locks for."""
    return sorted(lock.stem for lock in LOCKS.glob("*.txt"))


def python_of(name: str) -> Path:
    """The interpreter of a client's environment, which is made first where it is missing or its lock has changed."""
    [lock] = (lock for locks in (LOCKS, FRAMEWORKS, SERVERS) if (lock := locks / f"{name}.txt").exists())
    return _prepare(name, lock, _install_python) / "bin" / "python"


def node_command(script: str) -> list[str]:
    """Runs one of NODE_SCRIPTS with the packages of `locks/frameworks/node`, which are installed first as those of Python are."""
    folder = _prepare("node", FRAMEWORKS / "node" / "package-lock.json", _install_node)
    # A script's packages are looked for beside it, and here that is where the link to it is.
    return ["node", "--preserve-symlinks", "--preserve-symlinks-main", str(folder / "scripts" / script)]


def node22_command(module: str) -> list[str]:
    """Runs a module of those packages with a Node of version 22, which is one of them: theirs may be older."""
    folder = _prepare("node", FRAMEWORKS / "node" / "package-lock.json", _install_node) / "node_modules"
    [node] = (node for cpu in ("x64", "arm64") if (node := folder / f"node-linux-{cpu}" / "bin" / "node").exists())
    return [str(node), str(folder / module)]


def _prepare(name: str, lock: Path, install: Callable[[Path, str], None]) -> Path:
    folder, text = ENVIRONMENTS / name, lock.read_text("utf-8")
    stamp = folder / "lock.txt"
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("w") as alone:
        flock(alone, LOCK_EX)  # until it is closed: another process may want the same
        if not stamp.exists() or stamp.read_text("utf-8") != text:
            install(folder, text)
            stamp.write_text(text, "utf-8")
    return folder


def _install_python(folder: Path, lock: str) -> None:
    python = str(folder / "bin" / "python")
    subprocess.run([uv(), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
    install = [uv(), "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", "-"]
    subprocess.run(install, check=True, input=lock, text=True)


def _install_node(folder: Path, lock: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "package-lock.json").write_text(lock, "utf-8")
    shutil.copy(FRAMEWORKS / "node" / "package.json", folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    (folder / "scripts").unlink(missing_ok=True)
    (folder / "scripts").symlink_to(NODE_SCRIPTS)
