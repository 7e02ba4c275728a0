"""The rows that may be among a query's nearest, found by products of float32 on a torch device.

A GPU sums in an order of its own, and its products are off by no more than any sum of float32 is
(`ties`). The k nearest rows are among those whose product is no more than twice that below the k-th
best product, as in `int8_nearest`; the caller scores them exactly.

Shapes: L rows, R of them that count, D dimensions, B queries, P rows of a piece, K kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import torch

from lmtx_ray.search.among import Among
from lmtx_ray.search.int8_rows import SPREAD
from lmtx_ray.search.ties import rounding

logger = logging.getLogger(__name__)
SPARE = 16  # kept beyond k, so that one pass nearly always tells which rows may be nearest
PRODUCTS = 1 << 26  # at a time: 256 MiB
UPLOADED = 1 << 16  # rows at a time
COPIED = 1 << 17  # rows at a time, where few count
ROOM = 3 * 4 * PRODUCTS  # bytes of the device that stay free for products and their order


class DeviceNearest:
    """Keeps a copy of the rows on a device from the first search on; where the device has no room
    for them, every search leaves its queries to the CPU."""

    def __init__(self, vectors_LD: np.ndarray, device: str) -> None:
        self._vectors_LD, self._device = vectors_LD, torch.device(device)
        self._rows_LD: torch.Tensor | None = None
        self._longest = 0.0
        self._is_full = False

    def search(
        self, queries_BD: np.ndarray, k: int, rows_R: np.ndarray | None = None
    ) -> list[np.ndarray | None]:
        """Rows int64, ascending, that hold the k nearest of each query; None where too many rows
        are too close to tell (or the query is not finite). Of `rows_R`, ascending and at least k,
        those alone."""
        rows_LD = self._uploaded()
        if rows_LD is None:
            return [None] * len(queries_BD)
        queries = torch.from_numpy(queries_BD).to(self._device)
        counted = _Counted(rows_LD, rows_R)
        kept_BK, rows_BK = _best(queries, counted, min(k + SPARE, counted.count))
        off_B = queries.norm(dim=1) * (self._longest * _rounding(queries.shape[1]))
        least_B = kept_BK[:, k - 1] - 2 * off_B
        near_BK = kept_BK >= least_B[:, None]
        all_of_them = kept_BK.shape[1] == counted.count
        sure_B = near_BK.any(1) & (~near_BK[:, -1] | all_of_them)
        found: list[np.ndarray | None] = [
            np.sort(rows[near]) if sure else None
            for rows, near, sure in zip(
                rows_BK.cpu().numpy(), near_BK.cpu().numpy(), sure_B.tolist(), strict=True
            )
        ]
        unsure_U = torch.nonzero(~sure_B)[:, 0]
        if len(unsure_U):
            more = _all_above(queries[unsure_U], least_B[unsure_U], counted)
            for place, rows in zip(unsure_U.tolist(), more, strict=True):
                found[place] = rows if k <= len(rows) <= SPREAD * k else None
        return found

    def _uploaded(self) -> torch.Tensor | None:
        """The rows on the device, put there if they have room; None if not."""
        if self._rows_LD is not None or self._is_full:
            return self._rows_LD
        size = self._vectors_LD.nbytes
        if self._device.type == "cuda" and torch.cuda.mem_get_info(self._device)[0] < size + ROOM:
            logger.warning("no room for %d bytes of label vectors on %s", size, self._device)
            self._is_full = True
            return None
        rows_LD = torch.empty(self._vectors_LD.shape, device=self._device)
        for start in range(0, len(rows_LD), UPLOADED):
            piece_PD = self._vectors_LD[start : start + UPLOADED].copy()
            rows_LD[start : start + UPLOADED] = torch.from_numpy(piece_PD)
            longest = np.linalg.norm(piece_PD.astype(np.float64), axis=1).max()
            self._longest = max(self._longest, float(longest))
        self._rows_LD = rows_LD
        return rows_LD


def _rounding(dimensions: int) -> float:
    """Of a product, in parts of |q| |l|. A process may have let torch round what it multiplies."""
    exactly = torch.get_float32_matmul_precision() == "highest"
    return rounding(dimensions) + (0.0 if exactly else 2.0**-7)


def _best(queries_BD: torch.Tensor, counted: _Counted, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(products, rows) [B, k] of the greatest products, best first."""
    best_BK = queries_BD.new_empty(len(queries_BD), 0)
    rows_BK = torch.empty(best_BK.shape, dtype=torch.int64, device=queries_BD.device)
    for products_BP, rows_P in counted.pieces(queries_BD):
        found_BN, places_BN = products_BP.topk(min(k, products_BP.shape[1]), dim=1)
        best_BK, rows_BK = (
            torch.cat([best_BK, found_BN], 1),
            torch.cat([rows_BK, rows_P[places_BN]], 1),
        )
        best_BK, order = best_BK.topk(min(k, best_BK.shape[1]), dim=1)
        rows_BK = rows_BK.gather(1, order)
    return best_BK, rows_BK


def _all_above(
    queries_BD: torch.Tensor, least_B: torch.Tensor, counted: _Counted
) -> list[np.ndarray]:
    """Of each query all rows with a product of at least so much, int64 and ascending."""
    found: list[list[np.ndarray]] = [[] for _ in queries_BD]
    for products_BP, rows_P in counted.pieces(queries_BD):
        for own, above_P in zip(found, products_BP >= least_B[:, None], strict=True):
            own.append(rows_P[above_P].cpu().numpy())
    return [np.concatenate(parts) for parts in found]


class _Counted:
    """The rows that count, and their products in pieces of bounded size."""

    def __init__(self, rows_LD: torch.Tensor, rows_R: np.ndarray | None) -> None:
        self._rows_LD = rows_LD
        self._among = Among.of(rows_R, len(rows_LD), rows_LD.device)
        self.count = len(rows_LD) if rows_R is None else len(rows_R)

    def pieces(self, queries_BD: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(products_BP, the rows they are of); -inf where a row does not count."""
        rows_LD, among, step = self._rows_LD, self._among, max(PRODUCTS // len(queries_BD), 1)
        step = step if among.few is None else min(step, COPIED)
        for start in range(0, among.columns, step):
            end = min(start + step, among.columns)
            if among.few is None:
                rows_P = torch.arange(start, end, device=rows_LD.device)
                products_BP = queries_BD @ rows_LD[start:end].t()
            else:
                rows_P = among.few[start:end]
                products_BP = queries_BD @ rows_LD[rows_P].t()
            if among.without_L is not None:
                products_BP.masked_fill_(among.without_L[start:end], -torch.inf)
            yield products_BP, rows_P
