"""What an external provider needs is in its function's package: from the lock, or as it is installed here, which is said."""

from importlib import invalidate_caches
import json
from pathlib import Path
import platform

import pytest

from core.resolution.provider_types import ProviderSpec
from infra.external import copy, copy_specs, drop_metadata, find_external_packages, resolve_directory
from tests.unit.infra.test_dependencies import install

OTHER = "x86_64" if platform.machine().lower() in {"aarch64", "arm64"} else "arm64"
HERE = "arm64" if OTHER == "x86_64" else "x86_64"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages that is on the path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def spec(module: str, *pip_packages: str) -> ProviderSpec:
    return ProviderSpec(
        "inference",
        "remote::acme",
        module,
        config_class=f"{module}.config.Config",
        factory="get_adapter_impl",
        pip_packages=pip_packages,
    )


def test_a_package_comes_with_what_it_requires_and_says_what_the_lock_has_not(site: Path, tmp_path: Path) -> None:
    install(site, "acme-provider", "acme-client>=1", "aiohttp; python_version > '3'", "absent; extra == 'x'")
    install(site, "acme-client", "llambda", "not-installed; sys_platform == 'win32'")
    (site / "acme_provider" / "config.py").write_text(
        "import yaml\nfrom core.providers.http.upstream import UpstreamClient\n"
    )
    invalidate_caches()
    found = find_external_packages([(spec("acme_provider", "idna"), None)])
    assert {"acme-provider", "acme-client", "aiohttp", "idna", "multidict"} <= found.distributions
    assert "llambda" not in found.distributions
    assert [str(each) for each in found.unlocked] == [
        "unlocked: acme-client==1.0, taken as installed",
        "unlocked: acme-provider==1.0, taken as installed",
    ]
    assert {"yaml", "core.providers.http.upstream"} <= found.imports
    out = tmp_path / "out"
    out.mkdir()
    copy(found, OTHER, out)
    assert (out / "acme_provider" / "config.py").exists()
    assert (out / "acme_client").is_dir()
    drop_metadata(out, found.distributions)
    left = {path.relative_to(out).as_posix() for path in out.glob("*.dist-info/*")}
    assert left == {"acme_provider-1.0.dist-info/METADATA", "acme_client-1.0.dist-info/METADATA"}
    drop_metadata(out, frozenset())
    assert not list(out.glob("*.dist-info"))


def test_an_editable_package_is_taken_from_its_folder(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "with space" / "source"
    (source / "acme_edited").mkdir(parents=True)
    (source / "acme_edited" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(source))
    install(site, "its-name", module="unused")
    info = site / "its_name-1.0.dist-info"
    (info / "RECORD").write_text("its_name.pth,,\n")
    said = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(said))
    invalidate_caches()
    [taken] = find_external_packages([(spec("acme_edited"), None)]).unlocked
    assert (taken.name, taken.version, taken.modules) == ("its-name", "1.0", ("acme_edited",))


def test_a_folder_on_the_path_alone_is_taken_without_a_version(site: Path) -> None:
    (site / "acme_loose.py").write_text("import json\n")
    invalidate_caches()
    [taken] = find_external_packages([(spec("acme_loose"), None)]).unlocked
    assert str(taken) == "unlocked: acme_loose, taken as installed"


def test_machine_code_of_another_processor_is_refused(site: Path, tmp_path: Path) -> None:
    install(site, "acme-native")
    (site / "acme_native" / "fast.so").write_text("")
    invalidate_caches()
    found = find_external_packages([(spec("acme_native"), None)])
    (tmp_path / "here").mkdir()
    copy(found, HERE, tmp_path / "here")
    with pytest.raises(
        ValueError, match=rf"acme-native has machine code \(fast.so\) for this machine and not for {OTHER}"
    ):
        copy(found, OTHER, tmp_path)


@pytest.mark.parametrize(
    ("wanted", "module", "words"),
    [
        (spec("not_there_at_all"), None, "is in `not_there_at_all`, which is not installed"),
        (spec("json", "not-there>=2"), None, "pip install 'not-there>=2'`"),
        (spec("json"), "pydantic==0.1", "pip install pydantic==0.1"),
    ],
)
def test_what_is_not_installed_stops_the_build(wanted: ProviderSpec, module: str | None, words: str) -> None:
    with pytest.raises(ValueError, match="install") as refusal:
        find_external_packages([(wanted, module)])
    assert words in str(refusal.value)


def test_nothing_external_needs_nothing() -> None:
    found = find_external_packages([])
    assert not found.distributions | found.imports
    assert not found.unlocked


def test_spec_files_travel_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = {"adapter_type": "a", "module": "a", "config_class": "a.C"}
    place = tmp_path / "mine" / "remote" / "inference"
    place.mkdir(parents=True)
    (place / "a.yaml").write_text(json.dumps({"adapter": code}))
    monkeypatch.setenv("SPECS", str(tmp_path / "mine"))
    directory, run_config = resolve_directory('{"version":2,"image_name":"t","external_providers_dir":"${env.SPECS}"}')
    assert directory == str(tmp_path / "mine")
    written = json.loads(copy_specs(directory, run_config, tmp_path))
    assert written == {"version": 2, "image_name": "t", "external_providers_dir": "providers.d"}
    assert json.loads((tmp_path / "providers.d/remote/inference/a.json").read_text()) == {"adapter": code}
    (place / "a.yaml").write_text("adapter: {}")
    with pytest.raises(ValueError, match=r"remote/inference/a.yaml: adapter.module: is required"):
        copy_specs(directory, run_config, tmp_path)
    monkeypatch.delenv("SPECS")
    with pytest.raises(ValueError, match="SPECS"):
        resolve_directory('{"version":2,"image_name":"t","external_providers_dir":"${env.SPECS}"}')
    assert resolve_directory("{}") == (None, "{}")
