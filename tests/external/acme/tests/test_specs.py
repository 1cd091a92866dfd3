"""The file in providers.d and get_provider_spec() describe one provider."""

from pathlib import Path

from core.resolution.external.packages import module_specs
from core.resolution.external.spec_files import external_specs

FOLDER = Path(__file__).parents[1] / "providers.d"


def test_both_ways_to_name_the_provider_say_the_same() -> None:
    specs, problems = external_specs(str(FOLDER))
    assert not problems
    [(key, spec)] = specs.items()
    assert key == ("inference", "remote::acme")
    [named] = module_specs("llambda-provider-acme").values()
    for field in ("api", "provider_type", "module", "config_class", "factory", "pip_packages", "api_dependencies"):
        assert getattr(named, field) == getattr(spec, field), field
