"""Rows of vectors in 8 bits, and how far from themselves that puts them.

Shapes: L rows, P rows of a piece, D dimensions, B queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lmtx_ray.search.ties import rounding

LEAST = 1e-5  # of half a range: what is always the same has a step too
MIDDLE = 128  # the byte that means 0
MOST = MIDDLE - 1  # steps that a value is from the middle
FEW_ROWS = 4096  # and fewer are searched as fast in float32
PIECE = 1 << 8  # rows rounded at a time: what is made of them stays in the processor's cache
EPSILON = 2.0**-23  # of a row's length: as much as the rounding of two scores may move them
SPREAD = 8  # times k: with more rows than this it is no gain to score them exactly


@dataclass(frozen=True)
class Int8Rows:
    """Row l is about middles_D + steps_D * (bytes_LD[l] - MIDDLE), with middles that all rows have
    in common: they move all products of a query alike, so they change no order and are not kept.

    A step of its own for each dimension goes into the query, so that the bytes' products are in
    order as they are, without a scale for each row; and an encoder's odd dimension, or vectors that
    lean one way, coarsen no other.

    bounds_2 is the length of the most that rounding took from a row, with a little for its score's
    own, and of the longest row of bytes less MIDDLE.
    """

    bytes_LD: np.ndarray  # uint8, and float32 the others
    steps_D: np.ndarray
    bounds_2: np.ndarray

    @classmethod
    def of(cls, vectors_LD: np.ndarray, ranges_2D: np.ndarray | None = None) -> Int8Rows:
        """Round float32 rows. Those that are searched together have the same `ranges_2D`: the least
        and greatest value in each dimension, of these if None."""
        low_D, high_D = ranges_of(vectors_LD) if ranges_2D is None else ranges_2D
        middles_D = low_D / 2 + high_D / 2
        steps_D = np.maximum(high_D - middles_D, middles_D - low_D).clip(LEAST) / np.float32(MOST)
        bytes_LD, bounds_2 = np.empty(vectors_LD.shape, np.uint8), np.zeros(2)
        for start in range(0, len(vectors_LD), PIECE):
            span = slice(start, start + PIECE)
            exact_PD = vectors_LD[span].astype(np.float64)
            whole_PD = np.rint((exact_PD - middles_D) / steps_D).clip(-MOST, MOST)
            bytes_LD[span] = whole_PD + MIDDLE
            taken = _longest(exact_PD - middles_D - whole_PD * steps_D.astype(np.float64))
            taken += EPSILON * _longest(exact_PD)
            bounds_2 = np.maximum(bounds_2, [taken, _longest(whole_PD)])
        bounds_2 = np.nextafter(bounds_2.astype(np.float32), np.float32(np.inf))
        return cls(bytes_LD, steps_D, bounds_2)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> Int8Rows | None:
        """What `arrays` gave to a file, of rows of this shape; None if the file holds none.

        Raises:
            ValueError: Arrays of other shapes or types.
        """
        if "steps" not in arrays:
            return None
        held = cls(arrays["bytes"], arrays["steps"], arrays["bounds"])
        expected = {"bytes": shape, "steps": shape[1:], "bounds": (2,)}
        found = {name: array.shape for name, array in held.arrays().items()}
        kinds = [held.bytes_LD.dtype, held.steps_D.dtype, held.bounds_2.dtype]
        if found != expected or kinds != [np.uint8, np.float32, np.float32]:
            raise ValueError(f"an 8-bit copy of shapes {found} and types {kinds}, not {expected}")
        if not (held.bounds_2 >= 0).all():
            raise ValueError(f"an 8-bit copy with the bounds {held.bounds_2}")
        return held

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays under their names in a file."""
        return {"bytes": self.bytes_LD, "steps": self.steps_D, "bounds": self.bounds_2}

    def scaled(self, queries_BD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(the queries in steps, float32 [B, D] within -MOST to MOST, float32 [B]: how far their
        product with a row of bytes less MIDDLE may be from the query's with that row, both in the
        query's own scale; nan where a query is not finite).

        With a row x = s * c + e and a query q, the product of q * s / a with c is off q x / a by at
        most |q| |e| / a (Cauchy-Schwarz), and by what float32 takes from it (`ties`).
        """
        taken, longest = self.bounds_2.tolist()
        with np.errstate(all="ignore"):
            in_steps_BD = queries_BD * self.steps_D
            scales_B1 = np.abs(in_steps_BD).max(axis=1, keepdims=True).clip(LEAST**2) / MOST
            scaled_BD = in_steps_BD / scales_B1
            off_B = np.linalg.norm(queries_BD, axis=1) * taken / scales_B1[:, 0]
            off_B += np.linalg.norm(scaled_BD, axis=1) * longest * rounding(len(self.steps_D))
        return scaled_BD, off_B

    def rounded(self, queries_BD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same with queries in whole numbers w, by which a product is off another
        |q * s / a - w| |c|."""
        scaled_BD, off_B = self.scaled(queries_BD)
        with np.errstate(invalid="ignore"):
            whole_BD = np.rint(scaled_BD)
            off_B += np.linalg.norm(scaled_BD - whole_BD, axis=1) * float(self.bounds_2[1])
        return whole_BD, off_B


def ranges_of(vectors_LD: np.ndarray) -> np.ndarray:
    """float32 [2, D]: the least and the greatest value in each dimension."""
    return np.stack([vectors_LD.min(axis=0), vectors_LD.max(axis=0)])


def _longest(rows_LD: np.ndarray) -> float:
    return float(np.sqrt(np.einsum("ld,ld->l", rows_LD, rows_LD).max()))


def is_worth(rows: int, k: int) -> bool:
    """Whether a search for k of so many rows gains by 8 bits."""
    return rows >= FEW_ROWS and k * SPREAD <= rows
