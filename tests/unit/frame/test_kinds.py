"""What a kind yields beside its usual four routes, and what providers have under ids of their own."""

from dataclasses import replace

from core.apis.manifests.safety import SHIELD
from core.frame.api import Api, route_rows
from core.frame.resources import BuiltIn, Resource
from core.routing.registration import built_in_resources

FUNCTION = replace(SHIELD, path="/v1/stars", further_paths=("/v1alpha/stars",), aliases=("/v1/openai/v1/stars",))


def test_a_kind_is_written_under_its_further_paths_and_read_under_its_aliases() -> None:
    rows = [(row.method, row.path) for row in route_rows(Api("safety", (), "", kinds=(FUNCTION,)))]
    assert len(rows) == len(set(rows))
    of = {path.partition("/{")[0]: set[str]() for _, path in rows}
    for method, path in rows:
        of[path.partition("/{")[0]].add(method + (" one" if "{" in path else ""))
    everything = {"GET", "GET one", "POST", "DELETE one"}
    assert of == {"/v1/stars": everything, "/v1alpha/stars": everything, "/v1/openai/v1/stars": {"GET", "GET one"}}


def test_what_a_provider_has_under_its_own_id_is_nobodys_and_has_the_kinds_defaults() -> None:
    row = BuiltIn(id="basic::equal", provider_resource_id="equal")
    [resource] = built_in_resources(SHIELD, "p", [row])
    assert resource == Resource("shield", "basic::equal", "p", "equal", dict(SHIELD.fields))
    [other] = built_in_resources(SHIELD, "p", [{**row, "params": {"k": 1}}])  # type: ignore[typeddict-unknown-key]
    assert other.attributes == {**SHIELD.fields, "params": {"k": 1}}
