"""Commands that messages print: they run as they are pasted, whichever folder and PATH their reader has."""

from collections.abc import Iterable
from importlib.util import find_spec
import os
from pathlib import Path
from shlex import join, quote
import shutil
import sys

from core.platform import environment


def path_word(path: str | Path) -> str:
    """A path as one word of a shell, which no command takes for an option."""
    text = str(path)
    return quote(f"./{text}" if text.startswith("-") else text)


def program(name: str = "llambda") -> str:
    """A script of this environment: by its name where the shell finds this very one, or else by its path."""
    own = Path(sys.executable).with_name(name)
    on_path = shutil.which(name)
    if on_path and Path(on_path).is_absolute() and _is(Path(on_path), own):
        return name
    return quote(str(own)) if own.exists() else f"{python()} -m core.cli.entry"


def _is(script: Path, own: Path) -> bool:
    """Through links, as installers of commands make them; but two environments may share one Python."""
    return script == own or (script.resolve() == own.resolve() and not own.is_symlink())


def python() -> str:
    on_path = shutil.which("python")
    return "python" if on_path and Path(on_path).parent == Path(sys.executable).parent else quote(sys.executable)


def pip_install(packages: Iterable[str]) -> str:
    """What installs them where this Python finds them, from any shell."""
    words = join(packages)
    own = Path(sys.executable).with_name("uv")
    uv = program("uv") if own.exists() else "uv" if shutil.which("uv") else ""
    if not uv or sys.prefix == sys.base_prefix:
        return f"{python()} -m pip install {words}"
    active = environment.environ().get("VIRTUAL_ENV", "")
    is_active = bool(active) and os.path.normpath(active) == os.path.normpath(sys.prefix)
    return f"{'' if is_active else f'VIRTUAL_ENV={quote(sys.prefix)} '}{uv} pip install {words}"


def pip_install_here() -> str:
    """What installs the package whose folder its reader is in."""
    return pip_install([*(["--no-build-isolation"] if find_spec("hatchling") else []), "-e", "."])
