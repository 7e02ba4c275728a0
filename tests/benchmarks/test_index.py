"""What the index benchmark asks for, and the vectors that it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.index import Report, asked
from benchmarks.index_vectors import PIECE, write_vectors
from lmtx_ray.search.tensor_file import open_tensors

OURS: dict[str, Any] = {
    "recall": 0.992,
    "build_seconds": 10.0,
    "batch_per_second": 300.0,
    "single_per_second": 90.0,
    "memory_mib": 7000,
}
THEIRS = {**OURS, "build_seconds": 150.0, "batch_per_second": 200.0, "single_per_second": 100.0}


def met(size: int, *sides: dict[str, Any]) -> list[bool]:
    found = asked(size, dict(zip(("ivf", "hnswlib"), sides, strict=False)), "ivf")
    return [entry["met"] for entry in found]


def test_what_was_measured_is_held_against_what_is_wanted() -> None:
    recall, build, batch, single = met(100_000, OURS, THEIRS)
    assert (recall, build, batch, single) == (True, True, False, False)
    assert met(1_000_000, OURS, THEIRS) == [True, True, True, False]
    assert met(3_000_000, OURS) == [True, False]  # and what was not measured is not judged
    assert met(3_000_000, {"skipped": "not good enough"}, THEIRS) == []


def test_a_report_goes_on_with_what_is_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for go_on, expected in ((False, 1), (True, 2), (False, 1)):
        report = Report(path, go_on)
        own = report.of(100 * (1 + len(report.content["sizes"])))
        own.update(default="ivf", sides={"ivf": OURS})
        report.save()
        assert len(Report(path, True).content["asked"]) == expected


def test_vectors_are_the_real_ones_and_then_others_near_them(tmp_path: Path) -> None:
    real = np.eye(5, 64, dtype=np.float32)
    documents = np.eye(3, 64, dtype=np.float32)
    write_vectors(tmp_path / "v", real, PIECE + 100, 40, documents)
    arrays = open_tensors(tmp_path / "v").arrays
    assert np.array_equal(arrays["vectors"][:5], real)
    cosines = np.einsum("ld,ld->l", arrays["vectors"][5:], real[np.arange(5, PIECE + 100) % 5])
    assert 0.9 < cosines.min() < cosines.max() < 0.99
    assert np.allclose(np.linalg.norm(arrays["queries"], axis=1), 1)
    assert arrays["queries"].shape == (40, 64)
    assert np.array_equal(arrays["documents"], documents)
