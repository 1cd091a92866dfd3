"""A model is found by either of its names, wherever it comes from, and a warm look-up reads nothing."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from core.apis.inference import ServedModel
from core.apis.manifests.inference import MODEL
from core.apis.manifests.safety import SHIELD
from core.errors import Conflict, InvalidRequest, NotFound, ProviderUnavailable, UpstreamFailed
from core.frame.resources import Resource
from core.routing.catalog import Catalog
from core.routing.registry import Registry, split_identifier
from tests.fakes import Clock, FakeProvider, MemoryStore, served


def model(identifier: str, provider_id: str = "a", name: str | None = None, **attributes: object) -> Resource:
    own = {"metadata": {}, "model_type": "llm", **attributes}
    return Resource("model", identifier, provider_id, identifier if name is None else name, own)


class Stack:
    def __init__(self, *declared: Resource) -> None:
        self.clock, self.store = Clock(), MemoryStore()
        self.a, self.b = FakeProvider([served("m", created=7), served("x/y")]), FakeProvider([served("n")])
        self.catalog = Catalog({"a": self.a.list_models, "b": self.b.list_models}, seconds=60, clock=self.clock)
        self.registry = Registry(
            MODEL, self.store, self.catalog, provider_ids=["a", "b"], declared=declared, remember=30, clock=self.clock
        )

    async def ids(self, after: str = "", limit: int = 100) -> list[str]:
        return [row.identifier for row in (await self.registry.page(after=after, limit=limit)).resources]


@pytest.fixture
def stack() -> Stack:
    return Stack()


async def test_a_listed_model_needs_no_registration(stack: Stack) -> None:
    found = await stack.registry.get("a/x/y")
    assert (found.provider_id, found.provider_resource_id) == ("a", "x/y")
    assert (await stack.registry.get("a/m")).created == 7
    assert await stack.ids() == ["a/m", "a/x/y", "b/n"]


async def test_what_is_registered_of_a_model_holds_for_that_name_alone(stack: Stack) -> None:
    before = await stack.registry.get("a/m")
    alias = await stack.registry.register(model("alias", name="m", metadata={"k": 1}, model_type="embedding"))
    assert await stack.registry.get("alias") == alias
    stack.clock.now = 100
    assert await stack.registry.get("a/m") == before
    assert (await stack.registry.page(after="", limit=1)).resources == [before]


@pytest.mark.parametrize("change", [{"metadata": {"k": 1}}, {"model_type": "embedding"}])
async def test_the_providers_own_name_cannot_be_registered_as_something_else(
    stack: Stack, change: dict[str, Any]
) -> None:
    with pytest.raises(Conflict, match="the provider's own name"):
        await stack.registry.register(model("a/m", name="m", **change))
    declaring = Stack(model("alias", name="m", **change))
    with pytest.raises(Conflict):
        await declaring.registry.register(model("a/m", name="m", metadata={"k": 2}))
    assert (await declaring.registry.register(model("a/m", name="m", **change))).attributes.items() >= change.items()
    assert not declaring.store.rows


async def test_a_row_under_a_providers_name_is_nobodys_and_can_be_removed(stack: Stack) -> None:
    """Stored before there was such a provider, or by an earlier version; the page goes on past it."""
    await stack.store.create(model("a/m", name="m", metadata={"k": 1}))
    await stack.store.create(model("b/n", name="m", metadata={"k": 1}))
    await stack.store.create(model("z", name="m"))
    assert (await stack.registry.get("a/m")).attributes["metadata"] == {}
    assert (await stack.registry.get("b/n")).provider_id == "b"
    assert [await stack.ids("a/x/y", limit) for limit in (1, 2, 9)] == [["b/n"], ["b/n", "z"], ["b/n", "z"]]
    await stack.registry.unregister("a/m")
    assert ("model", "a/m") not in stack.store.rows


SHIELDS = ["llama", "other"]


def shield(identifier: str, **params: object) -> Resource:
    return Resource("shield", identifier, "llama", "g", {"params": params})


def shields(store: MemoryStore, *declared: Resource) -> Registry:
    return Registry(SHIELD, store, Catalog({}, seconds=1), provider_ids=SHIELDS, declared=declared)


async def test_of_a_kind_that_nobody_lists_a_providers_name_means_what_is_declared_or_nothing_more_than_itself() -> (
    None
):
    registry = shields(MemoryStore())
    await registry.register(shield("mine", strict=False))
    with pytest.raises(NotFound):
        await registry.get("llama/g")
    with pytest.raises(Conflict, match="params included"):
        await registry.register(shield("llama/g", strict=False))
    assert await registry.register(shield("llama/g")) == await registry.get("llama/g")
    assert [row.identifier for row in (await registry.page(after="", limit=9)).resources] == ["llama/g", "mine"]
    assert not registry.declares("llama/g")


async def test_what_is_declared_of_it_is_what_it_means_whatever_is_stored() -> None:
    store = MemoryStore()
    await store.create(shield("llama/g", strict=False))
    with pytest.raises(NotFound):
        await shields(store).get("llama/g")
    declared = shield("guard", strict=True)
    registry = shields(store, declared)
    assert (await registry.get("llama/g")).attributes == declared.attributes
    assert await registry.register(shield("llama/g", strict=True)) == await registry.get("llama/g")
    assert [registry.declares(name) for name in ("guard", "llama/g", "g", "llama/x")] == [True, True, False, False]
    assert [row.identifier for row in (await registry.page(after="", limit=9)).resources] == ["guard"]


async def test_a_declared_model_answers_to_both_names_and_is_never_stored() -> None:
    stack = Stack(model("alias", name="m", model_type="embedding"), model("second", name="m"))
    assert (await stack.registry.get("second")).identifier == "second"
    assert (await stack.registry.get("a/m")).attributes["model_type"] == "embedding"
    assert (await stack.registry.page(after="", limit=1)).resources[0].attributes["model_type"] == "embedding"
    assert not stack.store.rows
    assert await stack.ids() == ["alias", "second", "a/m", "a/x/y", "b/n"]


@pytest.mark.parametrize("name", ["nope", "a/", "a", "c/m", "/m", "", "a/n"])
async def test_an_unknown_model_is_not_found_and_the_message_says_how_to_list(stack: Stack, name: str) -> None:
    with pytest.raises(NotFound, match="GET /v1/models"):
        await stack.registry.get(name)


async def test_looking_up_a_listed_model_again_reads_neither_store_nor_provider(stack: Stack) -> None:
    await stack.registry.get("a/m")
    for _ in range(5):
        await stack.registry.get("a/m")
    assert (stack.store.reads, stack.a.listings) == (0, 1)
    stack.clock.now = 61
    await stack.registry.get("a/m")
    assert (stack.store.reads, stack.a.listings) == (0, 2)


async def test_what_a_provider_does_not_serve_is_refused_with_what_it_serves(stack: Stack) -> None:
    with pytest.raises(InvalidRequest, match="It serves: m, x/y") as refusal:
        await stack.registry.register(model("z"))
    assert refusal.value.param == "provider_model_id"
    assert not stack.store.rows


async def test_what_a_provider_began_to_serve_can_be_registered_at_once(stack: Stack) -> None:
    await stack.ids()
    stack.a.models.append(served("new"))
    assert (await stack.registry.register(model("new"))).identifier == "new"


async def test_a_provider_that_is_down_refuses_registration_and_nothing_is_stored(stack: Stack) -> None:
    stack.a.down = UpstreamFailed("secret address")
    with pytest.raises(ProviderUnavailable) as refusal:
        await stack.registry.register(model("m"))
    assert "secret" not in refusal.value.message
    assert not stack.store.rows


async def test_a_provider_that_is_down_hides_no_other_models(stack: Stack) -> None:
    stack.a.down = UpstreamFailed("x")
    assert await stack.ids() == ["b/n"]
    for _ in range(2):  # what one caller was told beside it, the next is not
        with pytest.raises(ProviderUnavailable, match=r"^Provider `a` could not") as refusal:
            await stack.registry.get("a/m")
        assert refusal.value.headers == {"retry-after": "5"}  # until then it is not asked again
        refusal.value.message = f"rows[0]: {refusal.value.message}"


async def test_a_provider_that_went_down_still_shows_what_it_served(stack: Stack) -> None:
    before = await stack.ids()
    stack.a.down = UpstreamFailed("x")
    stack.clock.now = 61
    assert await stack.ids() == before


async def test_a_provider_that_did_not_answer_is_left_alone_for_a_while(stack: Stack) -> None:
    stack.a.down = UpstreamFailed("x")
    for _ in range(3):
        await stack.ids()
    assert stack.a.listings == 1
    stack.a.down, stack.clock.now = None, 6
    assert "a/m" in await stack.ids()


async def test_of_many_that_need_a_listing_one_asks(stack: Stack) -> None:
    await asyncio.gather(*(stack.catalog.offers("a", fresh=True) for _ in range(10)))
    assert stack.a.listings == 1


async def test_a_provider_that_hangs_is_unavailable() -> None:
    async def hang() -> list[ServedModel]:
        await asyncio.sleep(60)
        return []

    catalog = Catalog({"h": hang}, seconds=60, patience=0.01)
    with pytest.raises(ProviderUnavailable):
        await catalog.offers("h")


async def test_the_same_content_again_changes_nothing_and_other_content_conflicts(stack: Stack) -> None:
    first = await stack.registry.register(model("m"))
    assert await stack.registry.register(model("m")) == first
    with pytest.raises(Conflict):
        await stack.registry.register(model("m", metadata={"k": 1}))


async def test_a_declared_identifier_cannot_be_registered_otherwise_or_removed() -> None:
    stack = Stack(model("m"))
    assert (await stack.registry.register(model("m"))).identifier == "m"
    with pytest.raises(Conflict, match="run config"):
        await stack.registry.register(model("m", name="x/y"))
    with pytest.raises(Conflict, match="run config"):
        await stack.registry.unregister("m")


async def test_an_identifier_that_reads_as_another_model_is_refused(stack: Stack) -> None:
    with pytest.raises(InvalidRequest, match="already means `n` of provider `b`"):
        await stack.registry.register(model("b/n", name="m"))
    assert (await stack.registry.register(model("a/m", name="m"))).identifier == "a/m"
    assert await stack.ids() == ["a/m", "a/x/y", "b/n"]


async def test_unregistering_removes_and_a_second_time_is_not_found(stack: Stack) -> None:
    await stack.registry.register(model("m"))
    await stack.registry.unregister("m")
    for name in ("m", "a/m"):
        with pytest.raises(NotFound, match="not a registered model"):
            await stack.registry.unregister(name)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_joined_are_the_run_configs_order_then_what_is_listed_then_what_was_registered(limit: int) -> None:
    stack = Stack(model("zz", name="m"), model("a/m2", name="m"), model("b/n", "b", "n"), model("first", "b", "n"))
    for name in ("b1", "A", "é", "\U0001f600", "\uffff", "m", "zz"):  # of which the last one was declared since
        await stack.store.create(model(name, name="m"))
    listed = ["a/m", "a/x/y"]
    registered = sorted(("b1", "A", "é", "\U0001f600", "\uffff", "m"), key=str.encode)
    joined: list[str] = []
    while True:
        page = await stack.registry.page(after=joined[-1] if joined else "", limit=limit)
        joined += [row.identifier for row in page.resources]
        if not page.has_more:
            break
    assert joined == ["zz", "a/m2", "b/n", "first", *listed, *registered]


async def test_providers_are_in_the_run_configs_order_whatever_their_names() -> None:
    z, a = FakeProvider([served("m"), served("b")]), FakeProvider([served("x")])
    catalog = Catalog({"z": z.list_models, "a": a.list_models}, seconds=60)
    registry = Registry(MODEL, MemoryStore(), catalog, provider_ids=["z", "a"])
    page = await registry.page(after="", limit=9)
    assert [row.identifier for row in page.resources] == ["z/b", "z/m", "a/x"]


async def test_a_page_begins_after_one_that_has_gone(stack: Stack) -> None:
    await stack.store.create(model("k", name="m"))
    await stack.store.create(model("z", name="m"))
    assert await stack.ids("a/gone") == ["a/m", "a/x/y", "b/n", "k", "z"]
    assert await stack.ids("a/n") == ["a/x/y", "b/n", "k", "z"]
    assert await stack.ids("l") == ["z"]


def test_the_longest_provider_id_wins() -> None:
    assert split_identifier("a/b/c", ["a", "a/b"]) == ("a/b", "c")
    assert split_identifier("a/b", ["a", "a/b"]) == ("a", "b")


@pytest.mark.parametrize(
    ("providers", "given", "expected"),
    [
        (["a"], None, "a"),
        (["a", "b"], "b", "b"),
        (["a", "b"], None, "multiple"),
        (["a"], "z", "not found"),
        ([], None, "none"),
    ],
)
def test_the_provider_is_the_named_one_or_the_only_one(providers: list[str], given: str | None, expected: str) -> None:
    registry = Registry(MODEL, MemoryStore(), Catalog({}, seconds=1), provider_ids=providers)
    choose: Callable[[], str] = lambda: registry.provider_of({"provider_id": given})  # noqa: E731
    if expected in providers:
        assert choose() == expected
    else:
        with pytest.raises(InvalidRequest, match=expected) as refusal:
            choose()
        assert refusal.value.param == "provider_id"
