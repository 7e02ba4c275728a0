"""Mapped safetensors: the same arrays as the library's, and bad files refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save, save_file

from lmtx_ray.search.tensor_file import (
    TensorFileError,
    TensorWriter,
    open_tensors,
    write_tensors,
)

ARRAYS = {
    "small": np.arange(7, dtype=np.uint8),
    "vectors": np.arange(12, dtype=np.float32).reshape(4, 3),
    "ends": np.array([1 << 40, -1]),
    "none": np.zeros((0, 3), np.float64),
}


def test_what_is_written_is_read_by_the_library_and_the_other_way_round(tmp_path: Path) -> None:
    write_tensors(tmp_path / "ours", ARRAYS)
    save_file(ARRAYS, tmp_path / "theirs")
    theirs = load_file(tmp_path / "ours")
    for arrays in (theirs, *(open_tensors(tmp_path / n).arrays for n in ("ours", "theirs"))):
        assert arrays.keys() == ARRAYS.keys()
        for name, expected in ARRAYS.items():
            assert arrays[name].dtype == expected.dtype
            assert np.array_equal(arrays[name], expected)


def test_mapped_arrays_are_read_only_and_outlive_their_file(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a", ARRAYS)
    opened = open_tensors(tmp_path / "a")
    (tmp_path / "a").unlink()
    opened.forget()
    assert np.array_equal(opened.arrays["vectors"], ARRAYS["vectors"])
    with pytest.raises(ValueError, match="read-only"):
        opened.arrays["vectors"][0] = 0


def test_arrays_that_do_not_lie_on_their_width_are_read_too(tmp_path: Path) -> None:
    data = save({"v": ARRAYS["vectors"]})
    length = int.from_bytes(data[:8], "little") + 1
    moved = length.to_bytes(8, "little") + data[8 : 7 + length] + b" " + data[7 + length :]
    (tmp_path / "odd").write_bytes(moved)
    vectors = open_tensors(tmp_path / "odd").arrays["v"]
    assert vectors.flags.aligned
    assert np.array_equal(vectors, ARRAYS["vectors"])


def test_pieces_are_appended_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    shapes = {"bytes": ("U8", (3,)), "v": ("F32", (4, 3))}
    with TensorWriter(tmp_path / "a", shapes) as writer:
        for row in ARRAYS["vectors"]:
            writer.write("v", row[None])
        writer.write("bytes", ARRAYS["small"][:3])
    assert np.array_equal(open_tensors(tmp_path / "a").arrays["v"], ARRAYS["vectors"])
    with pytest.raises(TensorFileError, match="b: v has not as many rows"):
        write_rows(tmp_path / "b", ARRAYS["vectors"][:3], announced=4)


def write_rows(path: Path, rows: np.ndarray, announced: int) -> None:
    with TensorWriter(path, {"v": ("F32", (announced, 3))}) as writer:
        writer.write("v", rows)


@pytest.mark.parametrize("damage", ["cut", "offsets", "dtype", "header", "text", "empty"])
def test_a_file_that_is_not_what_it_says_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    data = save({"v": ARRAYS["vectors"]})
    broken = {
        "cut": data[:-1],
        "offsets": data.replace(b"[0,48]", b"[0,44]"),
        "dtype": data.replace(b'"F32"', b'"F16"'),
        "header": b"\xff" * 8 + data[8:],
        "text": b"not a tensor file at all",
        "empty": b"",
    }[damage]
    (tmp_path / "bad").write_bytes(broken)
    with pytest.raises(TensorFileError, match="bad: not a safetensors file"):
        open_tensors(tmp_path / "bad")
