"""Slots of 127.0.0.0/8: one an instance, given back, kept over restarts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from raysail.instance.addresses import API_PORT, claim, release
from raysail.instance.home import Home


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Home]:
    folder = Path("/tmp") / f"rt{abs(hash(tmp_path)) % 100000}"
    folder.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    found = [Home(tmp_path / name) for name in "ab"]
    for home in found:
        home.prepare()
    return found


def test_two_instances_get_different_addresses_and_keep_them(homes: list[Home]) -> None:
    first, second = claim(homes[0]), claim(homes[1])
    assert first.slot != second.slot
    assert claim(homes[0], first.slot) == first
    release(homes[0], first.slot)
    assert claim(homes[1], second.slot) == second


def test_the_slot_of_a_removed_instance_is_free_again(homes: list[Home]) -> None:
    slot = claim(homes[0]).slot
    (homes[0].path / "version").unlink()
    assert claim(homes[1], slot).slot == slot


def test_an_address_that_another_program_holds_is_passed_over(homes: list[Home]) -> None:
    slot = claim(homes[0]).slot
    release(homes[0], slot)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((f"127.{slot}.0.1", API_PORT))
        other.listen()
        assert claim(homes[0], slot).slot != slot
