"""The files that a run config names, looked at before anything listens: certificates, keys, databases and folders.

What is found costs a look at the file system and no more, so that a cold start can afford it; `thorough` reads keys and
asks whether there can be written.
"""

from collections.abc import Callable, Iterator, Mapping
import os
from pathlib import Path
import stat
from typing import Any, Final, cast

from core.config.load import Loaded
from core.config.problems import Problem
from core.platform.environment import environ, expand_home

SECTIONS: Final = ("server", "metadata_store", "state")
AUTHORITIES: Final = ("tls_cafile", "ca_cert_path")
"""Names of CA files in `server`; of a provider's it is `tls_verify`, which may be a switch."""
CERTIFICATES: Final = (
    b"-----BEGIN CERTIFICATE-----",
    b"-----BEGIN TRUSTED CERTIFICATE-----",
    b"-----BEGIN X509 CERTIFICATE",
)
KEY: Final = b"PRIVATE KEY-----"
MISSING: Final = "is missing"
SQLITE: Final = b"SQLite format 3\0"
MOST_PEM: Final = 8 * 1024 * 1024  # bytes that are looked through

type Look = Callable[[str], str]
"""What is wrong with the file at a path; "" if nothing is."""


def file_problems(loaded: Loaded, authorities: Mapping[str, object], *, thorough: bool = True) -> list[Problem]:
    """Every file that cannot be used; `authorities` are values of `tls_verify`, by their place in the document.

    Not `thorough`, what the server's own TLS and new databases need is left out: Lambda has the first elsewhere, and many a
    function opens no database.
    """
    looks: list[tuple[str, str, Look]] = [
        (place, path, authority_fault) for place, path in authorities.items() if isinstance(path, str)
    ]
    for section in SECTIONS:
        looks += _looks(_section(loaded, section), section, thorough=thorough)
    problems: dict[str, Problem] = {}
    for place, path, look in looks:
        fault, source = look(expand_home(path, environ())), loaded.places.source_path(place)
        # What nobody has written is beside what it follows from, and has no place of its own.
        key = source if place == source else source.rpartition(".")[0]
        if fault and not any(other == key or other.rpartition(".")[0] == key for other in problems):
            problems[source] = Problem(source, f"`{path}` {fault}")
    if thorough and not problems:
        return [Problem(loaded.places.source_path(place), fault) for place, fault in _pair_faults(loaded)]
    return list(problems.values())


def _section(loaded: Loaded, name: str) -> object:
    """As the document has it; where it says nothing of the registry's database, the default."""
    section: object = loaded.document.get(name)
    if section is None and name == "metadata_store" and loaded.config is not None:
        return loaded.config.metadata_store.model_dump()
    return section


def _looks(value: object, place: str, *, thorough: bool) -> Iterator[tuple[str, str, Look]]:
    if isinstance(value, list):
        for index, entry in enumerate(cast("list[object]", value)):
            yield from _looks(entry, f"{place}[{index}]", thorough=thorough)
    if not isinstance(value, dict):
        return
    entries = cast("dict[str, Any]", value)
    for name, entry in entries.items():
        look = _look_of(name, entries, thorough=thorough)
        if isinstance(entry, str) and entry and look is not None:
            yield f"{place}.{name}", entry, look
        yield from _looks(entry, f"{place}.{name}", thorough=thorough)


def _look_of(name: str, entries: Mapping[str, Any], *, thorough: bool) -> Look | None:
    if name in AUTHORITIES:
        if "tls_certfile" in entries and not thorough:
            return None
        return None if entries.get("verify_tls") is False else authority_fault
    if name == "db_path":
        return database_fault if thorough else content_fault
    if not thorough:
        return None
    if name == "path" and entries.get("type") == "local":
        return folder_fault
    return {"tls_certfile": certificate_fault, "tls_keyfile": key_fault}.get(name)


def read_fault(path: str, most: int = MOST_PEM) -> tuple[str, bytes]:
    """Why it cannot be read, or the first bytes of what is in it."""
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe would never end
            return "is a folder, not a file" if stat.S_ISDIR(mode) else "is no file", b""
        with Path(path).open("rb") as file:
            return "", file.read(most)
    except FileNotFoundError:
        return MISSING, b""
    except OSError as failure:
        return f"cannot be read ({failure.strerror})", b""
    except ValueError:
        return "is no path", b""


def authority_fault(path: str) -> str:
    """Of a CA file."""
    fault, content = read_fault(path)
    return fault or ("" if any(begin in content for begin in CERTIFICATES) else "has no certificate in PEM")


def certificate_fault(path: str) -> str:
    """Of the server's."""
    return authority_fault(path)


def key_fault(path: str) -> str:
    """Of the server's key, which nobody is there to give a passphrase for."""
    fault, content = read_fault(path)
    if fault or KEY in content:
        encrypted = b"ENCRYPTED" in content
        return fault or ("is encrypted; serve needs a key without a passphrase" if encrypted else "")
    return "has no private key in PEM"


def content_fault(path: str) -> str:
    """Of a database, if it is there."""
    fault, content = read_fault(path, len(SQLITE))
    if fault:
        return "" if fault == MISSING else fault
    return "" if content in {b"", SQLITE} else "is no SQLite database"


def database_fault(path: str) -> str:
    """Of a database, which is made where it is missing."""
    from core.platform.sqlite_file import is_read_only

    fault = content_fault(path)
    if fault or not Path(path).exists():
        return fault or folder_fault(str(Path(path).parent))
    if is_read_only(Path(path)):  # then it is read
        return ""
    return folder_fault(str(Path(path).parent)) if os.access(path, os.W_OK) else "cannot be written"


def folder_fault(path: str) -> str:
    """Of a folder, which is made where it is missing."""
    folder = Path(path)
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
    except (OSError, ValueError):
        return "is no path"
    if not folder.is_dir():
        return f"cannot be made: {folder} is no folder"
    if _is_writable(folder):
        return ""
    state = "cannot be written" if folder == Path(path) else "is missing, and cannot be made"
    return f"cannot be used: its folder {state}"


def _is_writable(folder: Path) -> bool:
    """By a file without a name: what the mode says is not all, as of root, or of /proc."""
    from tempfile import TemporaryFile

    try:
        with TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _pair_faults(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Of the server's certificate and key together, and of what only OpenSSL sees."""
    import ssl

    server = cast("dict[str, Any]", loaded.document.get("server") or {})
    certificate, key, authorities = (server.get(f"tls_{name}") for name in ("certfile", "keyfile", "cafile"))
    home = environ()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if isinstance(certificate, str) and isinstance(key, str):
        try:
            context.load_cert_chain(expand_home(certificate, home), expand_home(key, home), password=lambda: "")
        except (OSError, ValueError) as wrong:
            mismatch = getattr(wrong, "reason", "") == "KEY_VALUES_MISMATCH"
            fault = (
                f"`{key}` is not the key of `{certificate}`"
                if mismatch
                else f"`{certificate}` and its key cannot be used"
            )
            yield "server.tls_keyfile" if mismatch else "server.tls_certfile", fault
    if isinstance(authorities, str):
        try:
            context.load_verify_locations(expand_home(authorities, home))
        except (OSError, ValueError):
            yield "server.tls_cafile", f"`{authorities}` has no certificate in PEM"
