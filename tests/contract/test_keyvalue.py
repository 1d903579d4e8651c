"""`KeyValueStore`: the fake and NATS, held to the same rules."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import nats.js.errors
import psutil
import pytest
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, StreamConfig

from homeward.embedded.files import make_private_folder
from homeward.embedded.nats import nats_spec
from homeward.embedded.nats import nats_url as url_of_nats
from homeward.servicekit import nats as module
from homeward.servicekit.errors import Reason, UnavailableError
from homeward.servicekit.keyvalue import (
    ConflictError,
    Entry,
    InMemoryKeyValueStore,
    KeyValueStore,
    edit,
)
from homeward.servicekit.nats import Nats, connection
from homeward.servicekit.startup import eventually

PushSubscription = JetStreamContext.PushSubscription


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Nats]:
    async with connection(nats_url, "test") as bus:
        yield bus


@pytest.fixture
def bucket() -> str:
    return f"TEST-{uuid.uuid4().hex}"


@pytest.fixture(params=["memory", "nats"])
async def store(request: pytest.FixtureRequest, bucket: str) -> AsyncIterator[KeyValueStore]:
    opened = {"memory": _memory, "nats": _nats}[request.param]
    async with opened(request, bucket) as store:
        yield store


@asynccontextmanager
async def _memory(_: pytest.FixtureRequest, __: str) -> AsyncIterator[KeyValueStore]:
    yield InMemoryKeyValueStore()


@asynccontextmanager
async def _nats(request: pytest.FixtureRequest, bucket: str) -> AsyncIterator[KeyValueStore]:
    async with connection(request.getfixturevalue("nats_url"), "test") as bus:
        yield await bus.open_bucket(bucket, limit=None, replicas=1)


async def test_a_record_reads_as_it_was_written(store: KeyValueStore) -> None:
    revision = await store.create("a.b", b"\x00 one")

    assert await store.get("a.b") == Entry("a.b", b"\x00 one", revision)


async def test_what_was_never_written_reads_as_none(store: KeyValueStore) -> None:
    assert await store.get("a.b") is None


async def test_create_refuses_a_record_that_exists(store: KeyValueStore) -> None:
    await store.create("a", b"one")

    with pytest.raises(ConflictError):
        await store.create("a", b"two")


async def test_update_replaces_the_revision_that_it_was_made_from(store: KeyValueStore) -> None:
    first = await store.create("a", b"one")

    second = await store.update("a", b"two", revision=first)

    assert second > first
    assert await store.get("a") == Entry("a", b"two", second)


async def test_update_refuses_another_revision(store: KeyValueStore) -> None:
    first = await store.create("a", b"one")
    await store.put("a", b"two")

    with pytest.raises(ConflictError):
        await store.update("a", b"three", revision=first)


async def test_update_refuses_a_record_that_was_erased(store: KeyValueStore) -> None:
    first = await store.create("a", b"one")
    await store.erase("a")

    with pytest.raises(ConflictError):
        await store.update("a", b"two", revision=first)


async def test_put_overwrites_whatever_is_there(store: KeyValueStore) -> None:
    await store.put("a", b"one")

    revision = await store.put("a", b"two")

    assert await store.get("a") == Entry("a", b"two", revision)


async def test_erase_tells_whether_there_was_a_record(store: KeyValueStore) -> None:
    await store.put("a", b"one")

    assert await store.erase("a") is True
    assert await store.erase("a") is False


async def test_erase_refuses_another_revision_and_keeps_what_was_written(
    store: KeyValueStore,
) -> None:
    first = await store.create("a", b"one")
    second = await store.update("a", b"two", revision=first)

    with pytest.raises(ConflictError):
        await store.erase("a", revision=first)

    assert await store.get("a") == Entry("a", b"two", second)


async def test_erase_removes_a_record_that_has_its_revision(store: KeyValueStore) -> None:
    first = await store.create("a", b"one")

    assert await store.erase("a", revision=first) is True
    assert await store.erase("a", revision=first) is False
    assert await store.keys() == frozenset()


async def test_an_erased_record_is_gone(store: KeyValueStore) -> None:
    await store.put("a", b"one")

    await store.erase("a")

    assert await store.get("a") is None
    assert await store.entries() == []


async def test_an_erased_record_can_be_created_again(store: KeyValueStore) -> None:
    await store.put("a", b"one")
    await store.erase("a")

    revision = await store.create("a", b"two")

    assert await store.get("a") == Entry("a", b"two", revision)


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        (">", ["a.b.c", "a.x", "b.x"]),
        ("a.>", ["a.b.c", "a.x"]),
        ("*.x", ["a.x", "b.x"]),
        ("a.*", ["a.x"]),
        ("a.x", ["a.x"]),
        ("c.>", []),
    ],
)
async def test_entries_are_those_that_match_in_the_order_of_their_keys(
    store: KeyValueStore, pattern: str, keys: list[str]
) -> None:
    await store.put("b.x", b"3")
    await store.put("a.x", b"2")
    await store.put("a.b.c", b"1")

    assert [entry.key for entry in await store.entries(pattern)] == keys


async def test_entries_hold_the_last_value_alone(store: KeyValueStore) -> None:
    await store.put("a", b"one")
    revision = await store.put("a", b"two")

    assert await store.entries() == [Entry("a", b"two", revision)]


async def test_watch_gives_what_is_there_then_none_then_each_write(store: KeyValueStore) -> None:
    held = await store.put("a.x", b"one")
    async with aclosing(store.watch("a.*")) as changes:
        before = [await anext(changes), await anext(changes)]
        await store.put("b.x", b"not watched")
        changed = await store.put("a.y", b"two")
        after = await anext(changes)

    assert before == [Entry("a.x", b"one", held), None]
    assert after == Entry("a.y", b"two", changed)


async def test_watch_says_nothing_of_an_erasure(store: KeyValueStore) -> None:
    await store.put("a", b"one")
    async with aclosing(store.watch()) as changes:
        await anext(changes)
        await anext(changes)
        await store.erase("a")
        written = await store.put("b", b"two")
        following = await anext(changes)

    assert following == Entry("b", b"two", written)


async def test_edit_creates_changes_and_leaves_alone(store: KeyValueStore) -> None:
    async def append(value: bytes | None) -> bytes:
        return (value or b"") + b"."

    async def nothing(_: bytes | None) -> None:
        return None

    await edit(store, "a", append)
    await edit(store, "a", append)
    await edit(store, "a", nothing)

    (entry,) = await store.entries()
    assert entry.value == b".."


async def test_many_who_list_at_once_all_see_what_is_there(store: KeyValueStore) -> None:
    await store.create("a", b"one")

    lists = await asyncio.gather(*(store.entries() for _ in range(200)))

    assert {tuple(entry.key for entry in entries) for entries in lists} == {("a",)}


async def test_lists_leave_no_consumer_behind_in_nats(bus: Nats, bucket: str) -> None:
    store = await bus.open_bucket(bucket, limit=None, replicas=1)
    await store.create("a", b"one")

    await asyncio.gather(*(store.entries() for _ in range(50)))

    assert await bus.jetstream.consumers_info(f"KV_{bucket}") == []


async def test_a_list_does_not_wait_for_a_record_that_was_erased_before_it_was_sent(
    bus: Nats, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await bus.open_bucket(bucket, limit=None, replicas=1)
    asked = PushSubscription.consumer_info
    answers: list[ConsumerInfo] = []

    async def before_the_erasure(subscription: PushSubscription) -> ConsumerInfo:
        info = await asked(subscription)
        answers.append(info)
        return info.evolve(num_pending=1) if len(answers) == 1 else info

    monkeypatch.setattr(PushSubscription, "consumer_info", before_the_erasure)

    async with asyncio.timeout(10):
        assert await store.entries() == []
    assert len(answers) == 2


async def test_lists_end_while_records_are_erased(bus: Nats, bucket: str) -> None:
    store = await bus.open_bucket(bucket, limit=None, replicas=1)

    async def erase_all(number: int) -> None:
        for key in range(6):
            await store.erase(f"{number}.{key}")

    async def list_often(number: int) -> None:
        for _ in range(6):
            await store.entries(f"{number}.*")

    async def once(number: int) -> None:
        for key in range(6):
            await store.put(f"{number}.{key}", b"one")
        await asyncio.gather(erase_all(number), list_often(number))
        assert await store.entries(f"{number}.*") == []

    async with asyncio.timeout(30):
        for number in range(10):
            await once(number)


async def test_the_leader_is_read_though_the_bucket_lets_any_server_answer(
    bus: Nats, bucket: str
) -> None:
    await bus.jetstream.add_stream(
        StreamConfig(name=f"KV_{bucket}", subjects=[f"$KV.{bucket}.>"], allow_direct=True)
    )
    of_any = await bus.client.subscribe("$JS.API.DIRECT.GET.>")
    of_leader = await bus.client.subscribe(f"$JS.API.STREAM.MSG.GET.KV_{bucket}")
    store = await bus.open_bucket(bucket, limit=None, replicas=1)
    revision = await store.put("a", b"one")
    asked = of_leader.pending_msgs

    assert await store.get("a") == Entry("a", b"one", revision)
    await bus.client.flush()

    assert of_leader.pending_msgs > asked
    assert of_any.pending_msgs == 0


def lagging(store: Any, monkeypatch: pytest.MonkeyPatch, *ahead: int) -> None:
    """Have the leader know of messages that the server of a consumer lacks, in turn."""
    real, left = store._newest, list(ahead)

    async def newest(pattern: str) -> int:
        return int(await real(pattern)) + (left.pop(0) if left else 0)

    monkeypatch.setattr(store, "_newest", newest)


async def test_a_list_has_what_its_server_did_not_have_yet(
    bus: Nats, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await bus.open_bucket(bucket, limit=None, replicas=1)
    await store.put("a", b"one")
    lagging(store, monkeypatch, 1)

    async with aclosing(store.watch()) as records:
        first = await anext(records)
        await store.put("b", b"two")
        second, end = await anext(records), await anext(records)

    assert first is not None
    assert second is not None
    assert ([first.key, second.key], end) == (["a", "b"], None)


async def test_a_list_waits_for_nothing_that_was_erased_meanwhile(
    bus: Nats, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await bus.open_bucket(bucket, limit=None, replicas=1)
    await store.put("a", b"one")
    lagging(store, monkeypatch, 1)

    assert [entry.key for entry in await store.entries()] == ["a"]


async def test_nats_holds_no_message_of_an_erased_record(bus: Nats, bucket: str) -> None:
    store = await bus.open_bucket(bucket, limit=None, replicas=1)
    await store.put("a", b"an older name")
    revision = await store.put("a", b"a name")

    await store.erase("a")

    info = await bus.jetstream.stream_info(f"KV_{bucket}")
    assert info.state.messages == 0
    with pytest.raises(nats.js.errors.NotFoundError):
        await bus.jetstream.get_msg(f"KV_{bucket}", seq=revision)


@pytest.mark.parametrize("before", [[], ["b"]])
async def test_what_another_writer_has_removed_from_nats_meanwhile_is_gone(
    bus: Nats, bucket: str, before: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await bus.open_bucket(bucket, limit=None, replicas=1)
    for key in before:
        await store.put(key, b"one that stays")  # the server answers otherwise then
    revision = await store.put("a", b"a name")
    delete = bus.jetstream.delete_msg

    async def after_the_other(stream: str, number: int) -> bool:
        assert await delete(stream, number)
        return await delete(stream, number)

    monkeypatch.setattr(bus.jetstream, "delete_msg", after_the_other)

    assert await store.update("a", b"another name", revision=revision) > revision
    await store.erase("a")
    assert [entry.key for entry in await store.entries()] == before


def stored_bytes(folder: Path, bucket: str) -> bytes:
    streams = folder.rglob(f"KV_{bucket}")
    return b"".join(block.read_bytes() for stream in streams for block in stream.rglob("*.blk"))


async def test_nats_overwrites_the_bytes_of_an_erased_record(
    bus: Nats, bucket: str, nats_folder: Path
) -> None:
    store = await bus.open_bucket(bucket, limit=None, replicas=1)
    await store.put("a", b"a name to forget")
    await store.put("b", b"a name to keep")
    before = stored_bytes(nats_folder, bucket)

    await store.erase("a")

    after = stored_bytes(nats_folder, bucket)
    assert b"a name to forget" in before
    assert b"a name to forget" not in after
    assert b"a name to keep" in after


async def test_nats_overwrites_the_bytes_of_a_value_that_was_replaced(
    bus: Nats, bucket: str, nats_folder: Path
) -> None:
    store = await bus.open_bucket(bucket, limit=None, replicas=1)
    await store.put("a", b"an older name")
    await store.put("a", b"a newer name")
    await store.put("b", b"a name to keep")

    await store.erase("a")

    assert b"an older name" not in stored_bytes(nats_folder, bucket)


async def test_nats_keeps_records_for_their_time(bus: Nats, bucket: str) -> None:
    await bus.open_bucket(bucket, limit=timedelta(seconds=60), replicas=1)

    info = await bus.jetstream.stream_info(f"KV_{bucket}")

    assert info.config.max_age == 60


async def test_nats_opens_the_bucket_that_is_there(bus: Nats, bucket: str) -> None:
    first = await bus.open_bucket(bucket, limit=None, replicas=1)
    await first.put("a", b"one")

    second = await bus.open_bucket(bucket, limit=None, replicas=1)

    assert [entry.value for entry in await second.entries()] == [b"one"]


async def test_nats_that_does_not_answer_is_unavailable(nats_url: str, bucket: str) -> None:
    async with connection(nats_url, "test") as bus:
        store = await bus.open_bucket(bucket, limit=None, replicas=1)

    with pytest.raises(UnavailableError) as refused:
        await store.get("a")

    assert refused.value.reason is Reason.COMPONENT_UNAVAILABLE
    assert bus.away_since is not None
    assert refused.value.metadata == {
        "component": "NATS",
        "address": bus.server,
        "since_time": bus.away_since.isoformat(timespec="seconds"),
    }
    assert "a-token" not in refused.value.message


async def test_nats_answers_a_ping(bus: Nats) -> None:
    await bus.ping()


async def test_a_record_that_runs_out_while_it_is_written_again_is_no_failure(bus: Nats) -> None:
    store = await bus.open_bucket(
        f"TEST-{uuid.uuid4().hex}", limit=timedelta(seconds=0.2), replicas=1
    )

    async def write_again(key: str) -> None:
        written = 0
        while written < 2:
            with contextlib.suppress(ConflictError):
                await store.create(key, b"one")
                written += 1

    async with asyncio.timeout(30):
        await asyncio.gather(*(write_again(str(number)) for number in range(50)))


@pytest.fixture
def own_server(
    tmp_path: Path, ports: Mapping[str, int], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Any]]:
    """The URL of a NATS server of this test alone, and its process."""
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(module, "REQUEST_TIMEOUT_SECONDS", 1)
    make_private_folder(tmp_path / "secrets")
    spec = nats_spec(tmp_path, port=ports["nats"], token="a-token")
    with (tmp_path / "nats.log").open("w") as log:
        process = psutil.Popen(spec.command, env=dict(spec.environment), stdout=log, stderr=log)
    yield url_of_nats(port=ports["nats"], token="a-token"), process
    process.kill()
    process.wait()


@pytest.mark.parametrize("how", ["kill", "suspend"])
async def test_a_watch_ends_with_what_is_away_when_the_server_no_longer_answers(
    own_server: tuple[str, Any], how: str
) -> None:
    url, process = own_server
    async with connection(url, "test") as bus:
        store = await eventually(partial(bus.open_bucket, "TEST", limit=None, replicas=1))
        async with aclosing(store.watch()) as changes:
            assert await anext(changes) is None
            await store.put("a", b"1")
            assert (await anext(changes)) is not None

            getattr(process, how)()

            with pytest.raises(UnavailableError) as told:
                await anext(changes)

    assert told.value.metadata["component"] == "NATS"


async def test_a_watch_of_a_server_that_is_only_quiet_goes_on(
    own_server: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = own_server
    asked: list[bool] = []
    quiet = asyncio.Event()

    async def ping(_: Nats) -> None:
        asked.append(True)
        if len(asked) == 3:
            quiet.set()

    monkeypatch.setattr(Nats, "ping", ping)
    async with connection(url, "test") as bus:
        store = await eventually(partial(bus.open_bucket, "TEST", limit=None, replicas=1))
        async with aclosing(store.watch()) as changes:
            assert await anext(changes) is None
            coming = asyncio.ensure_future(anext(changes))
            await quiet.wait()
            await store.put("a", b"1")
            entry = await coming

    assert entry is not None
    assert entry.value == b"1"


async def test_what_was_written_since_a_revision_is_read_without_the_rest(
    store: KeyValueStore,
) -> None:
    await store.create("open.a", b"1")
    revision = await store.create("open.b", b"1")
    await store.put("open.a", b"2")
    await store.put("open.a", b"3")
    await store.create("closed.c", b"1")

    changed = await store.entries(since=revision)
    opened = await store.entries("open.*", since=revision)
    newest = await store.mark()

    assert [(one.key, one.value) for one in changed] == [("closed.c", b"1"), ("open.a", b"3")]
    assert [one.key for one in opened] == ["open.a"]
    assert await store.entries(since=newest.revision) == []


async def test_the_keys_are_those_of_the_records_that_are_there(store: KeyValueStore) -> None:
    await store.create("open.a", b"1")
    await store.create("open.b", b"1")
    await store.create("closed.a", b"1")
    await store.erase("open.b")

    assert await store.keys() == {"open.a", "closed.a"}
    assert await store.keys("open.*") == {"open.a"}
    assert await store.keys("other.*") == frozenset()


async def test_a_store_has_another_mark_after_every_change(store: KeyValueStore) -> None:
    marks = [await store.mark()]
    revision = await store.create("a", b"1")
    marks.append(await store.mark())
    await store.update("a", b"2", revision=revision)
    marks.append(await store.mark())
    await store.erase("a")
    marks.append(await store.mark())

    assert len(set(marks)) == len(marks)
    assert await store.mark() == marks[-1]


async def test_a_record_that_several_erase_at_a_time_is_gone(store: KeyValueStore) -> None:
    for number in range(20):
        await store.put(f"key.{number}", b"value")

    erased = await asyncio.gather(
        *(store.erase(f"key.{number}") for number in range(20) for _ in range(3))
    )

    assert sum(erased) >= 20
    assert await store.entries("key.*") == []
