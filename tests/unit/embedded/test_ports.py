from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeward.embedded.errors import StackError
from homeward.embedded.ports import HOST, NAMES, choose_ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


def test_each_part_gets_a_port_of_its_own(tmp_path: Path) -> None:
    ports = choose_ports(tmp_path, base=None, given={})

    assert set(ports) == set(NAMES)
    assert len(set(ports.values())) == len(NAMES)


def test_ports_stay_the_same_after_a_restart(tmp_path: Path) -> None:
    assert choose_ports(tmp_path, base=None, given={}) == choose_ports(
        tmp_path, base=None, given={}
    )


def test_a_remembered_port_that_is_in_use_is_replaced(tmp_path: Path) -> None:
    before = choose_ports(tmp_path, base=None, given={})

    with socket.create_server((HOST, before["matching"])):
        after = choose_ports(tmp_path, base=None, given={})

    assert after["matching"] != before["matching"]
    assert after["ingestion"] == before["ingestion"]


def test_a_damaged_memory_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("[")

    assert set(choose_ports(tmp_path, base=None, given={})) == set(NAMES)


def test_a_base_gives_consecutive_ports_with_the_services_first(tmp_path: Path) -> None:
    ports = choose_ports(tmp_path, base=18_200, given={})

    assert list(ports.values()) == list(range(18_200, 18_200 + len(NAMES)))
    assert ports["ingestion"] == 18_200


def test_a_port_given_by_name_wins_over_the_base(tmp_path: Path) -> None:
    ports = choose_ports(tmp_path, base=18_300, given={"ingestion": 18_390})

    assert (ports["ingestion"], ports["matching"]) == (18_390, 18_301)


def test_a_port_asked_for_that_is_in_use_is_refused(tmp_path: Path, taken: int) -> None:
    with pytest.raises(StackError, match=f"port {taken}, asked for matching, is in use"):
        choose_ports(tmp_path, base=None, given={"matching": taken})


def test_a_port_asked_for_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="is asked for ingestion and for matching"):
        choose_ports(tmp_path, base=None, given={"ingestion": 18_400, "matching": 18_400})
