"""Stores and sites elsewhere: `s3://` on moto's server, `hf://` on a fake of the Hub's HTTP API."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flowgauge.benchmark.store.listing import LISTING, write_listing

SITE = {"index.html": b"<p>hello", "data/all.json": b"{}", "assets/site.js": b"// \xc3\xa4"}
QUICK = (
    "--task",
    "sva/obj",
    "--limit",
    "4",
    "--method",
    "attention",
    "--metric",
    "retention_curve:steps=2",
    "--device",
    "cpu",
    "-q",
)


def flowgauge(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: where S3 and the Hub are is read from the environment at import."""
    code = "from flowgauge.cli import main; main()"
    env = (
        os.environ
        | {"PYTHONPATH": ":".join(filter(None, sys.path)), "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "0"}
        | environment
    )
    return subprocess.run([sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for name, data in SITE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    write_listing(folder)
    return folder


def files_of(site: Path) -> dict[str, bytes]:
    return {**SITE, LISTING: (site / LISTING).read_bytes()}


@pytest.fixture(scope="module")
def s3(s3_server) -> tuple[dict[str, str], object]:
    """What the environment says of a server with a bucket `board`, and a client."""
    environment, client = s3_server
    client.create_bucket(Bucket="board")
    return environment, client


def objects(client, prefix: str) -> dict[str, bytes]:
    found = client.list_objects_v2(Bucket="board", Prefix=f"{prefix}/").get("Contents", [])
    return {
        one["Key"].removeprefix(f"{prefix}/"): client.get_object(Bucket="board", Key=one["Key"])["Body"].read() for one in found
    }


def test_a_site_is_published_to_s3(s3, site: Path) -> None:
    environment, client = s3
    done = flowgauge("leaderboard", "publish", str(site), "s3://board/site", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4 files at s3://board/site\n" and objects(client, "site") == files_of(site)


def test_a_store_on_s3_is_filled_resumed_and_read(s3, agreement_model, tmp_path: Path) -> None:
    environment, client = s3
    first = flowgauge("run", *QUICK, "--store", "s3://board/store", **environment)
    assert first.returncode == 0, first.stderr
    there = objects(client, "store")
    assert {name.rpartition("/")[2] for name in there} == {
        "record.json",
        "00000.safetensors",
        "retention_curve@1-773c6b72.parquet",
    }
    again = flowgauge("run", *QUICK, "--store", "s3://board/store", **environment)
    assert again.returncode == 0 and objects(client, "store") == there, "what is stored is not done again"
    shown = flowgauge("show", "s3://board/store", **environment)
    assert "agreement-bert on sva/obj: 4 instances" in shown.stdout
    packed = flowgauge(
        "leaderboard", "submit", "s3://board/store", "--out", str(tmp_path / "bundle"), "--name", "me", **environment
    )
    assert packed.returncode == 0, packed.stderr
    merged = flowgauge("leaderboard", "merge", str(tmp_path / "bundle"), "s3://board/board", "--form-only", **environment)
    assert "1 cells entered s3://board/board" in merged.stdout, merged.stderr
    assert objects(client, "board").keys() == there.keys() | {"ledger.jsonl", "ledger.head"}


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as publishing asks: does the repository exist, how to upload, and commits."""

    commits: list[dict[str, object]]
    repository = "/api/datasets/we/board"

    def do_GET(self) -> None:
        if self.path.split("?")[0] in (self.repository, f"{self.repository}/revision/main"):
            self._answer(
                {"id": "we/board", "sha": "0" * 40, "siblings": [], "private": False, "tags": [], "downloads": 0, "likes": 0}
            )
        else:
            self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == f"{self.repository}/preupload/main":
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in json.loads(body)["files"]]
            self._answer({"files": files})
        elif self.path != f"{self.repository}/commit/main" or self.headers["Authorization"] != "Bearer hf_test":
            self._answer({"error": "You must be signed in"}, 401)
        else:
            lines = [json.loads(line) for line in body.splitlines()]
            type(self).commits.append(
                {one["value"]["path"]: base64.b64decode(one["value"]["content"]) for one in lines if one["key"] == "file"}
            )
            url = "https://huggingface.co/datasets/we/board/commit/1"
            self._answer({"success": True, "commitOid": "1" * 40, "commitUrl": url, "hookOutput": ""})

    def _answer(self, data: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        sent = json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(sent)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test reads what was committed."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the environment says of the Hub."""
    Hub.commits = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_TOKEN": "hf_test", "HF_HOME": str(tmp_path / "home")}
        server.shutdown()


@pytest.mark.parametrize("below", ["", "v1/site/"])
def test_a_site_is_published_to_the_hub_as_one_commit(hub, site: Path, below: str) -> None:
    done = flowgauge("leaderboard", "publish", str(site), f"hf://datasets/we/board/{below}", **hub)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4 files at hf://datasets/we/board/")
    assert Hub.commits == [{f"{below}{name}": data for name, data in files_of(site).items()}]


@pytest.mark.parametrize(
    ("repository", "token", "said"),
    [("we/other", "hf_test", "we/other"), ("we/board", "hf_wrong", "401")],
)
def test_what_the_hub_refuses_is_one_line(hub, site: Path, repository: str, token: str, said: str) -> None:
    done = flowgauge("leaderboard", "publish", str(site), f"hf://datasets/{repository}", **hub | {"HF_TOKEN": token})
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith(f"flowgauge: cannot publish to 'hf://datasets/{repository}': ") and said in done.stderr
    assert Hub.commits == []
