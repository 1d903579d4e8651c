"""`ObjectStore` and `FootageStore`: the fake and S3, held to the same rules."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import minio.time
import pytest
import urllib3
from minio.commonconfig import ENABLED
from minio.error import S3Error
from minio.helpers import md5sum_hash
from minio.replicationconfig import ReplicationConfig
from minio.versioningconfig import SUSPENDED, VersioningConfig

from homeward.ingestion.adapters.s3_footage import S3FootageStore
from homeward.ingestion.footage.ports import Part
from homeward.servicekit import s3
from homeward.servicekit.errors import NotFoundError, Reason, UnavailableError
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.lifecycle import BACKSTOP, Lifecycle, LifecycleSpan
from homeward.servicekit.objects import InMemoryObjectStore, Level, ObjectStore

LEAST_PART = 5 * 1024 * 1024
NOTHING_LISTENS = "http://127.0.0.1:9"
SOON = timedelta(minutes=5)
S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
ACCOUNTS = {"weed": "weed_account", "minio": "minio_account", "ceph": "ceph_account"}


@asynccontextmanager
async def bucket_with_rules(account: Any) -> AsyncIterator[S3FootageStore]:
    """A bucket of its own, whose rules go with the test.

    Ceph takes 0.2 s for each rule, and in these tests no more than a "day" of 3 s for all of them.
    """
    async with bucket_of(account, f"test-{uuid.uuid4().hex}") as store:
        yield store
        store.client.delete_bucket_lifecycle(store.bucket)


@asynccontextmanager
async def bucket_of(account: Any, bucket: str) -> AsyncIterator[S3FootageStore]:
    client = s3.connect(
        account.endpoint,
        access_key=account.access_key,
        secret_key=account.secret_key,
        connections=2,
    )
    async with BoundedExecutor("s3", workers=2, queue=8) as threads:
        with closing(S3FootageStore(client, bucket, threads, account.endpoint)) as store:
            yield store
    client._http.clear()


def uploads(store: S3FootageStore, key: str) -> list[str]:
    """Return the ids of the uploads to a key that the server lists."""
    found = store.client._list_multipart_uploads(store.bucket, prefix=key)
    return [upload.upload_id for upload in found.uploads]


async def gone(store: ObjectStore, key: str) -> None:
    """Return once an object is not there any more; that takes a lifecycle day and its lag."""
    async with asyncio.timeout(60):
        while await store.stat(key) is not None:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def bucket() -> str:
    return f"test-{uuid.uuid4().hex}"  # one for the module: SeaweedFS takes its time to make one


@pytest.fixture
def folder() -> str:
    return uuid.uuid4().hex


@pytest.fixture(scope="session")
def s3_account(request: pytest.FixtureRequest, s3_server: str) -> Any:
    return request.getfixturevalue(ACCOUNTS[s3_server])


@pytest.fixture(scope="session")
def lifecycle_server(request: pytest.FixtureRequest, s3_server_with_lifecycle: str) -> Any:
    """An account of a server that executes lifecycle rules by itself."""
    return request.getfixturevalue(ACCOUNTS[s3_server_with_lifecycle])


@pytest.fixture(scope="session")
def size_server(request: pytest.FixtureRequest, s3_server_with_sizes: str) -> Any:
    """An account of a server whose lifecycle rules know the size of objects: not Ceph 16.2, which
    takes such a rule as one for all objects."""
    return request.getfixturevalue(ACCOUNTS[s3_server_with_sizes])


@pytest.fixture
async def footage(s3_account: Any, bucket: str) -> AsyncIterator[S3FootageStore]:
    async with bucket_of(s3_account, bucket) as store:
        await store.ensure()
        yield store


@pytest.fixture
async def store(
    request: pytest.FixtureRequest, memory_or_s3_server: str, bucket: str
) -> AsyncIterator[ObjectStore]:
    if memory_or_s3_server == "memory":
        yield InMemoryObjectStore()
        return
    account = request.getfixturevalue(ACCOUNTS[memory_or_s3_server])
    async with bucket_of(account, bucket) as store:
        await store.ensure()
        yield store


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False) as pool:
        yield pool


async def test_an_object_reads_as_it_was_written(store: ObjectStore, folder: str) -> None:
    await store.put(f"{folder}/a", b"\x00 one", content_type="image/jpeg")

    assert await store.get(f"{folder}/a") == b"\x00 one"


async def test_an_object_may_be_empty(store: ObjectStore, folder: str) -> None:
    await store.put(f"{folder}/a", b"", content_type="image/jpeg")

    assert await store.get(f"{folder}/a") == b""


async def test_what_was_never_written_is_none(store: ObjectStore, folder: str) -> None:
    assert await store.get(f"{folder}/a") is None
    assert await store.stat(f"{folder}/a") is None


async def test_put_overwrites_whatever_is_there(store: ObjectStore, folder: str) -> None:
    await store.put(f"{folder}/a", b"one", content_type="image/jpeg")

    await store.put(f"{folder}/a", b"twice", content_type="image/jpeg")

    assert await store.get(f"{folder}/a") == b"twice"


async def test_stat_tells_size_and_time(store: ObjectStore, folder: str) -> None:
    await store.put(f"{folder}/a", b"12345", content_type="image/jpeg")

    info = await store.stat(f"{folder}/a")

    assert info is not None
    assert (info.key, info.size) == (f"{folder}/a", 5)
    assert abs(info.modified - datetime.now(UTC)) < SOON


async def test_a_level_is_told_without_what_is_below_it(store: ObjectStore, folder: str) -> None:
    for key in ("a/1", "a/2/3", "a-b/1", "c", "b"):
        await store.put(f"{folder}/{key}", b"", content_type="image/jpeg")

    top, inner = await store.level(f"{folder}/"), await store.level(f"{folder}/a/")

    assert top.folders == (f"{folder}/a-b/", f"{folder}/a/")
    assert [one.key for one in top.objects] == [f"{folder}/b", f"{folder}/c"]
    assert inner.folders == (f"{folder}/a/2/",)
    assert [one.key for one in inner.objects] == [f"{folder}/a/1"]
    assert await store.level(f"{folder}/nothing/") == Level((), ())


async def test_more_folders_than_the_server_tells_at_once_are_told(
    store: ObjectStore, folder: str
) -> None:
    keys = [f"{folder}/{number:04d}/x" for number in range(1001)]
    for first in range(0, len(keys), 8):
        chunk = keys[first : first + 8]
        await asyncio.gather(*(store.put(key, b"", content_type="a/b") for key in chunk))

    assert (await store.level(f"{folder}/")).folders == tuple(key[:-1] for key in keys)


async def test_a_list_goes_on_after_a_key(store: ObjectStore, folder: str) -> None:
    for key in ("1", "2", "3", "4"):
        await store.put(f"{folder}/{key}", b"", content_type="image/jpeg")

    first = await store.objects_after(f"{folder}/", "", 2)
    rest = await store.objects_after(f"{folder}/", first[-1].key, 9)

    assert [one.key for one in first] == [f"{folder}/1", f"{folder}/2"]
    assert [one.key for one in rest] == [f"{folder}/3", f"{folder}/4"]


async def test_a_deleted_object_is_gone(store: ObjectStore, folder: str) -> None:
    await store.put(f"{folder}/a", b"one", content_type="image/jpeg")

    await store.delete(f"{folder}/a")

    assert await store.get(f"{folder}/a") is None
    assert await store.objects(f"{folder}/") == []


async def test_deleting_what_is_not_there_changes_nothing(store: ObjectStore, folder: str) -> None:
    await store.delete(f"{folder}/a")

    assert await store.get(f"{folder}/a") is None


async def test_objects_are_those_under_the_prefix_in_the_order_of_their_keys(
    store: ObjectStore, folder: str
) -> None:
    await store.put(f"{folder}/b", b"22", content_type="image/jpeg")
    await store.put(f"{folder}/a/x", b"1", content_type="image/jpeg")
    await store.put(f"{folder}-other/c", b"3", content_type="image/jpeg")

    found = await store.objects(f"{folder}/")

    assert [(info.key, info.size) for info in found] == [(f"{folder}/a/x", 1), (f"{folder}/b", 2)]


async def test_s3_makes_its_bucket_once(footage: S3FootageStore) -> None:
    await footage.ensure()
    await footage.ping()


async def test_s3_without_its_bucket_is_unavailable(s3_account: Any) -> None:
    async with bucket_of(s3_account, "not-made") as store:
        with pytest.raises(UnavailableError) as refused:
            await store.ping()

    assert refused.value.reason is Reason.COMPONENT_UNAVAILABLE


async def test_s3_that_does_not_answer_is_unavailable(s3_account: Any, bucket: str) -> None:
    account = type(s3_account)(NOTHING_LISTENS, s3_account.access_key, s3_account.secret_key)
    async with bucket_of(account, bucket) as store:
        with pytest.raises(UnavailableError) as refused:
            await store.get("a")

    assert refused.value.metadata == {"component": "S3", "address": NOTHING_LISTENS}


async def test_s3_that_refuses_the_account_is_unavailable(s3_account: Any, bucket: str) -> None:
    account = type(s3_account)(s3_account.endpoint, s3_account.access_key, "a-wrong-secret")
    async with bucket_of(account, bucket) as store:
        with pytest.raises(UnavailableError) as refused:
            await store.get("a")

    assert "SignatureDoesNotMatch" in refused.value.message
    assert "a-wrong-secret" not in refused.value.message


async def test_s3_whose_clock_is_another_says_so(
    footage: S3FootageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = datetime.now(UTC) - timedelta(hours=1)
    monkeypatch.setattr(minio.time, "utcnow", lambda: ours)
    with pytest.raises(UnavailableError) as refused:
        await footage.get("a")

    assert "more than 15 minutes apart" in refused.value.message


async def test_a_new_bucket_is_written_to_once_and_is_empty(
    s3_account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SeaweedFS finds room for a bucket when it is first written to, and nobody waits for that."""
    async with bucket_of(s3_account, f"test-{uuid.uuid4().hex}") as store:
        put, written = store.client.put_object, list[str]()

        def noted(bucket: str, *args: Any) -> Any:
            written.append(bucket)
            return put(bucket, *args)

        monkeypatch.setattr(store.client, "put_object", noted)
        await store.ensure()
        await store.ensure()

        assert written == [store.bucket]
        assert await store.objects("") == []


async def test_s3_that_is_overloaded_is_not_said_to_be_down(s3_account: Any, bucket: str) -> None:
    class Overloaded(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Overloaded)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(server.serve_forever)
        url = f"http://127.0.0.1:{server.server_port}"
        account = type(s3_account)(url, s3_account.access_key, s3_account.secret_key)
        async with bucket_of(account, bucket) as store:
            with pytest.raises(UnavailableError, match="overloaded: see its log"):
                await store.get("a")
        server.shutdown()
    server.server_close()


async def test_s3_tells_the_days_of_its_lifecycle(s3_account: Any) -> None:
    async with bucket_of(s3_account, f"test-{uuid.uuid4().hex}") as store:
        await store.ensure(expire_prefix="pending/", expire_days=28)

        assert await store.lifecycle("pending/") == LifecycleSpan("pending/", 28, 28)
        assert await store.lifecycle("confirmed/") == LifecycleSpan("confirmed/", 0, 0)


async def test_s3_as_homeward_sets_it_up_deviates_in_nothing(s3_account: Any) -> None:
    async with bucket_of(s3_account, f"test-{uuid.uuid4().hex}") as store:
        await store.ensure(expire_days=29)
        await store.ensure(expire_days=29)  # as at the next start

        assert await store.deviations() == []


async def test_a_bucket_that_somebody_versioned_is_told(s3_account: Any) -> None:
    async with bucket_of(s3_account, f"test-{uuid.uuid4().hex}") as store:
        await store.ensure(expire_days=29)
        store.client.set_bucket_versioning(store.bucket, VersioningConfig(ENABLED))
        (on,) = await store.deviations()
        await store.put("a", b"1", content_type="text/plain")
        await store.put("a", b"2", content_type="text/plain")
        store.client.set_bucket_versioning(store.bucket, VersioningConfig(SUSPENDED))
        (suspended,) = await store.deviations()

        assert "versioning is on" in on
        assert "versions that were made while it was on are still there" in suspended


async def test_a_bucket_with_object_lock_is_told(s3_account: Any) -> None:
    async with bucket_of(s3_account, f"test-{uuid.uuid4().hex}") as store:
        store.client.make_bucket(store.bucket, object_lock=True)
        await store.ensure(expire_days=29)

        told = " ".join(await store.deviations())

        assert "object lock is on" in told


async def test_a_replication_without_rules_is_no_deviation(
    footage: S3FootageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As Ceph answers of a bucket that is not replicated.
    monkeypatch.setattr(
        footage.client, "get_bucket_replication", lambda _: ReplicationConfig("", [])
    )

    assert await footage.deviations() == []


def set_rules(store: S3FootageStore, *rules: str) -> None:
    """Set a bucket's rules as somebody does whose client knows more of S3 than our SDK."""
    body = (
        f'<LifecycleConfiguration xmlns="{S3_NAMESPACE}">{"".join(rules)}</LifecycleConfiguration>'
    )
    store.client._execute(
        "PUT",
        store.bucket,
        body=body.encode(),
        headers={"Content-MD5": md5sum_hash(body.encode())},
        query_params={"lifecycle": ""},
    )


def a_rule(
    name: str,
    where: str = "<Prefix></Prefix>",
    action: str = "<Expiration><Days>29</Days></Expiration>",
) -> str:
    return f"<Rule><ID>{name}</ID><Filter>{where}</Filter><Status>Enabled</Status>{action}</Rule>"


async def test_a_rule_of_homewards_that_somebody_edited_is_told_and_set_right_at_the_next_start(
    s3_account: Any,
) -> None:
    async with bucket_with_rules(s3_account) as store:
        await store.ensure(expire_days=28)
        set_rules(store, a_rule(BACKSTOP, action="<Expiration><Days>60</Days></Expiration>"))
        (told,) = await store.deviations()
        sixty = await store.lifecycle("footage/")
        await store.ensure(expire_days=28)

        assert "no lifecycle rule removes all its objects after 28 days or fewer" in told
        assert sixty == LifecycleSpan("footage/", 60, 60)
        assert await store.deviations() == []
        assert await store.lifecycle("footage/") == LifecycleSpan("footage/", 28, 28)


async def test_the_rule_of_the_version_before_is_replaced(s3_account: Any) -> None:
    async with bucket_with_rules(s3_account) as store:
        await store.ensure(expire_days=29)
        await store.ensure(expire_days=28, dated=True)

        assert await store.lifecycle("footage/") == LifecycleSpan("footage/", 28, 28)
        assert await store.deviations() == []


async def test_a_rule_that_somebody_set_is_left_and_ours_stands_beside_it(s3_account: Any) -> None:
    async with bucket_with_rules(s3_account) as store:
        await store.ensure()
        theirs = a_rule(
            "theirs", "<Prefix>tmp/</Prefix>", "<Expiration><Days>3</Days></Expiration>"
        )
        set_rules(store, theirs, a_rule("slow", action="<Expiration><Days>60</Days></Expiration>"))
        await store.ensure(expire_days=28, dated=True)
        await store.keep_rules()

        assert await store.deviations() == []
        assert await store.lifecycle("tmp/") == LifecycleSpan("tmp/", 3, 3)
        assert await store.lifecycle("footage/") == LifecycleSpan("footage/", 28, 28)
        assert await store.lifecycle("") == LifecycleSpan("", 3, 28)


async def test_a_rule_that_removes_earlier_is_no_deviation(s3_account: Any) -> None:
    async with bucket_with_rules(s3_account) as store:
        await store.ensure()
        set_rules(store, a_rule("early", action="<Expiration><Days>7</Days></Expiration>"))
        await store.ensure(expire_prefix="pending/", expire_days=28)

        assert await store.deviations() == []
        assert await store.lifecycle("pending/") == LifecycleSpan("pending/", 7, 7)


TAGGED = "<Tag><Key>a</Key><Value>b</Value></Tag>"


@pytest.mark.parametrize(
    "where",
    [TAGGED, f"<And><Prefix>footage/</Prefix>{TAGGED}</And>"],
    ids=["tag", "prefix and tag"],
)
async def test_a_rule_for_objects_with_a_tag_covers_not_everything(
    s3_account: Any, where: str
) -> None:
    async with bucket_with_rules(s3_account) as store:
        await store.ensure(expire_days=28)
        set_rules(store, a_rule("tagged", where, "<Expiration><Days>7</Days></Expiration>"))

        (told,) = await store.deviations()

        assert "no lifecycle rule removes all its objects after 28 days" in told
        assert await store.lifecycle("footage/") == LifecycleSpan("footage/", 7, 0)


async def test_a_rule_for_large_objects_alone_covers_not_everything_and_stops_nothing(
    size_server: Any,
) -> None:
    async with bucket_with_rules(size_server) as store:
        await store.ensure()
        large = "<ObjectSizeGreaterThan>1000000</ObjectSizeGreaterThan>"
        set_rules(store, a_rule("large", large, "<Expiration><Days>7</Days></Expiration>"))
        before = await store.lifecycle("footage/")
        await store.ensure(expire_days=28)  # as when Homeward starts

        assert before == LifecycleSpan("footage/", 7, 0)
        assert await store.lifecycle("footage/") == LifecycleSpan("footage/", 7, 28)
        assert await store.deviations() == []


async def test_a_rule_that_moves_objects_elsewhere_is_told(ceph_account: Any) -> None:
    async with bucket_with_rules(ceph_account) as store:
        moves = "<Transition><Days>3</Days><StorageClass>GLACIER</StorageClass></Transition>"
        await store.ensure()
        set_rules(store, a_rule("tiering", action=moves))
        await store.ensure(expire_days=28)

        (told,) = await store.deviations()

        assert "lifecycle rule tiering moves objects to GLACIER" in told


async def test_what_goes_with_something_older_goes_when_that_does(lifecycle_server: Any) -> None:
    now = datetime.now(UTC)
    async with bucket_with_rules(lifecycle_server) as store:
        await store.ensure(expire_days=28, dated=True)
        await store.put("later", b"1", content_type="image/jpeg", until=now + timedelta(days=20))
        await store.put("by its age", b"1", content_type="image/jpeg")
        await store.put("due", b"1", content_type="image/jpeg", until=now - timedelta(days=1))

        await gone(store, "due")

        assert [info.key for info in await store.objects("")] == ["by its age", "later"]


async def test_an_object_that_is_written_anew_goes_by_what_it_is_written_with(
    lifecycle_server: Any,
) -> None:
    now = datetime.now(UTC)
    async with bucket_with_rules(lifecycle_server) as store:
        await store.ensure(expire_days=28)  # no rules for days yet, so that nothing goes meanwhile
        for key in ("kept", "due"):
            await store.put(key, b"1", content_type="image/jpeg", until=now - timedelta(days=1))
        await store.put("kept", b"2", content_type="image/jpeg")
        await store.ensure(expire_days=28, dated=True)

        await gone(store, "due")

        assert await store.get("kept") == b"2"


async def test_the_rules_for_days_go_on_with_the_days(s3_account: Any) -> None:
    async with bucket_with_rules(s3_account) as store:
        await store.ensure(expire_days=28, dated=True)
        before = store._lifecycle()
        later = datetime.now(UTC) + timedelta(days=10)
        body = before.with_ours("", 28, later, dated=True)

        assert before.with_ours("", 28, datetime.now(UTC), dated=True) is None
        assert before.missing_days(later) != []
        assert body is not None
        assert Lifecycle(body).missing_days(later) == []
        assert len(Lifecycle(body).rules) == len(before.rules)


async def test_ceph_executes_the_rule_on_what_is_under_its_prefix_alone(
    ceph_account: Any,
) -> None:
    async with bucket_of(ceph_account, f"test-{uuid.uuid4().hex}") as store:
        await store.ensure(expire_prefix="pending/", expire_days=1)
        await store.put("confirmed/a", b"1", content_type="image/jpeg")
        await store.put("pending/a", b"1", content_type="image/jpeg")

        await gone(store, "pending/a")

        assert [info.key for info in await store.objects("")] == ["confirmed/a"]


async def test_s3_without_a_lifecycle_keeps_for_ever(footage: S3FootageStore) -> None:
    await footage.ensure()

    assert await footage.lifecycle("footage/") == LifecycleSpan("footage/", 0, 0)


async def test_an_upload_lists_the_parts_that_are_stored(
    footage: S3FootageStore, folder: str
) -> None:
    upload = await footage.begin_multipart(f"{folder}/a")
    second = await footage.put_part(f"{folder}/a", upload, 2, b"2" * LEAST_PART)
    first = await footage.put_part(f"{folder}/a", upload, 1, b"1" * LEAST_PART)

    assert await footage.parts(f"{folder}/a", upload) == [first, second]
    assert (first.number, first.size) == (1, LEAST_PART)


async def test_an_upload_goes_on_where_another_client_left_it(
    footage: S3FootageStore, s3_account: Any, bucket: str, folder: str
) -> None:
    data = b"1" * LEAST_PART + b"the rest"
    upload = await footage.begin_multipart(f"{folder}/a")
    await footage.put_part(f"{folder}/a", upload, 1, data[:LEAST_PART])
    async with bucket_of(s3_account, bucket) as other:
        held = await other.parts(f"{folder}/a", upload)
        last = await other.put_part(f"{folder}/a", upload, 2, data[LEAST_PART:])
        await other.complete_multipart(f"{folder}/a", upload, [*held, last])

    assert await footage.get(f"{folder}/a") == data
    assert await footage.sha256(f"{folder}/a") == hashlib.sha256(data).hexdigest()


async def test_a_part_and_an_object_are_written_from_memory_that_is_not_copied(
    footage: S3FootageStore, folder: str
) -> None:
    data = memoryview(bytearray(b"-one-"))[1:-1]
    upload = await footage.begin_multipart(f"{folder}/a")
    part = await footage.put_part(f"{folder}/a", upload, 1, data)
    await footage.complete_multipart(f"{folder}/a", upload, [part])
    await footage.put_bytes(f"{folder}/b", data)

    assert part.size == len(b"one")
    assert await footage.get(f"{folder}/a") == b"one"
    assert await footage.get(f"{folder}/b") == b"one"


async def test_a_part_that_comes_again_replaces_its_own(
    footage: S3FootageStore, folder: str
) -> None:
    upload = await footage.begin_multipart(f"{folder}/a")
    await footage.put_part(f"{folder}/a", upload, 1, b"broken off")
    again = await footage.put_part(f"{folder}/a", upload, 1, b"whole")
    await footage.complete_multipart(f"{folder}/a", upload, [again])

    assert await footage.get(f"{folder}/a") == b"whole"


async def test_an_upload_is_no_object_until_it_is_completed(
    footage: S3FootageStore, folder: str
) -> None:
    upload = await footage.begin_multipart(f"{folder}/a")
    await footage.put_part(f"{folder}/a", upload, 1, b"one")

    assert await footage.stat(f"{folder}/a") is None
    assert await footage.objects(f"{folder}/") == []


async def test_an_aborted_upload_has_no_parts(footage: S3FootageStore, folder: str) -> None:
    upload = await footage.begin_multipart(f"{folder}/a")
    await footage.put_part(f"{folder}/a", upload, 1, b"one")

    await footage.abort_multipart(f"{folder}/a", upload)

    assert await footage.parts(f"{folder}/a", upload) == []


async def test_an_upload_is_listed_until_it_is_aborted(
    footage: S3FootageStore, folder: str
) -> None:
    upload = await footage.begin_multipart(f"{folder}/a")
    await footage.put_part(f"{folder}/a", upload, 1, b"one")
    before = uploads(footage, f"{folder}/a")

    await footage.abort_multipart(f"{folder}/a", upload)

    assert before == [upload]
    assert uploads(footage, f"{folder}/a") == []


async def test_an_unknown_upload_has_no_parts(footage: S3FootageStore, folder: str) -> None:
    assert await footage.parts(f"{folder}/a", uuid.uuid4().hex) == []


async def test_aborting_an_unknown_upload_changes_nothing(
    footage: S3FootageStore, folder: str
) -> None:
    await footage.abort_multipart(f"{folder}/a", uuid.uuid4().hex)

    assert await footage.stat(f"{folder}/a") is None


async def test_completing_an_unknown_upload_is_refused(
    footage: S3FootageStore, folder: str
) -> None:
    with pytest.raises(UnavailableError) as refused:
        await footage.complete_multipart(f"{folder}/a", uuid.uuid4().hex, [Part(1, "etag", 1)])

    assert isinstance(refused.value.__cause__, S3Error)


async def test_sha256_of_what_is_not_there_is_not_found(
    footage: S3FootageStore, folder: str
) -> None:
    with pytest.raises(NotFoundError) as refused:
        await footage.sha256(f"{folder}/a")

    assert refused.value.reason is Reason.UPLOAD_NOT_FOUND


async def test_a_url_takes_the_object(
    footage: S3FootageStore, folder: str, http: urllib3.PoolManager
) -> None:
    url = await footage.url_to_put(f"{folder}/a", SOON)

    answer = http.request("PUT", url, body=b"a recording")

    assert answer.status == 200
    assert await footage.get(f"{folder}/a") == b"a recording"


async def test_a_url_gives_the_object(
    footage: S3FootageStore, folder: str, http: urllib3.PoolManager
) -> None:
    await footage.put(f"{folder}/a", b"a recording", content_type="video/mp4")
    url = await footage.url_to_get(f"{folder}/a", SOON)

    answer = http.request("GET", url)

    assert (answer.status, answer.data) == (200, b"a recording")


async def test_a_url_gives_a_range_of_the_object(
    footage: S3FootageStore, folder: str, http: urllib3.PoolManager
) -> None:
    await footage.put(f"{folder}/a", b"a recording", content_type="video/mp4")
    url = await footage.url_to_get(f"{folder}/a", SOON)

    answer = http.request("GET", url, headers={"Range": "bytes=2-4"})

    assert (answer.status, answer.data) == (206, b"rec")


async def test_a_url_serves_its_own_object_alone(
    footage: S3FootageStore, folder: str, http: urllib3.PoolManager
) -> None:
    await footage.put(f"{folder}/a", b"a recording", content_type="video/mp4")
    await footage.put(f"{folder}/b", b"another", content_type="video/mp4")
    url = await footage.url_to_get(f"{folder}/a", SOON)

    answer = http.request("GET", url.replace(f"{folder}/a", f"{folder}/b"))

    assert answer.status == 403
    assert b"another" not in answer.data


async def test_a_url_to_get_does_not_put(
    footage: S3FootageStore, folder: str, http: urllib3.PoolManager
) -> None:
    url = await footage.url_to_get(f"{folder}/a", SOON)

    answer = http.request("PUT", url, body=b"something else")

    assert answer.status == 403
    assert await footage.stat(f"{folder}/a") is None


async def test_nobody_reads_without_a_url(
    footage: S3FootageStore, folder: str, http: urllib3.PoolManager
) -> None:
    await footage.put(f"{folder}/a", b"a recording", content_type="video/mp4")
    url = await footage.url_to_get(f"{folder}/a", SOON)

    answer = http.request("GET", url.partition("?")[0])

    assert answer.status == 403
