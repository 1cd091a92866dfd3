"""Any sequence of calls has the outcome that a plain dict would give, over both adapters."""

from pathlib import Path
import uuid

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from core.errors import Conflict, PermissionDenied
from core.frame.resources import Resource
from core.stores.registry.port import RegistryStore
from tests.contract.conftest import fresh
from tests.contract.registries import Backend, find_at, model

NAMES = st.sampled_from(["a", "a/b", "a b", "b", "é", "\uffee", "🦙"])
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), NAMES, NAMES, st.booleans()),
        st.tuples(st.just("replace"), NAMES, NAMES, st.booleans(), st.booleans()),
        st.tuples(st.just("rename"), NAMES, NAMES, st.booleans()),
        st.tuples(st.just("delete"), NAMES),
        st.tuples(st.just("delete"), NAMES, st.booleans()),
        st.tuples(st.just("get"), NAMES),
        st.tuples(st.just("find"), NAMES),
        st.tuples(st.just("page"), st.one_of(st.just(""), NAMES), st.integers(1, 4)),
    ),
    max_size=25,
)
type Call = tuple[object, ...]


class Model:
    """The registry as a dict; what RegistryStore promises, in its fewest words."""

    def __init__(self) -> None:
        self._rows: dict[str, Resource] = {}

    def rows(self) -> list[Resource]:
        return sorted(self._rows.values(), key=lambda row: row.identifier.encode())

    def create(self, wanted: Resource) -> Resource | None:
        kept = self._rows.setdefault(wanted.identifier, wanted)
        return kept if kept.content() == wanted.content() else None

    def replace(self, wanted: Resource, expected: Resource) -> bool:
        there = self._rows.get(wanted.identifier)
        if there != expected or there.provider_resource_id != wanted.provider_resource_id:
            return False
        self._rows[wanted.identifier] = wanted
        return True

    def delete_noted(self, identifier: str, note: object) -> bool | None:
        there = self._rows.get(identifier)
        if there is not None and noted(there) != note:
            return None
        return self._rows.pop(identifier, None) is not None

    def outcome(self, call: Call) -> object:
        match call:
            case ("create", str(identifier), str(name), bool(note)):
                return self.create(model(identifier, name, note=note))
            case ("replace", str(identifier), str(name), bool(old), bool(note)):
                return self.replace(model(identifier, name, note=note), model(identifier, name, note=old))
            case ("rename", str(identifier), str(name), bool(note)):
                return self.replace(model(identifier, name, note=note), model(identifier, note=note))
            case ("delete", str(identifier), bool(note)):
                return self.delete_noted(identifier, note)
            case ("delete", str(identifier)):
                return self._rows.pop(identifier, None) is not None
        return self._found(call)

    def _found(self, call: Call) -> object:
        match call:
            case ("get", identifier):
                return next((row for row in self.rows() if row.identifier == identifier), None)
            case ("find", name):
                return next((row for row in self.rows() if row.provider_resource_id == name), None)
            case ("page", str(after), int(limit)):
                return [row for row in self.rows() if row.identifier.encode() > after.encode()][:limit]
        raise AssertionError(call)


def noted(row: Resource) -> object:
    return row.attributes["metadata"]["note"]


def refuse(row: Resource, *, unless: object) -> None:
    if noted(row) != unless:
        raise PermissionDenied("no")


async def outcome(store: RegistryStore, call: Call) -> object:
    """None is a refusal."""
    try:
        match call:
            case ("create", str(identifier), str(name), bool(note)):
                return await store.create(model(identifier, name, note=note))
            case ("replace", str(identifier), str(name), bool(old), bool(note)):
                return await store.replace(model(identifier, name, note=note), expect=model(identifier, name, note=old))
            case ("delete", str(identifier), bool(note)):
                return await store.delete("model", identifier, lambda row: refuse(row, unless=note))
            case ("delete", str(identifier)):
                return await store.delete("model", identifier)
    except (Conflict, PermissionDenied):
        return None
    return await outcome_without_refusal(store, call)


async def outcome_without_refusal(store: RegistryStore, call: Call) -> object:
    match call:
        case ("rename", str(identifier), str(name), bool(note)):
            return await store.replace(model(identifier, name, note=note), expect=model(identifier, note=note))
        case ("get", str(identifier)):
            return await store.get("model", identifier)
        case ("find", str(name)):
            return await find_at(store, "model", "vllm", name)
        case ("page", str(after), int(limit)):
            return await store.page("model", after=after, limit=limit)
    raise AssertionError(call)


async def agree(backend: Backend, calls: list[Call]) -> None:
    expected = Model()
    async with backend.opened(namespace=uuid.uuid4().hex) as store:
        for call in calls:
            assert await outcome(store, call) == expected.outcome(call), call


@pytest.fixture(params=["sqlite", "cached-sqlite"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return fresh(request, request.param, tmp_path)


@pytest.fixture(params=["dynamodb", "cached-dynamodb"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return fresh(request, request.param, tmp_path)


@given(calls=CALLS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_sqlite_does_what_a_dict_would(file: Backend, calls: list[Call]) -> None:
    await agree(file, calls)


@given(calls=CALLS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_dynamodb_does_what_a_dict_would(table: Backend, calls: list[Call]) -> None:
    await agree(table, calls)
