from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from avatar_client.errors import ConnectionLostError, InvalidConfigError
from avatar_client.pose_file import PoseReader

from avatar_sdk.bench import BenchConfig, run_bench, visits, web
from avatar_sdk.bench.service import full_seconds_share
from avatar_sdk.local_server import LocalServer, LocalServerConfig
from avatar_sdk.machine import Machine
from avatar_sdk.pose_feed import PoseFeed, forth_and_back


def test_a_bench_measures_everything_it_promises(tmp_path: Path) -> None:
    said: list[str] = []
    bench = run_bench(BenchConfig(model="warp", seconds=2, unpaced_seconds=1), said.append)
    bench.save(tmp_path / "b.json")
    saved = json.loads((tmp_path / "b.json").read_text())
    assert saved["unpaced"]["fps"] > 0
    assert saved["paced"]["fps"] > 0
    spread = saved["paced"]["pose_to_frame_ms"]
    assert 0 < spread["p50"] <= spread["p95"] <= spread["p99"]
    assert set(saved["stages_ms"]) == {"track", "motion", "warp", "generator", "decode", "composite", "encode"}
    assert saved["paced"]["rss_mib"]["start"] > 0
    assert "cores" in said[0]


def test_a_bench_of_the_web_port_compares_both_transports_and_bears_a_crowd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "ROUNDS", 1)
    monkeypatch.setattr(web, "WARM_UP_S", 0.5)
    monkeypatch.setattr(web, "STORM_S", 1.0)
    monkeypatch.setattr(web, "VISITS", 3)
    monkeypatch.setattr(visits, "SETTLING", 1)
    said: list[str] = []
    web.run_web("warp", 1.0, 30.0, said.append).save(tmp_path / "b.json")
    saved = json.loads((tmp_path / "b.json").read_text())
    assert saved["grpc_ms"]["p50"] > 0
    assert saved["ratio_p50"] == pytest.approx(saved["web_ms"]["p50"] / saved["grpc_ms"]["p50"], abs=0.01)
    assert saved["fps_before"] > 0
    assert saved["fps_during"] > 0
    assert sum(saved["storm"]["ends"].values()) == saved["storm"]["visits"] > 0
    assert "the crowd" in said[-1]
    assert saved["visits"]["count"] == 3
    assert saved["visits"]["free_slots"] == [1, 1]


@pytest.mark.parametrize("values", [{"seconds": 0.0}, {"unpaced_seconds": 0.0}, {"pose_rate_hz": 0.0}])
def test_settings_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InvalidConfigError):
        replace(BenchConfig(), **values)


def test_an_even_24_fps_fills_every_second_and_a_gap_shows() -> None:
    even = [round(1_234 + k * 1e6 / 24) for k in range(240)]
    assert full_seconds_share(even, even[-1] + 41_667) == 1.0
    jittered = [t + (7 * k % 20 - 10) * 1000 for k, t in enumerate(even)]
    assert full_seconds_share(sorted(jittered), even[-1] + 41_667) == 1.0
    gap = [t for t in even if not 3_000_000 < t < 3_100_000]
    assert full_seconds_share(gap, even[-1] + 41_667) == pytest.approx(0.9)
    assert full_seconds_share([], 1_000_000) == 0.0


def test_poses_go_forth_and_back_without_a_jump(sample_poses: Path) -> None:
    poses = PoseReader(sample_poses)
    for before, after in pairwise(islice(forth_and_back(poses[:40]), 100)):
        assert np.abs(after.face - before.face).max() < 0.05


def test_a_feed_sends_every_pose_with_increasing_times(sample_poses: Path) -> None:
    sent: list[int] = []
    with PoseFeed(lambda pose: sent.append(pose.timestamp_us), iter(PoseReader(sample_poses)[:5]), 200) as feed:
        while not feed.finished:
            pass
    assert len(sent) == feed.sent == 5
    assert sent == sorted(set(sent))


def test_a_service_that_cannot_start_says_why() -> None:
    with pytest.raises(ConnectionLostError, match=r"nowhere\.onnx"):
        LocalServer(LocalServerConfig(model="nowhere.onnx")).__enter__()


def test_the_machine_is_named() -> None:
    machine = Machine.here()
    assert machine.cores >= 1
    assert "numpy" in machine.packages
    assert machine.cpu in str(machine)
