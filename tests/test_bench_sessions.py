"""The ramp of batched sessions, small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from avatar_client.errors import InvalidConfigError
from typer.testing import CliRunner

from avatar_sdk.bench import sessions
from avatar_sdk.bench.sessions import SessionsConfig, run_sessions
from avatar_sdk.cli import app
from avatar_sdk.cli.options import parse_counts

torch = pytest.importorskip("torch", reason="batched sessions need torch; install the extra `train` or `gpu`")


def test_a_ramp_prints_and_writes_a_row_per_number_of_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "FPS", 0)  # this machine may be too slow for any
    monkeypatch.setattr(sessions, "ENGINE_MS", 1e6)
    said: list[str] = []
    config = SessionsConfig((1, 2), preset="test", seconds=0.1, side_px=128)
    files = run_sessions(config, said.append).save(tmp_path / "s.json")
    saved = json.loads((tmp_path / "s.json").read_text())
    assert [row["sessions"] for row in saved["rows"]] == [1, 2]
    for row in saved["rows"]:
        assert 0 < row["engine_ms"]["p50"] <= row["engine_ms"]["p95"]
        assert row["fps"] > 0
        assert set(row["stages_ms"]) == {"warp", "generator", "decode", "composite"}
        assert all(spent > 0 for spent in row["stages_ms"].values())
    assert saved["carried"] == 2
    assert saved["weights"] == "test, random weights"
    assert saved["machine"]["packages"]["torch"]
    assert all(file.stat().st_size > 0 for file in files)
    text = "\n".join(said)
    assert "cores" in text
    assert "random weights" in text


def test_a_ramp_ends_with_the_first_number_that_is_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "FPS", 1e6)
    said: list[str] = []
    result = run_sessions(SessionsConfig((1, 2), preset="test", seconds=0.1, side_px=64), said.append)
    assert [row.sessions for row in result.rows] == [1]
    assert result.carried == 0
    assert "below" in said[-2]


@pytest.mark.parametrize("counts", [(), (0, 1), (2, 2), (4, 1)])
def test_numbers_that_do_not_increase_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(InvalidConfigError, match="increasing"):
        SessionsConfig(counts)


def test_numbers_are_read_with_commas_or_spaces() -> None:
    assert parse_counts("1,2, 16") == parse_counts("1 2 16") == (1, 2, 16)
    with pytest.raises(InvalidConfigError, match="must be numbers"):
        parse_counts("many")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "cuda:7"), "no CUDA device for 'cuda:7'"),
        (("--device", "abacus"), "must be cpu, cuda or cuda:N"),
        (("--preset", "huge"), "sessions are batched for lite, test"),
        (("--model", "warp"), "batched with a network"),
        (("--precision", "int4"), "must be float32 or bfloat16"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["bench", "--sessions", "1", *words])
    assert result.exit_code == 2
    assert said in result.stderr
