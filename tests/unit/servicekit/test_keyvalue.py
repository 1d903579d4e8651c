"""`edit` when somebody else is faster. What a store does is in the contract suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from homeward.servicekit.keyvalue import InMemoryKeyValueStore, edit


async def nothing() -> None:
    """Happen."""


def appends(
    text: bytes, *, meanwhile: list[Callable[[], Awaitable[object]]]
) -> Callable[[bytes | None], Awaitable[bytes]]:
    """Return a change during which, one attempt each, something else happens."""
    left = iter(meanwhile)

    async def change(value: bytes | None) -> bytes:
        await next(left, nothing)()
        return (value or b"") + text

    return change


async def test_an_edit_begins_again_when_somebody_else_changed_the_record() -> None:
    store = InMemoryKeyValueStore()
    await store.put("a", b"0")

    await edit(
        store,
        "a",
        appends(b"3", meanwhile=[lambda: store.put("a", b"01"), lambda: store.put("a", b"012")]),
    )

    assert [entry.value for entry in await store.entries()] == [b"0123"]


async def test_an_edit_begins_again_when_somebody_else_created_the_record() -> None:
    store = InMemoryKeyValueStore()

    await edit(store, "a", appends(b"1", meanwhile=[lambda: store.put("a", b"0")]))

    assert [entry.value for entry in await store.entries()] == [b"01"]


async def test_an_edit_begins_again_when_somebody_else_erased_the_record() -> None:
    store = InMemoryKeyValueStore()
    await store.put("a", b"0")

    await edit(store, "a", appends(b"1", meanwhile=[lambda: store.erase("a")]))

    assert [entry.value for entry in await store.entries()] == [b"1"]


async def test_an_edit_that_changes_nothing_writes_nothing() -> None:
    store = InMemoryKeyValueStore()
    revision = await store.put("a", b"0")

    async def same(value: bytes | None) -> bytes | None:
        return value

    await edit(store, "a", same)

    (entry,) = await store.entries()
    assert entry.revision == revision
