"""The contract of RegistryStore, over every adapter, bare and cached."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from core.errors import Conflict, InvalidRequest, PermissionDenied
from core.frame.resources import Resource
from core.stores.registry.codec import MOST_BODY
from core.stores.registry.port import RegistryStore
from tests.contract.registries import Backend, find_at, model

STRANGE = [
    "plain",
    "meta-llama/Llama-3.2-1B",
    "a.b..c",
    "модель",
    "🦙/模型",
    "with space",
    "a#b@c%23",
    "..",
    "'; --",
    "%",
]

IMPOSSIBLE = ["", "a\x00b", "\x00", "\ud800", "x" * 1025, "é" * 513]


async def everything(store: RegistryStore, kind: str = "model", *, limit: int = 100) -> list[str]:
    found: list[str] = []
    while page := await store.page(kind, after=found[-1] if found else "", limit=limit):
        assert len(page) <= limit
        found += [resource.identifier for resource in page]
    return found


async def test_what_was_created_is_got_and_found_whatever_its_name(store: RegistryStore) -> None:
    resources = [model(name, f"{name}/v1", provider=f"{name}-provider", note="ü") for name in STRANGE]
    for resource in resources:
        assert await store.create(resource) == resource
    for resource in resources:
        assert await store.get("model", resource.identifier) == resource
        assert await find_at(store, "model", resource.provider_id, resource.provider_resource_id) == resource


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"a": {"b": [1.5, 1e-9, -0.0, {"c": None}]}},
        {"long": "x" * 10_000},
        {"🦙": "\ud83e"},
        {"n": 2**70, "t": True},
    ],
)
async def test_attributes_come_back_as_they_were(store: RegistryStore, metadata: dict[str, Any]) -> None:
    resource = replace(model(**metadata), owner={"principal": "ada", "attributes": {"teams": ["ml"]}})
    await store.create(resource)
    assert repr(await store.get("model", "llama")) == repr(resource)


async def test_what_was_never_created_is_not_there(store: RegistryStore) -> None:
    assert await store.get("model", "missing") is None
    assert await find_at(store, "model", "vllm", "missing") is None
    assert await store.page("model", after="", limit=10) == []
    assert await store.delete("model", "missing") is False


async def test_the_same_content_again_returns_what_is_there(store: RegistryStore) -> None:
    first = await store.create(model())
    again = await store.create(replace(first, created=first.created + 60, owner={"principal": "eve"}))
    assert again == first
    assert await store.get("model", "llama") == first


@pytest.mark.parametrize(
    "other",
    [model("llama", "other-name"), model(provider="other"), model(note="new"), replace(model(), attributes={})],
    ids=["name", "provider", "metadata", "attributes"],
)
async def test_other_content_is_a_conflict_that_changes_nothing(store: RegistryStore, other: Resource) -> None:
    first = await store.create(model())
    with pytest.raises(
        Conflict, match=r"Model `llama` is registered with other content: as `llama` of provider `vllm`"
    ):
        await store.create(other)
    assert await store.get("model", "llama") == first
    assert await find_at(store, "model", "vllm", "llama") == first
    assert await find_at(store, "model", "vllm", "other-name") is None
    assert await find_at(store, "model", "other", "llama") is None


async def test_deleted_is_gone_under_both_names_and_can_be_created_anew(store: RegistryStore) -> None:
    await store.create(model("llama", "old"))
    assert await store.delete("model", "llama") is True
    assert await store.delete("model", "llama") is False
    assert await store.get("model", "llama") is None
    assert await find_at(store, "model", "vllm", "old") is None
    fresh = await store.create(model("llama", "new"))
    assert await store.get("model", "llama") == fresh
    assert await find_at(store, "model", "vllm", "new") == fresh


def changed(resource: Resource, **metadata: Any) -> Resource:
    return replace(resource, attributes={"metadata": metadata}, owner={"principal": "ada"})


async def test_what_is_replaced_is_the_new_one_under_both_names(store: RegistryStore) -> None:
    resources = [await store.create(model(name, f"{name}/v1", provider=f"{name}-provider")) for name in STRANGE]
    news = [changed(resource, note="new") for resource in resources]
    for resource, new in zip(resources, news, strict=True):
        assert await store.get("model", resource.identifier) == resource
        assert await store.replace(new, expect=resource) is True
    for new in news:
        assert await store.get("model", new.identifier) == new
        assert await find_at(store, "model", new.provider_id, new.provider_resource_id) == new
    assert await everything(store) == sorted(STRANGE, key=str.encode)


@pytest.mark.parametrize(
    "other",
    [model("other"), model("llama", "other"), model(provider="other"), replace(model(), kind="shield")],
    ids=["identifier", "name", "provider", "kind"],
)
async def test_nothing_is_replaced_by_what_has_other_names(store: RegistryStore, other: Resource) -> None:
    kept = await store.create(model())
    assert await store.replace(changed(other), expect=kept) is False
    assert await store.get("model", "llama") == kept
    assert await find_at(store, "model", "vllm", "llama") == kept
    assert await store.get(other.kind, "other") is None
    assert await find_at(store, other.kind, other.provider_id, "other") is None
    assert await find_at(store, "model", "other", "llama") is None
    assert await store.page("shield", after="", limit=1) == []


async def test_what_is_expected_is_replaced_and_nothing_else(store: RegistryStore) -> None:
    read = await store.create(model(a=1, b=[2.5, None]))
    new = changed(read, note="new")
    for other in (changed(read, a=1), replace(read, created=read.created + 1), model("other"), new):
        assert await store.replace(new, expect=other) is False
        assert await store.get("model", "llama") == read
    assert await store.replace(new, expect=read) is True
    assert await store.replace(changed(read, note="late"), expect=read) is False
    assert await store.get("model", "llama") == new
    assert await find_at(store, "model", "vllm", "llama") == new
    assert await store.replace(replace(new, provider_id="other"), expect=new) is False
    assert await store.delete("model", "llama")
    assert await store.replace(new, expect=new) is False
    assert await store.get("model", "llama") is None


async def test_what_is_expected_is_the_content_however_it_is_written_down(store: RegistryStore) -> None:
    await store.create(model(a=1, b=2))
    assert await store.replace(changed(model(), note="new"), expect=model(b=2, a=1)) is True
    assert await store.get("model", "llama") == changed(model(), note="new")


async def test_what_is_gone_is_not_brought_back_by_replacing_it(store: RegistryStore) -> None:
    await store.create(model())
    assert await store.delete("model", "llama")
    assert await store.replace(model(), expect=model()) is False
    assert await store.get("model", "llama") is None
    assert await find_at(store, "model", "vllm", "llama") is None


async def test_replacing_while_another_removes_never_brings_it_back(store: RegistryStore) -> None:
    for round_ in range(10):
        await store.create(model())
        writes = [store.replace(changed(model(), n=n), expect=model()) for n in range(4)]
        writes.insert(round_ % 5, store.delete("model", "llama"))
        outcomes = await asyncio.gather(*writes)
        assert outcomes[round_ % 5] is True
        assert await store.get("model", "llama") is None
        assert await find_at(store, "model", "vllm", "llama") is None


async def test_what_cannot_be_stored_replaces_nothing(store: RegistryStore) -> None:
    kept = await store.create(model())
    with pytest.raises(InvalidRequest):
        await store.replace(changed(model(), x="y" * MOST_BODY), expect=kept)
    assert await store.get("model", "llama") == kept


async def test_what_a_check_refuses_stays_and_the_caller_hears_why(store: RegistryStore) -> None:
    kept = await store.create(replace(model(), owner={"principal": "ada"}))
    seen: list[Resource] = []

    def check(resource: Resource) -> None:
        seen.append(resource)
        raise PermissionDenied("not yours")

    with pytest.raises(PermissionDenied, match="not yours"):
        await store.delete("model", "llama", check)
    assert seen == [kept]
    assert await store.get("model", "llama") == kept
    assert await find_at(store, "model", "vllm", "llama") == kept
    assert await store.delete("model", "missing", check) is False
    assert await store.delete("model", "\x00", check) is False
    assert await store.delete("model", "llama", seen.append) is True
    assert seen == [kept, kept]
    assert await store.get("model", "llama") is None


def elsewhere(backend: Backend, old: Resource, new: Resource) -> None:
    """Replace it through another store, in another thread and event loop, before this returns."""

    async def replacing() -> bool:
        async with backend.opened() as store:
            return await store.replace(new, expect=old)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(asyncio.run, replacing()).result()


@pytest.mark.parametrize("allowed", [True, False])
async def test_what_changes_between_the_check_and_the_removal_is_checked_again(
    backend: Backend, *, allowed: bool
) -> None:
    new = changed(model(), note="new")
    seen: list[Resource] = []

    def check(resource: Resource) -> None:
        seen.append(resource)
        if len(seen) == 1:
            elsewhere(backend, model(), new)
        elif not allowed:
            raise PermissionDenied("not the new one")

    async with backend.opened() as store:
        old = await store.create(model())
        if allowed:
            assert await store.delete("model", "llama", check) is True
        else:
            with pytest.raises(PermissionDenied):
                await store.delete("model", "llama", check)
        assert seen == [old, new]
        assert await store.get("model", "llama") == (None if allowed else new)
        assert await find_at(store, "model", "vllm", "llama") == (None if allowed else new)


async def test_find_gives_the_first_of_several_in_identifier_order(store: RegistryStore) -> None:
    for identifier in ("b", "🦙", "a", "\uffee"):
        await store.create(model(identifier, "llama"))
    await store.create(model("0", "llama-2"))
    for expected in ("a", "b", "\uffee", "🦙"):
        found = await find_at(store, "model", "vllm", "llama")
        assert found is not None
        assert found.identifier == expected
        await store.delete("model", expected)
    assert await find_at(store, "model", "vllm", "llama") is None


async def test_pages_are_in_utf8_byte_order(store: RegistryStore) -> None:
    names = [f"m{n}" for n in range(19)] + [
        "Z",
        "é",
        "\uffee",
        "🦙",
        "m1/x",
        "m1.x",
    ]  # 🦙 sorts before U+FFEE in UTF-16
    for name in names:
        await store.create(model(name))
    expected = sorted(names, key=str.encode)
    for limit in (1, 7, 25, 100):
        assert await everything(store, limit=limit) == expected


async def test_a_page_begins_after_an_identifier_that_need_not_be_there(store: RegistryStore) -> None:
    for name in ("a", "c", "e"):
        await store.create(model(name))
    assert [row.identifier for row in await store.page("model", after="b", limit=1)] == ["c"]
    assert [row.identifier for row in await store.page("model", after="c", limit=9)] == ["e"]
    assert await store.page("model", after="e", limit=9) == []


async def test_what_is_registered_for_one_name_of_a_provider_comes_in_pages(store: RegistryStore) -> None:
    names = ["é", "a", "m1/x", "🦙", "\uffee", "B"]
    for name in names:
        await store.create(model(name, "served"))
        await store.create(model(f"{name}-other", "other"))
    expected = sorted(names, key=str.encode)
    for after, limit in (("", 9), ("", 2), ("a", 3), ("0", 1), (expected[-1], 5)):
        rows = await store.page_at("model", "vllm", "served", after=after, limit=limit)
        later = [name for name in expected if name.encode() > after.encode()]
        assert [row.identifier for row in rows] == later[:limit]
    await store.delete("model", "a")
    assert len(await store.page_at("model", "vllm", "served", after="", limit=9)) == len(names) - 1


async def test_a_page_larger_than_one_answer_of_the_database_is_whole(store: RegistryStore) -> None:
    names = [f"m{n:02}" for n in range(11)]  # 2.8 MB; DynamoDB answers with at most 1 MB
    for name in names:
        await store.create(model(name, filler="x" * 250_000))
    for limit in (7, 11):
        assert [row.identifier for row in await store.page("model", after="", limit=limit)] == names[:limit]


async def test_kinds_are_apart(store: RegistryStore) -> None:
    await store.create(model())
    shield = await store.create(replace(model(), kind="shield"))
    assert await store.get("shield", "llama") == shield
    assert await everything(store) == ["llama"]
    assert await store.delete("model", "llama")
    assert await find_at(store, "shield", "vllm", "llama") == shield
    assert await find_at(store, "model", "vllm", "llama") is None


@pytest.mark.parametrize(
    ("one", "provider", "other"),
    [
        ("x", "p", "y"),
        (None, "p", "x"),
        ("x", "p", "x#y"),
        ("x", "p#q", "x#model@p"),
        ("x", "p@q", "x%23"),
        ("x", "p", "X"),
    ],
)
async def test_namespaces_are_apart(backend: Backend, one: str | None, provider: str, other: str) -> None:
    async with backend.opened(one) as store, backend.opened(other) as neighbour:
        mine = await store.create(model(provider=provider))
        theirs = await neighbour.create(model(provider=provider, note="theirs"))
        assert await store.get("model", "llama") == mine
        assert await find_at(neighbour, "model", provider, "llama") == theirs
        assert await everything(neighbour) == ["llama"]
        assert await store.delete("model", "llama")
        assert await neighbour.get("model", "llama") == theirs


async def test_names_with_separators_are_never_taken_for_others(store: RegistryStore) -> None:
    await store.create(model("i", "b@c", provider="a"))
    await store.create(model("j", "b", provider="a@a"))
    assert await find_at(store, "model", "a@b", "c") is None
    assert await find_at(store, "model", "a", "a@b") is None
    assert await find_at(store, "model@a@b", "c", "") is None
    assert await store.page("model@a@b@c", after="", limit=1) == []
    assert await find_at(store, "model", "a%40a", "b") is None


async def test_a_name_that_cannot_be_a_key_is_refused_and_never_found(store: RegistryStore) -> None:
    for name in IMPOSSIBLE:
        wrong = {
            "identifier": replace(model(), identifier=name),
            "provider_id": replace(model(), provider_id=name),
            "provider_resource_id": replace(model(), provider_resource_id=name),
        }
        for field, resource in wrong.items():
            with pytest.raises(InvalidRequest) as refused:
                await store.create(resource)
            assert refused.value.param == field
        assert await store.get("model", name) is None
        assert await find_at(store, "model", name, "llama") is None
        assert await find_at(store, "model", "vllm", name) is None
        assert await store.delete("model", name) is False
    assert await everything(store) == []


async def test_a_cursor_that_cannot_be_an_identifier_is_refused(store: RegistryStore) -> None:
    for name in filter(None, IMPOSSIBLE):
        with pytest.raises(InvalidRequest) as refused:
            await store.page("model", after=name, limit=1)
        assert refused.value.param == "after"


async def test_names_of_the_greatest_length_are_stored(store: RegistryStore) -> None:
    resource = model("i" * 1024, "n" * 1024, provider="@" * 255)
    await store.create(resource)
    assert await find_at(store, "model", resource.provider_id, resource.provider_resource_id) == resource
    assert await store.page("model", after="h" * 1024, limit=1) == [resource]


@pytest.mark.parametrize(
    "metadata", [{"x": "y" * MOST_BODY}, {"x": float("nan")}, {"x": float("inf")}], ids=["large", "nan", "inf"]
)
async def test_attributes_that_cannot_be_stored_are_refused(store: RegistryStore, metadata: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="Model `llama` "):
        await store.create(model(**metadata))
    assert await store.get("model", "llama") is None


async def test_many_calls_at_once_share_one_store(store: RegistryStore) -> None:
    names = sorted(f"m{n:02}" for n in range(30))
    await asyncio.gather(*(store.create(model(name)) for name in names))
    found = await asyncio.gather(*(store.get("model", name) for name in names))
    assert [resource and resource.identifier for resource in found] == names
    assert await everything(store) == names


async def test_a_closed_store_opens_again_and_has_kept_everything(backend: Backend) -> None:
    store = backend.connect()
    await store.close()
    resource = await store.create(model())
    await store.close()
    assert await store.get("model", "llama") == resource
    await store.close()


def test_one_store_serves_one_event_loop_after_another(backend: Backend) -> None:
    store = backend.connect()

    async def used(*, create: bool) -> Resource | None:
        try:
            return await (store.create(model()) if create else store.get("model", "llama"))
        finally:
            await store.close()

    assert asyncio.run(used(create=True)) == asyncio.run(used(create=False))
