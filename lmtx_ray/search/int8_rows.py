"""Rows of vectors in 8 bits, and how far from themselves that puts them.

Shapes: L rows, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LEAST = 1e-5  # of a range: what is always 0 has a scale too
MIDDLE = 128  # the byte that means 0
FEW_ROWS = 4096  # and fewer are searched as fast in float32
EPSILON = 2.0**-23  # of a row's length: more than taking m from it is off by
SPREAD = 8  # times k: with more rows than this it is no gain to score them exactly


@dataclass(frozen=True)
class Int8Rows:
    """Row l is about m + scales_L[l] * (bytes_LD[l] - MIDDLE), with an m that all have in common.

    It moves all products of a query alike, so it changes no order and is not kept. Many encoders'
    vectors lean one way; what is left without that is shorter, and rounded more finely.

    bounds_2 is the length of the most that rounding took from a row, and of the longest row less m.
    """

    bytes_LD: np.ndarray  # uint8, and float32 the others
    scales_L: np.ndarray
    bounds_2: np.ndarray

    @classmethod
    def of(cls, vectors_LD: np.ndarray, common_D: np.ndarray | None = None) -> Int8Rows:
        """Round float32 rows. Those that are searched together have one m, `common_D`: the mean of
        these if None."""
        common_D = common_of(vectors_LD) if common_D is None else common_D
        own_LD = vectors_LD - common_D
        scales_L = np.abs(own_LD).max(axis=1).clip(LEAST) / np.float32(127)
        scaled_LD = own_LD / scales_L[:, None]
        whole_LD = np.rint(scaled_LD)
        taken_L = _lengths(scaled_LD - whole_LD) * scales_L + _lengths(vectors_LD) * EPSILON
        bounds_2 = np.array([taken_L.max(), _lengths(own_LD).max()])
        bounds_2 = np.nextafter(bounds_2.astype(np.float32), np.float32(np.inf))
        return cls((whole_LD + MIDDLE).astype(np.uint8), scales_L, bounds_2)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> Int8Rows | None:
        """What `arrays` gave to a file, of rows of this shape; None if the file holds none.

        Raises:
            ValueError: Arrays of other shapes or types.
        """
        if "bytes" not in arrays:
            return None
        held = cls(arrays["bytes"], arrays["scales"], arrays["bounds"])
        expected = {"bytes": shape, "scales": shape[:1], "bounds": (2,)}
        found = {name: array.shape for name, array in held.arrays().items()}
        kinds = [held.bytes_LD.dtype, held.scales_L.dtype, held.bounds_2.dtype]
        if found != expected or kinds != [np.uint8, np.float32, np.float32]:
            raise ValueError(f"an 8-bit copy of shapes {found}, not {expected}")
        return held

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays under their names in a file."""
        return {"bytes": self.bytes_LD, "scales": self.scales_L, "bounds": self.bounds_2}


def common_of(vectors_LD: np.ndarray) -> np.ndarray:
    """float32 [D]: the mean of rows."""
    mean_D: np.ndarray = vectors_LD.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean_D


def _lengths(rows_LD: np.ndarray) -> np.ndarray:
    rows_LD = rows_LD.astype(np.float64)
    return np.sqrt(np.einsum("ld,ld->l", rows_LD, rows_LD))


def is_worth(rows: int, k: int) -> bool:
    """Whether a search for k of so many rows gains by 8 bits."""
    return rows >= FEW_ROWS and k * SPREAD <= rows
