"""A folder of spec files becomes provider types, or a problem for each thing that is wrong with one."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.resolution.external.spec_files import external_specs, spec_from

CODE = {"module": "acme", "config_class": "acme.config.Config"}
REMOTE: dict[str, Any] = {"adapter": {"adapter_type": "acme", **CODE}}


def put(folder: Path, place: str, content: object) -> None:
    file = folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))


def problems(folder: Path) -> list[str]:
    found = external_specs(str(folder))[1]
    assert {problem.path for problem in found} <= {"external_providers_dir"}
    return [problem.message for problem in found]


def test_a_remote_type_is_named_by_its_adapter_type_and_an_inline_one_by_its_file(tmp_path: Path) -> None:
    put(tmp_path, "remote/inference/a_file.yaml", REMOTE)
    inline = {**CODE, "pip_packages": ["numpy>=2"], "api_dependencies": ["inference"], "container_image": "acme:1"}
    put(tmp_path, "inline/safety/guard.yaml", {**inline, "optional_api_dependencies": ["vector_io"]})
    specs, wrong = external_specs(str(tmp_path))
    assert not wrong
    assert set(specs) == {("inference", "remote::acme"), ("safety", "inline::guard")}
    remote, guard = specs["inference", "remote::acme"], specs["safety", "inline::guard"]
    assert (remote.factory, remote.origin) == ("get_adapter_impl", "remote/inference/a_file.yaml")
    assert (guard.factory, guard.pip_packages, guard.container_image) == ("get_provider_impl", ("numpy>=2",), "acme:1")
    assert (guard.api_dependencies, guard.optional_api_dependencies) == (("inference",), ("vector_io",))


@pytest.mark.parametrize("more", [{"adapter_type": "acme"}, {"provider_type": "remote::acme"}, {"api": "inference"}])
def test_the_flat_form_of_later_versions_is_understood(tmp_path: Path, more: dict[str, str]) -> None:
    put(tmp_path, "remote/inference/x.yaml", {**CODE, "adapter_type": "acme", "is_external": True, **more})
    specs, wrong = external_specs(str(tmp_path))
    assert (list(specs), wrong) == ([("inference", "remote::acme")], [])


def test_what_the_build_has_made_json_is_read_as_well(tmp_path: Path) -> None:
    put(tmp_path, "remote/inference/x.json", REMOTE)
    assert list(external_specs(str(tmp_path))[0]) == [("inference", "remote::acme")]


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        ({"module": None}, "adapter.module: must be text, got nothing"),
        ({"module": "not a module"}, "adapter.module: must be the dotted name of a module"),
        ({"config_class": "Config"}, "adapter.config_class: must be module.Class"),
        ({"pip_packages": "ollama"}, "adapter.pip_packages: must be a list"),
        ({"pip_packages": ["-r x"]}, "adapter.pip_packages[0]: must be what pip takes"),
        ({"adapter_type": 3}, "adapter.adapter_type: must be text"),
        ({"adapter_type": ""}, "adapter.adapter_type: must have at least 1 characters"),
        ({"modul": "x"}, "adapter.modul: unknown key `modul`; did you mean `module`?"),
        ({"provider_data_validator": 1}, "adapter.provider_data_validator: must be text"),
    ],
)
def test_each_field_of_a_wrong_type_is_named_with_its_file(tmp_path: Path, adapter: Any, words: str) -> None:
    put(tmp_path, "remote/inference/x.yaml", {"adapter": {**REMOTE["adapter"], **adapter}})
    [message] = problems(tmp_path)
    assert message.startswith("remote/inference/x.yaml: ")
    assert words in message


def test_each_missing_field_is_a_problem_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "remote/inference/a.yaml", {"adapter": {}})
    put(tmp_path, "inline/safety/b.yaml", {})
    assert problems(tmp_path) == [
        *(f"remote/inference/a.yaml: adapter.{field}: is required" for field in ("module", "config_class")),
        "remote/inference/a.yaml: adapter.adapter_type: is required",
        *(f"inline/safety/b.yaml: {field}: is required" for field in ("module", "config_class")),
    ]


@pytest.mark.parametrize(
    ("place", "content", "words"),
    [
        ("remote/inference/x.yaml", "adapter: [", "x.yaml: not valid YAML, line 1"),
        ("remote/inference/x.yaml", "[]", "x.yaml: the document must be a mapping"),
        ("remote/inference/x.yaml", "", "x.yaml: the document must be a mapping of keys, got nothing"),
        ("remote/inference/x.yml", REMOTE, "x.yml: its name must end in .yaml; rename it"),
        ("remote/inferense/x.yaml", REMOTE, "`inferense` is no API; did you mean `inference`?"),
        ("remote/inference/x.yaml", {**REMOTE, "api": "safety"}, "api: is `safety`, but the file is in"),
        ("remote/inference/x.yaml", {**REMOTE, "api_dependencies": ["safty"]}, "did you mean `safety`?"),
        ("remote/inference/x.yaml", {**REMOTE, "provider_type": "remote::b"}, "adapter_type makes it `remote::acme`"),
        ("remote/inference/x.yaml", CODE, "adapter_type: is required"),
        ("inline/safety/x.yaml", {**CODE, "provider_type": "remote::x"}, "must begin with inline::"),
        ("remote/inference/x.yaml", {"adapter": {**REMOTE["adapter"], "adapter_type": "vllm"}}, "which is built in"),
        ("inline/safety/llama-guard.yaml", CODE, "which is built in"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, place: str, content: object, words: str) -> None:
    put(tmp_path, place, content)
    [message] = problems(tmp_path)
    assert words in message


def test_two_files_with_one_type_name_are_both_named(tmp_path: Path) -> None:
    put(tmp_path, "remote/inference/a.yaml", REMOTE)
    put(tmp_path, "remote/inference/b.yaml", REMOTE)
    [message] = problems(tmp_path)
    for words in ("remote/inference/a.yaml", "remote/inference/b.yaml", "`remote::acme`", "another adapter_type"):
        assert words in message


def test_providers_of_apis_that_are_not_served_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "remote/telemetry/search.yaml", {"adapter": 1})
    (tmp_path / "remote" / "inference").mkdir()
    (tmp_path / "remote" / "inference" / "README.md").write_text("Hello.")
    assert external_specs(str(tmp_path)) == ({}, [])


def test_a_path_that_is_no_folder_says_so(tmp_path: Path) -> None:
    put(tmp_path, "file", "")
    assert "is not a directory" in problems(tmp_path / "file")[0]
    assert "there is no directory" in problems(tmp_path / "nothing")[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["adapter", "module", "config_class", "api", "provider_type", "pip_packages", "adapter_type"])


@given(st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON)), st.sampled_from(["remote", "inline"]))
def test_a_spec_of_any_shape_is_a_type_or_has_faults(raw: dict[str, Any], flavour: str) -> None:
    spec, faults = spec_from(raw, flavour, "x", "x")
    assert (spec is None) == bool(faults)
