from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.model import footage_folder
from homeward.ingestion.usecases.footage import FootageLibrary
from homeward.ingestion.usecases.sweep import FootageSweeper, Swept
from homeward.inventory import ABANDONED_AFTER, FOOTAGE_LIMIT, SWEPT_AHEAD
from homeward.servicekit import errors
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

DUE = FOOTAGE_LIMIT - SWEPT_AHEAD
MOMENT = timedelta(microseconds=1)


async def stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def yes() -> bool:
    return True


@pytest.fixture
def sweeper(
    library: FootageLibrary,
    bucket: InMemoryFootageStore,
    uploads: InMemoryKeyValueStore,
    clock: Any,
) -> FootageSweeper:
    return FootageSweeper(
        library=library,
        store=bucket,
        uploads=uploads,
        clock=clock,
        limit=FOOTAGE_LIMIT,
        ahead=SWEPT_AHEAD,
    )


async def keys(bucket: InMemoryFootageStore) -> list[str]:
    return [one.key for one in await bucket.objects("")]


async def added(library: FootageLibrary, make: Any, content: bytes = b"recording") -> str:
    footage, _ = await library.upload(content.hex()[:20], make.header(content), 0, stream(content))
    return footage.footage_id


async def test_a_recording_stays_until_a_day_before_its_deadline_and_no_longer(
    sweeper: FootageSweeper, library: FootageLibrary, bucket: Any, make: Any, clock: Any
) -> None:
    name = await added(library, make)

    clock.advance(DUE - MOMENT)
    assert await sweeper.sweep(yes) == Swept()
    clock.advance(MOMENT)
    assert await sweeper.sweep(yes) == Swept(footage_ids=(name,))

    assert await keys(bucket) == []


async def test_sightings_go_with_their_recording(
    sweeper: FootageSweeper, library: FootageLibrary, matcher: Any, make: Any, clock: Any
) -> None:
    name = await added(library, make)
    clock.advance(DUE)

    await sweeper.sweep(yes)

    assert matcher.erased == [name]


async def test_a_clock_that_was_ahead_when_a_recording_came_prolongs_nothing(
    sweeper: FootageSweeper, library: FootageLibrary, bucket: Any, make: Any, clock: Any
) -> None:
    # The store's clock was right: it tells when the manifest was written.
    written, bucket._clock = clock.now(), type(clock)()
    clock.advance(timedelta(days=10))
    bucket._clock.advance(written - bucket._clock.now())
    name = await added(library, make)
    clock.advance(timedelta(days=-10) + DUE)

    assert await sweeper.sweep(yes) == Swept(footage_ids=(name,))


async def test_a_recording_that_cannot_be_removed_keeps_no_other(
    sweeper: FootageSweeper, library: FootageLibrary, bucket: Any, make: Any, clock: Any
) -> None:
    stuck, other = await added(library, make), await added(library, make, b"other")
    remove = bucket.delete

    async def refuses(key: str) -> None:
        if stuck in key:
            raise errors.unavailable("S3", "http://s3:1", "it answers 503")
        await remove(key)

    bucket.delete = refuses
    clock.advance(DUE)
    assert await sweeper.sweep(yes) == Swept(footage_ids=(other,), failed=(stuck,))
    bucket.delete = remove

    assert await sweeper.sweep(yes) == Swept(footage_ids=(stuck,))


@pytest.mark.parametrize("last", range(8))
async def test_a_removal_that_broke_off_anywhere_is_finished_by_the_next_sweep(
    sweeper: FootageSweeper,
    library: FootageLibrary,
    bucket: Any,
    make: Any,
    clock: Any,
    *,
    last: int,
) -> None:
    name = await added(library, make)
    await bucket.put(
        f"{footage_folder(name)}presence/v-0-1.json", b"{}", content_type="application/json"
    )
    clock.advance(DUE)
    left = last

    class Killed(BaseException):
        pass

    def dying(call: Any) -> Any:
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return await call(*args, **kwargs)

        return wrapped

    whole = bucket.delete, bucket.stat
    bucket.delete, bucket.stat = dying(bucket.delete), dying(bucket.stat)
    with pytest.raises(Killed):
        await sweeper.sweep(yes)
    bucket.delete, bucket.stat = whole
    clock.advance(ABANDONED_AFTER)

    await sweeper.sweep(yes)

    assert await keys(bucket) == []
    (erasure,) = (await library.report()).erasures
    assert erasure.erase_time is not None


async def test_an_upload_that_is_not_done_in_a_day_goes_with_its_bytes(
    *,
    sweeper: FootageSweeper,
    library: FootageLibrary,
    bucket: Any,
    uploads: Any,
    make: Any,
    clock: Any,
) -> None:
    header = make.header(b"recording")
    with pytest.raises(errors.InvalidArgumentError):
        await library.upload("up-1", header, 0, stream(b"reco"))
    await library.upload_url("up-2", make.header(b"another"))
    await bucket.put(
        f"{footage_folder(make.header(b'another').footage_id)}original", b"anot", content_type="x/y"
    )
    (multipart,) = bucket._uploads

    clock.advance(ABANDONED_AFTER - MOMENT)
    assert await sweeper.sweep(yes) == Swept()
    clock.advance(MOMENT)
    assert await sweeper.sweep(yes) == Swept(uploads=2)

    assert await uploads.entries() == []
    assert await keys(bucket) == []
    assert multipart not in bucket._uploads


async def test_what_somebody_else_put_into_the_bucket_goes_and_stops_nothing(
    *,
    sweeper: FootageSweeper,
    library: FootageLibrary,
    bucket: Any,
    matcher: Any,
    make: Any,
    clock: Any,
) -> None:
    await bucket.put("footage/a/junk.bin", b"?", content_type="x/y")
    name = await added(library, make)
    clock.advance(DUE)

    assert await sweeper.sweep(yes) == Swept(footage_ids=(name,), leftovers=1)

    assert await keys(bucket) == []
    assert matcher.erased == [name]


async def test_an_upload_that_cannot_be_removed_keeps_no_recording(
    sweeper: FootageSweeper, library: FootageLibrary, bucket: Any, make: Any, clock: Any
) -> None:
    name = await added(library, make)
    with pytest.raises(errors.InvalidArgumentError):
        await library.upload("up-1", make.header(b"another"), 0, stream(b"anot"))

    async def refuses(*_: str) -> None:
        raise errors.unavailable("S3", "http://s3:1", "it answers 503")

    bucket.abort_multipart = refuses
    clock.advance(DUE)

    assert await sweeper.sweep(yes) == Swept(footage_ids=(name,))


async def test_a_manifest_is_read_once(
    sweeper: FootageSweeper, library: FootageLibrary, bucket: Any, make: Any, clock: Any
) -> None:
    await added(library, make)
    clock.advance(ABANDONED_AFTER)
    read: list[str] = []
    get = bucket.get

    async def counting(key: str) -> Any:
        read.append(key)
        return await get(key)

    bucket.get = counting
    await sweeper.sweep(yes)
    await sweeper.sweep(yes)

    assert len(read) == 1


async def test_a_recording_whose_manifest_is_damaged_goes_by_its_age(
    sweeper: FootageSweeper, library: FootageLibrary, bucket: Any, make: Any, clock: Any
) -> None:
    name = await added(library, make)
    await bucket.put(f"{footage_folder(name)}manifest.json", b"{", content_type="x/y")

    clock.advance(DUE - MOMENT)
    assert await sweeper.sweep(yes) == Swept()
    clock.advance(MOMENT)
    assert await sweeper.sweep(yes) == Swept(leftovers=4)  # the pointer to it too

    assert await keys(bucket) == []


async def test_a_replica_that_lost_its_lease_stops(
    sweeper: FootageSweeper, library: FootageLibrary, make: Any, clock: Any
) -> None:
    await added(library, make)
    clock.advance(DUE)

    async def no() -> bool:
        return False

    assert await sweeper.sweep(no) == Swept()
