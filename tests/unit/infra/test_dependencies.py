"""Of what is installed in a package, what is not needed goes, and what stays is external with its terms."""

import json
from pathlib import Path
import re
import tomllib
from typing import Any

import pytest

from core.frame.version import VERSION
from infra.dependencies import LOCK, ROOT, Dependency, licences, normal, prune, read_lock
from infra.sbom import bill


def install(folder: Path, name: str, *requires: str, module: str = "", **metadata: str) -> None:
    """As `uv pip install --target` leaves it."""
    module = module or name.replace("-", "_")
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    fields = {"Metadata-Version": "2.4", "Name": name, "Version": "1.0", **metadata}
    lines = [f"{key.replace('_', '-')}: {value}" for key, value in fields.items()]
    lines += [f"Requires-Dist: {each}" for each in requires]
    files = {
        f"{module}/__init__.py": "",
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/licenses/LICENSE": f"The terms of {name}.",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in files)
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    install(tmp_path, "pyjwt", 'cryptography>=3; extra == "crypto"', 'sphinx; extra == "docs"', module="jwt")
    install(tmp_path, "cryptography", "cffi>=2 ; platform_python_implementation != 'PyPy'", License_Expression="MIT")
    install(tmp_path, "cffi", "pycparser")
    install(tmp_path, "pycparser")
    install(tmp_path, "sphinx")
    install(tmp_path, "Typing_Extensions", module="typing_extensions", License="PSF")
    install(tmp_path, "six", Classifier="License :: OSI Approved :: MIT License")
    return tmp_path


def left(out: Path) -> set[str]:
    return {path.name for path in out.iterdir() if not path.name.endswith(".dist-info")}


def test_what_a_library_requires_stays_and_the_rest_goes(out: Path) -> None:
    dependencies = prune(out, frozenset({"jwt"}), everything=False)
    assert [each.name for each in dependencies] == ["cffi", "cryptography", "pyjwt"]
    assert left(out) == {"cffi", "cryptography", "jwt"}
    assert {each.name: each.requires for each in dependencies}["pyjwt"] == ("cryptography",)


def test_what_an_external_provider_names_or_imports_stays_with_what_that_requires(out: Path) -> None:
    dependencies = prune(
        out,
        frozenset(),
        everything=False,
        external=frozenset({"six", "not-there"}),
        optional=frozenset({"cryptography", "x"}),
    )
    assert [each.name for each in dependencies] == ["cffi", "cryptography", "six"]


@pytest.mark.parametrize(
    ("library", "needed"), [("aioboto3", ["aioboto3", "aiobotocore", "boto3"]), ("aiobotocore", ["aiobotocore"])]
)
def test_aioboto3_brings_boto3_of_which_its_session_alone_has_no_need(
    tmp_path: Path, library: str, needed: list[str]
) -> None:
    for name, requires in (("aiobotocore", ()), ("boto3", ()), ("aioboto3", ("aiobotocore[boto3]==1.0",))):
        install(tmp_path, name, *requires)
    assert [each.name for each in prune(tmp_path, frozenset({library}), everything=False)] == needed


def test_all_that_share_a_name_are_needed_with_it(tmp_path: Path) -> None:
    for name in ("arro3-core", "arro3-io", "six"):
        install(tmp_path, name, module=name.replace("-", "/"))
    assert [each.name for each in prune(tmp_path, frozenset({"arro3"}), everything=False)] == ["arro3-core", "arro3-io"]
    assert left(tmp_path) == {"arro3"}


def test_where_it_cannot_be_known_everything_stays(out: Path) -> None:
    assert len(prune(out, frozenset(), everything=True)) == 7
    assert "sphinx" in left(out)


def test_nothing_stays_when_nothing_is_imported(out: Path) -> None:
    assert prune(out, frozenset(), everything=False) == []
    assert not left(out)


def test_a_library_that_is_not_locked_stops_the_build(out: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing in locks/run\.txt is imported as numpy, torch"):
        prune(out, frozenset({"numpy", "jwt", "torch"}), everything=False)


def test_licences_are_what_the_metadata_say_and_their_texts_are_all_there(out: Path) -> None:
    dependencies = prune(out, frozenset(), everything=True)
    said = {each.name: (each.licence, each.is_spdx) for each in dependencies}
    assert said["cryptography"] == ("MIT", True)
    assert said["typing-extensions"] == ("PSF", False)
    assert said["six"] == ("MIT License", False)
    assert said["cffi"] == ("", False)
    text = licences(dependencies)
    assert all(f"\n{name} 1.0: " in text for name in said)
    assert text.count("The terms of") == 7


def test_every_locked_dependency_has_hashes() -> None:
    lock = read_lock()
    assert {"aioboto3", "aiobotocore", "pydantic-core", "pyjwt"} <= set(lock)
    for name, hashes in lock.items():
        assert name == normal(name)
        assert hashes
        assert all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes)


def test_an_override_is_the_locks_own_version_or_a_package_that_is_left_out() -> None:
    """uv puts overrides in the place of a lock's lines too, whose hashes then would not fit."""
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]["override-dependencies"]
    lock = LOCK.read_text("utf-8")
    for override in overrides:
        assert override.endswith("python_version < '0'") or f"\n{override} " in lock


def dependency(name: str, *requires: str, licence: str = "", is_spdx: bool = False) -> Dependency:
    return Dependency(name, "1.0", licence, is_spdx, requires, frozenset({name}), ("0" * 64,), {})


def test_bill_of_materials_names_each_part_once_and_how_they_hang_together() -> None:
    parts = [
        dependency("a", "b", licence="MIT OR Apache-2.0", is_spdx=True),
        dependency("b", licence="BSD style"),
        dependency("c"),
    ]
    document: dict[str, Any] = json.loads(bill("inference", parts, frozenset({"a", "c"})))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert not {"serialNumber", "timestamp"} & {*document, *document["metadata"]}
    first, second, third = document["components"]
    assert first["purl"] == "pkg:pypi/a@1.0"
    assert first["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]
    assert first["licenses"] == [{"expression": "MIT OR Apache-2.0"}]
    assert second["licenses"] == [{"license": {"name": "BSD style"}}]
    assert "licenses" not in third
    tree = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    assert tree == {
        f"llambda-inference@{VERSION}": ["pkg:pypi/a@1.0", "pkg:pypi/c@1.0"],
        "pkg:pypi/a@1.0": ["pkg:pypi/b@1.0"],
        "pkg:pypi/b@1.0": [],
        "pkg:pypi/c@1.0": [],
    }
