"""Tasks on a Ray cluster and a bucket as the store: a node and the driver may die, and the rows are those of one process."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tests.benchmark.conftest import PLUGINS

from flowgauge.benchmark.engine.run import run
from flowgauge.core.errors import UsageError

PAUSE, BUCKET = 0.4, "results"


@pytest.fixture(scope="module")
def bucket(s3_server) -> Iterator[Any]:
    """A client of a server with a bucket; processes that are started while it is there find it by their environment."""
    environment, client = s3_server
    client.create_bucket(Bucket=BUCKET)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield client


@pytest.fixture(scope="module")
def cluster(bucket) -> Iterator[Any]:
    """A cluster of three nodes of one processor each, beside its head, on this machine."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'flowgauge[ray]'.")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(3):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def test_a_node_and_the_driver_die_and_nothing_is_lost(bucket, cluster, make_plan, rows_of, tmp_path: Path) -> None:
    log = tmp_path / "log"
    method = {"name": f"{PLUGINS}:counted", "log": str(log), "pause": PAUSE}
    plan = make_plan(methods=[method, f"{PLUGINS}:drawn"], batch_size=1)
    alone = rows_of(run(plan))
    once = explained(log)
    log.unlink()
    document = {"tasks": ["sva/obj"], "methods": [method, f"{PLUGINS}:drawn"], "metrics": [f"{PLUGINS}:token-sum"]}
    document |= {name: getattr(plan, name) for name in ("model", "limit", "batch_size", "device")}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({**document, "store": f"s3://{BUCKET}/run"}))

    driver = _start(tmp_path / "plan.yaml", cluster.address)
    before = _wait_for(lambda: len(_stored(bucket, ".safetensors")), 3)
    worker = int(log.read_text().split()[0])
    (node,) = [node for node in cluster.worker_nodes if _raylet(node) == _parent(worker)]
    cluster.remove_node(node, allow_graceful=False)
    _wait_for(lambda: len(_stored(bucket, ".safetensors")), before + 3)
    assert driver.poll() is None, "the driver goes on without the node"
    driver.send_signal(signal.SIGKILL)
    driver.wait(20)

    resumed = _start(tmp_path / "plan.yaml", cluster.address)
    assert resumed.wait(180) == 0
    stored = {
        "/".join(name.split("/")[-5:]): pd.read_parquet(io.BytesIO(bucket.get_object(Bucket=BUCKET, Key=name)["Body"].read()))
        for name in _stored(bucket, ".parquet")
    }
    assert len(stored) == len(alone) == 2
    for cell, rows in alone.items():
        _, folder, metric = cell.rsplit("/", 2)
        (name,) = [name for name in stored if name.endswith(f"{folder}/scores/{metric}.parquet")]
        expected = rows.drop(columns="cluster") if "cluster" not in stored[name] else rows
        pd.testing.assert_frame_equal(stored[name], expected, check_dtype=False, check_exact=True)
    again = explained(log) - once
    assert explained(log).keys() == once.keys() and len(again) <= 3, "at most what the three dead workers were at is done again"
    assert not _stored(bucket, "claims/")


def test_a_cluster_without_gpus_says_so(cluster, make_plan) -> None:
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    try:
        with pytest.raises(UsageError, match="has none: leave --devices out"):
            run(make_plan(), executor="ray", devices=["cuda"])
    finally:
        ray.shutdown()


def test_without_ray_the_command_that_installs_it_is_named(make_plan, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'flowgauge\[ray\]'"):
        run(make_plan(), executor="ray")


def explained(log: Path) -> Counter[str]:
    """How often each instance was explained."""
    return Counter(line.split()[1] for line in log.read_text().splitlines())


def _start(plan: Path, address: str) -> subprocess.Popen[bytes]:
    command = "from flowgauge.cli import main; main()"
    options = ("run", str(plan), "-q", "--executor", "ray", "--workers", "2")
    return subprocess.Popen([sys.executable, "-c", command, *options], env={**os.environ, "RAY_ADDRESS": address})


def _stored(bucket: Any, part: str) -> list[str]:
    return [one["Key"] for one in bucket.list_objects_v2(Bucket=BUCKET).get("Contents", []) if part in one["Key"]]


def _wait_for(count: Callable[[], int], least: int, seconds: float = 120.0) -> int:
    ends = time.monotonic() + seconds
    while (there := count()) < least:
        assert time.monotonic() < ends, f"{there} after {seconds} s, and not {least}"
        time.sleep(0.1)
    return there


def _raylet(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
