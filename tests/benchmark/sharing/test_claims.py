"""One process at a time has a share, and nobody waits for a process that is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flowgauge.benchmark.sharing.claims import Claims
from flowgauge.benchmark.store.atomic_files import Files
from flowgauge.benchmark.store.key import short_hash


@pytest.fixture(params=["folder", "memory"])
def files(request, tmp_path: Path) -> Files:
    """A store on disk, and one that is like a bucket."""
    return Files(str(tmp_path / "store") if request.param == "folder" else f"memory://{tmp_path.name}-{time.monotonic_ns()}")


def holds(claims: Claims, *shares: str) -> bool:
    with claims.held(shares) as is_held:
        return is_held


def test_a_share_is_one_process_s_until_it_lets_go(files: Files) -> None:
    one, other = Claims(files), Claims(files)
    with one.held(["a", "b"]) as is_held:
        assert is_held and not holds(other, "a") and not holds(other, "c", "b")
        assert holds(other, "c"), "a claim that could not be had whole is kept by nobody"
    assert holds(other, "a", "b")
    with pytest.raises(ZeroDivisionError), one.held(["a"]):
        raise ZeroDivisionError
    assert holds(other, "a"), "a share that failed is free"


def test_one_of_many_threads_has_a_share(files: Files) -> None:
    start, ended, held = threading.Barrier(8), threading.Barrier(8), list[bool]()

    def hold() -> None:
        start.wait()
        with Claims(files).held(["a"]) as is_held:
            held.append(is_held)
            ended.wait()

    threads = [threading.Thread(target=hold) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(held) == 1


def test_a_killed_process_keeps_nothing(tmp_path: Path) -> None:
    code = f"""
import os, signal
from flowgauge.benchmark.sharing.claims import Claims
from flowgauge.benchmark.store.atomic_files import Files
with Claims(Files({str(tmp_path)!r})).held(["a", "b"]):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ":".join(sys.path)}, check=False)
    files = Files(str(tmp_path))
    assert len(files.names(f"{tmp_path}/claims")) == 2
    claims = Claims(files)
    assert holds(claims, "a"), "at once, since the process was one of this machine"
    claims.close()
    assert not (tmp_path / "claims").exists(), "what it left of others is deleted too"


def test_a_silent_machine_loses_its_share_after_a_lease_and_one_that_beats_does_not(files: Files) -> None:
    path = f"{files.root}/claims/{short_hash('a')}"
    claims = Claims(files, lease=0.3)

    def beat(count: int) -> None:
        files.write(path, json.dumps({"machine": "elsewhere", "process": 1, "beat": count}).encode())

    for count in range(4):
        beat(count)
        assert not holds(claims, "a")
        time.sleep(0.15)
    assert not holds(claims, "a")
    time.sleep(0.35)
    assert holds(claims, "a")


def test_a_working_process_beats(files: Files) -> None:
    working, waiting = Claims(files, beat=0.05), Claims(files, lease=0.3)
    with working.held(["a"]):
        path = f"{files.root}/claims/{short_hash('a')}"
        first = files.read(path)
        for _ in range(5):
            assert not holds(waiting, "a")
            time.sleep(0.15)
        assert files.read(path) != first
    working.close()
    assert holds(waiting, "a"), "a beat does not bring back a claim that was let go"


def test_a_process_that_slept_for_longer_than_a_lease_takes_nothing_back(files: Files) -> None:
    sleeper, other = Claims(files, beat=100), Claims(files)
    path = f"{files.root}/claims/{short_hash('a')}"
    with sleeper.held(["a"]):
        files.remove(path)
        with other.held(["a"]) as is_held:
            assert is_held
            theirs = files.read(path)
            sleeper._release("a")
            assert files.read(path) == theirs and not holds(sleeper, "a")


def test_claims_meet_where_a_store_has_two_paths(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "store")
    one, other = (Files(str(tmp_path / name)) for name in ("store", "link"))
    with Claims(one).held([f"{one.root}/model/task/cell/00000"]):
        assert not holds(Claims(other), f"{other.root}/model/task/cell/00000")


def test_beats_go_on_after_a_store_was_away(tmp_path: Path, monkeypatch) -> None:
    files = Files(str(tmp_path))
    claims = Claims(files, beat=0.05)
    with claims.held(["a"]):
        first = files.read(f"{tmp_path}/claims/{short_hash('a')}")
        write = files.write
        monkeypatch.setattr(files, "write", lambda *_, **__: 1 / 0)
        time.sleep(0.2)
        monkeypatch.setattr(files, "write", write)
        time.sleep(0.2)
        assert files.read(f"{tmp_path}/claims/{short_hash('a')}") != first
    claims.close()


def test_half_a_claim_is_another_s(tmp_path: Path) -> None:
    path = tmp_path / "claims" / short_hash("a")
    path.parent.mkdir()
    path.write_bytes(b"")
    claims = Claims(Files(str(tmp_path)), lease=0.1)
    assert not holds(claims, "a")
    time.sleep(0.15)
    assert holds(claims, "a")
