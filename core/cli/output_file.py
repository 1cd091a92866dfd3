"""A file that a command writes for its user: an existing one is replaced only with --force."""

from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import click

from core.cli.options import Decorator

out_option: Final[Decorator] = click.option(
    "--out", type=click.Path(path_type=Path), default="run.yaml", show_default=True, help="The file to write."
)
force_option: Final[Decorator] = click.option("--force", is_flag=True, help="Replace an existing file.")


def write(path: Path, text: str, *, force: bool) -> None:
    """Write `text` to `path`, whole or not at all.

    Raises:
        click.UsageError: there is something at this path, and it may not be replaced.
        click.ClickException: the system does not let it be written.
    """
    try:
        if force:
            _replace(path, text)
        else:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError as exists:
        message = f"{path} exists already: name another file with --out, or replace it with --force"
        raise click.UsageError(message) from exists
    except OSError as failure:
        raise click.ClickException(f"{path} cannot be written: {failure.strerror}") from failure


def _replace(path: Path, text: str) -> None:
    """Through a neighbour that takes its name; where `path` is a link, the file that it leads to is replaced."""
    target = path.resolve()
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    with NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, prefix=".", delete=False) as file:
        neighbour = Path(file.name)
        try:
            file.write(text)
            file.close()
            neighbour.chmod(mode)
            neighbour.replace(target)
        except OSError:
            neighbour.unlink()
            raise
