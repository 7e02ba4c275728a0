"""The rows that may be among a query's nearest, told while products are computed piece by piece.

Of a piece, the greatest product of every GROUP rows is compared with what is near the k-th best so
far, and only groups that reach it are looked at again: a piece never leaves the processor's cache,
and no list of all products is made or put in order.

Shapes: B queries, P rows of a piece, N groups of them, K best, M kept.
"""

from __future__ import annotations

import numpy as np
import torch

from lmtx_ray.search.int8_rows import SPREAD

GROUP = 8  # rows
MOST_KEPT = 2 * SPREAD  # times k, of a query on average
THIN = 4  # values of groups, where the bound is raised
MANY = 8  # times k
LATER = 1.25  # the bound is raised after so many times as many pieces as before


class RunningBest:
    """Keeps, of each query, the rows whose product is at most `margin_B` below the k-th best of all
    pieces so far. A margin of -inf says that nobody asks: nothing is kept. More than SPREAD * k
    such rows are too many, and the query is given up."""

    def __init__(self, k: int, margin_B: torch.Tensor) -> None:
        self._k, self._margin_B = k, margin_B
        self._best_BK = np.empty((len(margin_B), 0), np.float32)
        self._least_B = torch.full_like(margin_B, -torch.inf)
        self._unseen: list[torch.Tensor] = []  # greatest products since the bound was raised
        self._pieces, self._next = 0, 1
        self._kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._count = 0

    def add(self, products_PB: torch.Tensor, first: int) -> None:
        """The products of rows `first` to `first + P`; -inf where a row does not count."""
        short = -len(products_PB) % GROUP
        if short:
            products_PB = torch.nn.functional.pad(products_PB, (0, 0, 0, short), value=-torch.inf)
        # rows far apart are a group: so its greatest is found in whole lines of memory
        groups_GNB = products_PB.view(GROUP, -1, products_PB.shape[1])
        greatest_NB = groups_GNB.amax(0)
        few = self._best_BK.shape[1] < self._k and len(greatest_NB) < self._k
        self._unseen.append(products_PB if few else greatest_NB)
        self._pieces += 1
        if self._pieces >= self._next:
            self._raise()
        self._keep(groups_GNB, greatest_NB, first)
        if self._count > MOST_KEPT * self._k * len(self._margin_B):
            self._drop()

    def _raise(self) -> None:
        values_NB = torch.cat(self._thinned(self._unseen)).numpy()
        values_BN = np.concatenate([self._best_BK, values_NB.T], axis=1)
        self._unseen = []
        if values_BN.shape[1] >= self._k:
            # of rows that lie in one piece numpy is faster than torch's topk
            values_BN.partition(-self._k, axis=1)
            values_BN = values_BN[:, -self._k :]
            least_B = torch.from_numpy(values_BN[:, 0].copy()) - self._margin_B
            self._least_B = torch.maximum(self._least_B, least_B)
        self._best_BK = values_BN
        self._next = int(self._pieces * LATER) + 1

    def _thinned(self, unseen: list[torch.Tensor]) -> list[torch.Tensor]:
        """The greatest of every THIN values where these are many more than k: few of the k best are
        behind a better one, and the bound stays one that so many rows reach."""
        if sum(map(len, unseen)) < MANY * self._k:
            return unseen
        values = torch.cat(unseen)
        whole = len(values) // THIN * THIN
        return [values[:whole].view(THIN, -1, values.shape[1]).amax(0), values[whole:]]

    def _keep(self, groups_GNB: torch.Tensor, greatest_NB: torch.Tensor, first: int) -> None:
        # few of many reach the bound: numpy finds and takes these in a fraction of torch's time
        groups, queries = greatest_NB.shape
        reached = np.flatnonzero((greatest_NB >= self._least_B).numpy())
        values_GM = groups_GNB.reshape(GROUP, -1).numpy().take(reached, axis=1)
        least_M = self._least_B.numpy()[reached % queries]
        inside, place = np.nonzero(values_GM >= least_M)
        group, query = np.divmod(reached[place], queries)
        self._kept.append((query, first + inside * groups + group, values_GM[inside, place]))
        self._count += len(query)

    def _drop(self) -> None:
        """Forget what is no longer near, and all of the queries that keep too much."""
        kept = []
        for query, rows, values in self._by_query():
            if len(rows) > SPREAD * self._k:
                self._least_B[query] = torch.inf
            else:
                kept.append((np.full(len(rows), query), rows, values))
        self._kept, self._count = kept, sum(len(rows) for _, rows, _ in kept)

    def _by_query(self) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """(query, its rows that are near, their products)."""
        if not self._kept:
            return []
        query_M, rows_M, values_M = (np.concatenate(part) for part in zip(*self._kept, strict=True))
        order = np.argsort(query_M.astype(np.int16), kind="stable")  # numpy counts 16-bit keys
        rows_M, values_M = rows_M[order], values_M[order]
        ends = np.bincount(query_M, minlength=len(self._margin_B)).cumsum().tolist()
        found = []
        for query, margin in enumerate(self._margin_B.tolist()):
            own = slice(ends[query - 1] if query else 0, ends[query])
            rows, values = rows_M[own], values_M[own]
            if len(values) >= self._k:
                least = np.partition(values, -self._k)[-self._k] - margin
                near = values >= least
                rows, values = rows[near], values[near]
            found.append((query, rows, values))
        return found

    def rows(self, queries: int) -> list[np.ndarray | None]:
        """Of each of the first queries the rows that were kept, int64 and ascending; None where
        they are too many, or fewer than k."""
        if self._unseen:
            self._raise()
        least_B = self._least_B.numpy()
        self._kept = [
            (query[near], rows[near], values[near])
            for query, rows, values in self._kept
            for near in [values >= least_B[query]]
        ]
        found: list[np.ndarray | None] = [None] * queries
        for query, rows, _ in self._by_query()[:queries]:
            if self._k <= len(rows) <= SPREAD * self._k:
                found[query] = np.sort(rows)
        return found
