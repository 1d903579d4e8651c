"""Records in memory: for how long they are there."""

from __future__ import annotations

import pytest

from homeward.servicekit import roll
from homeward.servicekit.keyvalue import Entry, InMemoryKeyValueStore
from homeward.servicekit.roll import Roll


def key_of(entry: Entry) -> str:
    return entry.key


async def test_records_that_nobody_asks_for_go_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll, "KEPT_SECONDS", 0.0)
    store = InMemoryKeyValueStore()
    await store.put("a", b"")
    records = Roll(store, key_of)

    assert await records.held() == {"a": "a"}
    assert records._ending is not None
    records._ending._run()

    assert records._held == {}
    assert await records.held() == {"a": "a"}


async def test_what_was_never_read_is_not_read_to_be_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = InMemoryKeyValueStore()
    await store.put("a", b"")
    monkeypatch.delattr(InMemoryKeyValueStore, "entries")

    await Roll(store, key_of).forget_erased()
