from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from homeward.embedded.errors import StackError
from homeward.embedded.ports import HOST, NAMES, held_ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


def chosen(
    data: Path, *, base: int | None = None, given: Mapping[str, int] | None = None
) -> dict[str, int]:
    with held_ports(data, base=base, given=given or {}) as ports:
        return ports


def test_each_part_gets_a_port_of_its_own(tmp_path: Path) -> None:
    ports = chosen(tmp_path)

    assert set(ports) == set(NAMES)
    assert len(set(ports.values())) == len(NAMES)


def test_ports_stay_the_same_after_a_restart(tmp_path: Path) -> None:
    assert chosen(tmp_path) == chosen(tmp_path)


def test_a_stack_that_starts_beside_another_gets_none_of_its_ports(tmp_path: Path) -> None:
    # Of the other one nothing listens yet.
    (tmp_path / "copy").mkdir()
    with held_ports(tmp_path, base=None, given={}) as ports:
        shutil.copy(tmp_path / "ports.json", tmp_path / "copy" / "ports.json")

        assert not {*chosen(tmp_path / "copy").values()} & {*ports.values()}
        with pytest.raises(StackError, match=f"port {ports['nats']}, asked for nats, is in use"):
            chosen(tmp_path / "copy", given={"nats": ports["nats"]})

    assert chosen(tmp_path) == ports


def test_a_remembered_port_that_is_in_use_is_replaced(tmp_path: Path) -> None:
    before = chosen(tmp_path)

    with socket.create_server((HOST, before["matching"])):
        after = chosen(tmp_path)

    assert after["matching"] != before["matching"]
    assert after["ingestion"] == before["ingestion"]


def test_a_damaged_memory_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("[")

    assert set(chosen(tmp_path)) == set(NAMES)


def test_a_base_gives_consecutive_ports_with_the_services_first(tmp_path: Path) -> None:
    ports = chosen(tmp_path, base=18_200)

    assert list(ports.values()) == list(range(18_200, 18_200 + len(NAMES)))
    assert ports["ingestion"] == 18_200


def test_a_port_given_by_name_wins_over_the_base(tmp_path: Path) -> None:
    ports = chosen(tmp_path, base=18_300, given={"ingestion": 18_390})

    assert (ports["ingestion"], ports["matching"]) == (18_390, 18_301)


def test_a_port_asked_for_that_is_in_use_is_refused(tmp_path: Path, taken: int) -> None:
    with pytest.raises(StackError, match=f"port {taken}, asked for matching, is in use"):
        chosen(tmp_path, given={"matching": taken})


def test_a_port_asked_for_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="is asked for ingestion and for matching"):
        chosen(tmp_path, given={"ingestion": 18_400, "matching": 18_400})
