"""Secret seeds: commitments that bind, and files that only their owner may read."""

from __future__ import annotations

import hashlib
import stat

import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.submission.ledger import read_ledger, trusted
from flowgauge.leaderboards.submission.seed_commitment import (
    Secret,
    commit,
    new_secret,
    opened,
    read_secret,
    reveal,
    revealed,
    write_secret,
)

SEED = Secret(20_260_101, "0f" * 16)


def test_a_commitment_binds(tmp_path):
    board = str(tmp_path / "board")
    event = commit(board, SEED, "a maintainer", "for the spring round")
    assert event.commitment == SEED.commitment == hashlib.sha256(SEED.text.encode()).hexdigest()
    assert str(SEED.seed) not in (tmp_path / "board" / "ledger.jsonl").read_text()
    assert opened(board, SEED) == event
    for other in (Secret(SEED.seed + 1, SEED.salt), Secret(SEED.seed, "00" * 16)):
        with pytest.raises(UsageError, match="opens none of the 1 commitments"):
            opened(board, other)
        with pytest.raises(UsageError, match="opens none of the 1 commitments"):
            reveal(board, other)
    with pytest.raises(UsageError, match="committed to this seed already"):
        commit(board, SEED)
    assert revealed(board, SEED) == ""
    reveal(board, SEED)
    assert revealed(board, SEED) == read_ledger(Store(board))[-1].when
    assert read_secret(read_ledger(Store(board))[-1].secret) == SEED
    assert trusted(read_ledger(Store(board))) == {}
    with pytest.raises(UsageError, match="revealed this seed already"):
        reveal(board, SEED)


def test_secrets_are_drawn_and_kept(tmp_path):
    one, other = new_secret(), new_secret()
    assert one != other and one.seed < 2**48 and len(one.salt) == 32
    write_secret(tmp_path / "secret", one)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert read_secret(str(tmp_path / "secret")) == read_secret(one.text) == one
    with pytest.raises(UsageError, match="choose a new file"):
        write_secret(tmp_path / "secret", other)
    for text in ("7", "flowgauge-seed-1:7", "flowgauge-seed-1:-7:" + "0" * 32, str(tmp_path)):
        with pytest.raises(UsageError, match="neither a secret seed nor a file with one"):
            read_secret(text)
