"""`module: package==version` finds the package's specs, or says what to do."""

from pathlib import Path
import sys

import pytest

from core.resolution.external.boundary import Unusable
from core.resolution.external.packages import module_spec, version_fault

SPEC = '{"api": "inference", "provider_type": "remote::acme", "module": "acme", "config_class": "acme.Config"}'
OBJECT = """
from enum import Enum
class Api(Enum):
    inference = "inference"
    safety = "safety"
class Adapter:
    adapter_type, module, config_class, pip_packages = "acme", "acme", "acme.Config", ["aiohttp"]
class Spec:
    api, provider_type, adapter, api_dependencies = Api.inference, "remote::acme", Adapter(), [Api.safety]
    deprecation_error = None
    def __getattr__(self, name): raise AttributeError(name)
"""
count = 0


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of a name of its own on the path, with an empty provider module."""
    global count  # noqa: PLW0603 - modules are imported once
    count += 1
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"acme_{count}").mkdir()
    (tmp_path / f"acme_{count}" / "__init__.py").write_text("")
    return f"acme_{count}"


def define(tmp_path: Path, package: str, code: str) -> None:
    (tmp_path / package / "provider.py").write_text(code)


@pytest.mark.parametrize(
    "code",
    [
        f"def get_provider_spec(): return {SPEC}",
        f"def get_provider_spec(): return [{SPEC}, {SPEC.replace('::acme', '::other')}]",
        f"{OBJECT}def get_provider_spec(): return Spec()",
        f"{OBJECT}def get_provider_spec(): return (Spec(),)",
    ],
)
def test_a_spec_may_be_a_mapping_an_object_or_several(tmp_path: Path, package: str, code: str) -> None:
    define(tmp_path, package, code)
    spec = module_spec(package.replace("_", "-"), "inference", "remote::acme")
    assert (spec.module, spec.factory, spec.config_class) == ("acme", "get_adapter_impl", "acme.Config")
    assert spec.origin == f"module {package.replace('_', '-')}"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "has no get_provider_spec()"),
        ("get_provider_spec = 3", "has no get_provider_spec()"),
        ("def get_provider_spec(): return 3", "must be a mapping or an object with a provider_type, got int"),
        ("def get_provider_spec(): return None", "got NoneType"),
        ("def get_provider_spec(): return 'inference'", "got str"),
        ("def get_provider_spec(): return []", "it has: none"),
        ("def get_provider_spec(): return {}", "spec 0: api: is required"),
        (f"def get_provider_spec(): return {SPEC.replace('acme.Config', 'Config')}", "must be module.Class"),
        (f"def get_provider_spec(): return {SPEC.replace('remote::acme', 'remote::vllm')}", "is built in"),
        (f"def get_provider_spec(): return {SPEC.replace('remote::acme', 'remote::acne')}", "it has: remote::acne"),
        ("def get_provider_spec(): raise KeyError('k')", "raised KeyError: 'k'"),
        ("import sys; sys.exit(3)", "raised SystemExit: 3"),
        ("import not_there_at_all", "imports `not_there_at_all`, which is not installed"),
    ],
)
def test_what_is_wrong_with_a_package_is_said(tmp_path: Path, package: str, code: str, words: str) -> None:
    define(tmp_path, package, code)
    with pytest.raises(Unusable) as refusal:
        module_spec(package, "inference", "remote::acme")
    assert words in "\n".join(refusal.value.reasons)


def test_a_package_that_is_not_there_says_how_to_install_it(package: str) -> None:
    with pytest.raises(Unusable, match=r"`not_there` is not installed; `.*pip install not-there==1\.0`"):
        module_spec("not-there==1.0", "inference", "remote::acme")
    with pytest.raises(Unusable, match="has no module `provider`"):
        module_spec(package, "inference", "remote::acme")
    with pytest.raises(Unusable, match="must be package or package==version"):
        module_spec("../acme", "inference", "remote::acme")


def test_a_package_that_hangs_is_left(tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMBDA_PROVIDER_SECONDS", "0.2")
    define(tmp_path, package, "import threading\ndef get_provider_spec(): threading.Event().wait(60)")
    with pytest.raises(Unusable, match=r"get_provider_spec\(\) took longer than 0.2 s"):
        module_spec(package, "inference", "remote::acme")


def test_another_version_than_the_installed_one_is_a_fault() -> None:
    assert version_fault("pydantic") is None
    installed = sys.modules["pydantic"].VERSION
    assert version_fault(f"pydantic=={installed}") is None
    fault = str(version_fault("pydantic==0.1"))
    assert fault.startswith(f"pydantic {installed} is installed; `")
    assert "pip install pydantic==0.1`, or write" in fault
    assert "no installed package" in str(version_fault("not-there==0.1"))
