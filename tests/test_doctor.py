from __future__ import annotations

import sys

import pytest
from avatar_client import capture

from avatar_sdk import doctor
from avatar_sdk.doctor import Finding, Verdict, examine


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine("warp", camera=None)}


@pytest.mark.parametrize("subject", ["Python", "packages", "inference", "tracking", "model", "service"])
def test_a_machine_that_runs_the_tests_passes(findings: dict[str, Finding], subject: str) -> None:
    assert findings[subject].verdict is Verdict.GOOD, findings[subject].text


def test_a_broken_part_does_not_stop_the_examination(findings: dict[str, Finding]) -> None:
    bad = {finding.subject: finding.verdict for finding in examine("nowhere.onnx", camera="no such camera")}
    assert bad["camera"] is Verdict.BAD
    assert bad["model"] is Verdict.BAD
    assert bad["service"] is Verdict.BAD
    assert list(bad) == list(findings)


def test_a_wrong_python_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    finding = doctor._python()
    assert finding.verdict is Verdict.BAD
    assert "3.11 or 3.12" in finding.text


def test_packages_that_overwrite_each_other_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed", lambda names: dict.fromkeys(names, "1.0"))
    assert "overwrite each other" in doctor._packages().text
    assert "overwrite each other" in doctor._inference("lite").text


def test_no_camera_is_a_remark_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "list_cameras", list)
    assert doctor._camera(None).verdict is Verdict.REMARK
