"""Files that a run config names: each that cannot be used is a problem at its own place, and none is touched."""

from collections.abc import Callable
import json
import os
from pathlib import Path
import socket
import sqlite3
from typing import Any

import pytest
import trustme

from core.cli.main import main
from core.config.load import Loaded, load
from core.resolution.check import files
from core.resolution.files import file_problems


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca.pem`, and `a.pem` and `b.pem`, each a certificate with its key."""
    folder, authority = tmp_path_factory.mktemp("pems"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in "ab":
        issued = authority.issue_cert("localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    (folder / "half.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    (folder / "locked.pem").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    return folder


def read(folder: Path, *verify: object, **more: Any) -> Loaded:
    providers = [
        {
            "provider_id": f"p{number}",
            "provider_type": "remote::vllm",
            "config": {"url": "http://h/v1", "tls_verify": value},
        }
        for number, value in enumerate(verify)
    ]
    document = {"version": 2, "image_name": "t", "apis": ["inference"], "providers": {"inference": providers}}
    document |= {"metadata_store": {"type": "sqlite", "db_path": str(folder / "new" / "registry.db")}, **more}
    (folder / "run.json").write_text(json.dumps(document))
    return load(folder / "run.json", {})


def faults(loaded: Loaded) -> dict[str, str]:
    return {problem.path: problem.message for problem in files(loaded)}


def odd_files(folder: Path) -> dict[str, str]:
    """What a file may be that is no PEM, by what is said of it."""
    (folder / "text.pem").write_text("hello")
    (folder / "empty.pem").touch()
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
    return {
        str(folder / "none.pem"): "is missing",
        str(folder): "is a folder, not a file",
        str(folder / "text.pem"): "has no certificate in PEM",
        str(folder / "empty.pem"): "has no certificate in PEM",
        str(folder / "pipe"): "is no file",
        str(folder / "socket"): "is no file",
        str(folder / "text.pem" / "ca.pem"): "cannot be read (Not a directory)",
        "nul\0l": "is no path",
    }


def test_each_ca_file_of_a_provider_is_looked_at(tmp_path: Path, pems: Path) -> None:
    odd = odd_files(tmp_path)
    told = faults(read(tmp_path, *odd, str(pems / "ca.pem"), *(True, False)))
    wanted = {
        f"providers.inference[{number}].config.tls_verify": f"`{path}` {fault}"
        for number, (path, fault) in enumerate(odd.items())
    }
    assert told == wanted
    assert not (tmp_path / "new").exists()


def test_each_file_of_the_servers_tls_and_of_its_auth_is_looked_at_at_once(tmp_path: Path) -> None:
    auth = {
        "type": "oauth2_token",
        "jwks": {"uri": "https://i/jwks", "tls_cafile": "/none/jwks.pem"},
        "issuer": "https://i",
        "audience": "a",
    }
    server = {"tls_certfile": "/none/c.pem", "tls_keyfile": "/none/k.pem", "tls_cafile": "~/none.pem"}
    told = faults(read(tmp_path, "/none/p.pem", server=server | {"auth": {"providers": [auth]}}))
    assert set(told) == {
        "providers.inference[0].config.tls_verify",
        "server.tls_certfile",
        "server.tls_keyfile",
        "server.tls_cafile",
        "server.auth.providers[0].jwks.tls_cafile",
    }


@pytest.mark.parametrize(
    ("certificate", "key", "place", "fault"),
    [
        ("a.pem", "b.pem", "server.tls_keyfile", "is not the key of"),
        ("half.pem", "a.pem", "server.tls_certfile", "and its key cannot be used"),
        ("a.pem", "locked.pem", "server.tls_keyfile", "is encrypted"),
        ("a.pem", "ca.pem", "server.tls_keyfile", "has no private key in PEM"),
        ("a.pem", "a.pem", "", ""),
    ],
)
def test_a_key_must_be_its_certificates(
    pems: Path, tmp_path: Path, certificate: str, key: str, place: str, fault: str
) -> None:
    server = {"tls_certfile": str(pems / certificate), "tls_keyfile": str(pems / key)}
    told = faults(read(tmp_path, server=server))
    assert list(told) == ([place] if place else [])
    assert fault in told.get(place, "")


def no_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file")


def foreign(path: Path) -> None:
    path.write_bytes(b"\x89PNG and more than sixteen bytes")


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda path: path.touch(), ""),
        (lambda path: sqlite3.connect(path).execute("create table t (x)").connection.close(), ""),
        (str, ""),
        (lambda path: path.parent.rmdir(), ""),
        (lambda path: path.mkdir(), "is a folder, not a file"),
        (foreign, "is no SQLite database"),
        (no_folder, "cannot be read (Not a directory)"),
    ],
    ids=["empty", "one", "none yet", "no folder yet", "a folder", "foreign", "in a file"],
)
def test_a_database_is_one_or_can_be_made(tmp_path: Path, make: Callable[[Path], object], fault: str) -> None:
    path = tmp_path / "state" / "s.db"
    path.parent.mkdir()
    make(path)
    store = {"type": "sqlite", "db_path": str(path)}
    told = faults(
        read(tmp_path, metadata_store=store, server={"quota": {"kvstore": store, "anonymous_max_requests": 1}})
    )
    assert told == (
        dict.fromkeys(("metadata_store.db_path", "server.quota.kvstore.db_path"), f"`{path}` {fault}") if fault else {}
    )


def test_a_folder_where_nobody_may_write_is_one(tmp_path: Path) -> None:
    told = faults(read(tmp_path, metadata_store={"type": "sqlite", "db_path": "/proc/llambda/r.db"}))
    assert told == {
        "metadata_store.db_path": "`/proc/llambda/r.db` cannot be used: its folder is missing, and cannot be made"
    }


def test_a_cold_start_looks_at_authorities_and_leaves_the_rest(tmp_path: Path) -> None:
    server = {"tls_certfile": "/none/c.pem", "tls_keyfile": "/none/k.pem"}
    store = {"type": "sqlite", "db_path": "/proc/llambda/r.db"}
    loaded = read(tmp_path, "/none/p.pem", server=server, metadata_store=store)
    place = "providers.inference[0].config.tls_verify"
    assert [problem.path for problem in file_problems(loaded, {place: "/none/p.pem"}, thorough=False)] == [place]


@pytest.mark.parametrize("command", [("config", "validate"), ("serve", "--port", "0"), ("worker",)])
def test_commands_end_with_2_and_name_all(
    tmp_path: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path, "/none/1.pem", "/none/2.pem", metadata_store={"type": "sqlite", "db_path": str(tmp_path)})
    assert main([*command, str(tmp_path / "run.json")]) == 2
    told = capsys.readouterr()
    assert "listening" not in told.out
    for path in ("/none/1.pem", "/none/2.pem", f"`{tmp_path}` is a folder"):
        assert path in told.err


def test_what_is_wrong_elsewhere_hides_no_file(tmp_path: Path) -> None:
    told = faults(read(tmp_path, "/none/1.pem", server={"port": "no", "tls_cafile": "/none/2.pem"}, nonsense=1))
    assert set(told) == {"providers.inference[0].config.tls_verify", "server.tls_cafile"}
