"""Label vectors in lists of neighbours (IVF): a query looks into the lists nearest to it.

FAISS makes codes and searches them, in 4 bits for two values: products are sums from a table of the
query's own, for many rows in one instruction. What is found is told apart by the vectors
themselves, so more is found than is asked for.
Of FAISS's index the arrays alone are kept. The lists are searched where they are mapped, so all
processes of a machine hold them once; no index file has to be trusted, and what a list says of its
length and of its rows is checked.
Shapes: L labels, D dimensions, C lists, B queries, K found, P lists that are looked into.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lmtx_ray.search.best_of import best_of, products_of
from lmtx_ray.search.index_choice import BLOCK, lists_and_books
from lmtx_ray.search.list_centres import ROUNDS, Cells, centres, product_with
from lmtx_ray.search.singly import prefer_matrices
from lmtx_ray.search.tensor_file import TensorFile, open_tensors, write_tensors
from lmtx_ray.search.ties import longest, rounding

library: Any = faiss  # whose stubs lack much of what is called here

INNER = library.METRIC_INNER_PRODUCT
SAMPLE = 20  # rows a list that k-means sees
MOST_CODED = 1 << 16  # rows that k-means of the codes sees
SPARE = 16  # lists on each side of the last one that are compared anew
ID = 8  # bytes of a row's number
ONE_ORDER = 13  # FAISS's way that takes a query's lists in one order, however many queries
PARTS = 2  # of a query's lists
ASKED = 512  # queries whose products with all lists are held at a time
WIDE = 5  # rows found for each that is asked for


def build(vectors_LD: np.ndarray, factory: str, path: Path, more: Mapping[str, np.ndarray]) -> None:
    """Write the lists of a `factory` such as "IVF1024,PQ192x4fs", and `more` arrays.

    On as many threads the same vectors have the same lists.
    """
    prefer_matrices(vectors_LD.shape[1])
    lists, books = lists_and_books(factory)
    rows = np.linspace(0, len(vectors_LD) - 1, min(lists * SAMPLE, len(vectors_LD)))
    sample_SD = np.ascontiguousarray(vectors_LD[rows.astype(np.int64)])
    centres_CD = centres(sample_SD, lists)
    coder = library.IndexPQFastScan(vectors_LD.shape[1], books, 4, INNER, BLOCK)
    coder.pq.cp.niter = ROUNDS
    coder.train(sample_SD[:: -(-len(sample_SD) // MOST_CODED)])
    list_L = Cells(centres_CD).nearest(vectors_LD)
    rows_L, sizes_C = np.argsort(list_L, kind="stable"), np.bincount(list_L, minlength=lists)
    arrays = {
        **more,
        "centroids": centres_CD,
        "books": library.vector_to_array(coder.pq.centroids).reshape(books, -1),
        "sizes": sizes_C,
    }
    total = int((_rooms(sizes_C) * (_width(arrays["books"]) + ID)).sum())
    pieces = (_list(coder, vectors_LD, own) for own in np.split(rows_L, np.cumsum(sizes_C)[:-1]))
    write_tensors(path, arrays, {"lists": (("U8", (total,)), pieces)})


def _list(coder: Any, vectors_LD: np.ndarray, rows_N: np.ndarray) -> np.ndarray:
    """Codes and then row numbers of a list, as FAISS reads them: uint8."""
    ids = np.zeros(int(_rooms(np.array([len(rows_N)]))[0]), np.int64)
    if not len(rows_N):
        return ids.view(np.uint8)
    ids[: len(rows_N)] = rows_N
    coder.reset()
    coder.add(np.ascontiguousarray(vectors_LD[rows_N]))
    codes = library.rev_swig_ptr(coder.codes.get(), coder.codes.size())
    return np.concatenate([codes, ids.view(np.uint8)])


def _rooms(sizes_C: np.ndarray) -> np.ndarray:
    """Rows that lists of so many rows have room for: whole blocks."""
    rooms_C: np.ndarray = -(-sizes_C // BLOCK) * BLOCK
    return rooms_C


class InvertedLists:
    """Searches the lists of a file that `build` wrote, and the vectors that they are of."""

    def __init__(self, path: Path, vectors_LD: np.ndarray) -> None:
        """Raises ValueError where the file holds something else than lists of these rows; the
        message names it."""
        opened = open_tensors(path)
        try:
            offsets_C = _checked(opened.arrays, *vectors_LD.shape)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: no lists of {len(vectors_LD)} vectors ({error})") from error
        opened.forget()
        self._vectors_LD = vectors_LD
        self._product = product_with(opened.arrays["centroids"])
        values, shape = self._product.A, opened.arrays["centroids"].shape
        self._centroids_CD = library.rev_swig_ptr(values.data(), values.size()).reshape(shape)
        self._margin = rounding(shape[1]) * longest(self._centroids_CD)
        self._lists = _mapped(path, opened, offsets_C)
        self._index = self._of_books(opened.arrays["books"])

    @property
    def most(self) -> int:
        """All lists: even then a row costs a small part of its exact product."""
        return len(self._centroids_CD)

    def search(self, queries_BD: np.ndarray, k: int, probes: int) -> np.ndarray:
        """rows_BK int64: k near rows of each query, of the `probes` lists nearest to it, in no
        order and padded with -1; the same for a query alone as among others."""
        probes = min(probes, len(self._centroids_CD))
        asked, parts = len(queries_BD), min(PARTS, probes)
        pieces = (queries_BD[start : start + ASKED] for start in range(0, asked, ASKED))
        near = [self._nearest_lists(piece_BD, probes // parts * parts) for piece_BD in pieces]
        lists_BP = np.concatenate(near)
        # each part of a query's lists is asked by itself, always, so that two threads can share one
        lists_SP = lists_BP.reshape(asked, -1, parts).swapaxes(1, 2).reshape(asked * parts, -1)
        rows_BW = self._rows(queries_BD.repeat(parts, axis=0), WIDE * k // parts, lists_SP)
        return best_of(queries_BD, self._vectors_LD, rows_BW.reshape(asked, -1), k)

    def _rows(self, queries_BD: np.ndarray, k: int, lists_BP: np.ndarray) -> np.ndarray:
        """rows_BK int64, of these lists, by the codes alone."""
        lists_BP = np.ascontiguousarray(lists_BP)
        rows_BK = np.empty((len(queries_BD), k), np.int64)
        products_BK = np.empty(rows_BK.shape, np.float32)
        nothing_BP = np.zeros(lists_BP.shape, np.float32)  # a pointer keeps no array alive
        self._index.search_preassigned_c(
            len(queries_BD),
            library.swig_ptr(queries_BD),
            k,
            library.swig_ptr(lists_BP),
            library.swig_ptr(nothing_BP),
            library.swig_ptr(products_BK),
            library.swig_ptr(rows_BK),
            False,
            library.SearchParametersIVF(nprobe=lists_BP.shape[1]),
        )
        return rows_BK

    def _nearest_lists(self, queries_BD: np.ndarray, probes: int) -> np.ndarray:
        """lists_BP int64, ascending. Which are the last to be among them is told by products of two
        vectors alone, not of matrices, whose sums are rounded otherwise for other queries: among
        SPARE lists on each side, and among all where rounding may mistake more than those."""
        if probes == self.most:
            return np.tile(np.arange(probes), (len(queries_BD), 1))
        products_BC = self._product.apply(queries_BD)
        sure, found = max(probes - SPARE, 0), min(probes + SPARE, products_BC.shape[1])
        near_BF = _greatest_first(products_BC, found)[:, :found]
        order_BF = _greatest_first(np.take_along_axis(products_BC, near_BF, axis=1), sure)
        near_BF = np.take_along_axis(near_BF, order_BF, axis=1)
        best_BP = self._best_lists(queries_BD, near_BF[:, sure:], probes - sure)
        lists_BP = np.hstack([near_BF[:, :sure], best_BP])
        edge_BE = np.take_along_axis(products_BC, near_BF[:, sure:], axis=1)
        inner, outer = sure > 0, found < products_BC.shape[1]  # lists beyond the edge
        close_B = self._close(queries_BD, edge_BE, probes - sure, inner, outer)
        if close_B.any():  # as where many vectors are nearly the same
            all_BC = np.tile(np.arange(products_BC.shape[1]), (int(close_B.sum()), 1))
            lists_BP[close_B] = self._best_lists(queries_BD[close_B], all_BC, probes)
        return np.sort(lists_BP, axis=1)

    def _close(
        self, queries_BD: np.ndarray, edge_BE: np.ndarray, last: int, inner: bool, outer: bool
    ) -> np.ndarray:
        """bool [B]: whether rounding may mistake a list before or behind the edge, where there are
        some, for the one that is at the `last` place there."""
        best_BE = -np.sort(-edge_BE, axis=1)
        last_B = best_BE[:, last - 1]
        margin_B = self._margin * np.linalg.norm(queries_BD, axis=1)
        close_B = inner & (best_BE[:, 0] - last_B <= margin_B)
        return close_B | outer & (last_B - best_BE[:, -1] <= margin_B)

    def _best_lists(self, queries_BD: np.ndarray, lists_BE: np.ndarray, best: int) -> np.ndarray:
        """The best of each query's own lists; of equal products the first list goes before."""
        lists_BE = np.sort(lists_BE, axis=1)
        exact_BE = products_of(queries_BD, self._centroids_CD, lists_BE)
        order_BE = np.argsort(-exact_BE, axis=1, kind="stable")[:, :best]
        return np.take_along_axis(lists_BE, order_BE, axis=1)

    def _of_books(self, books: np.ndarray) -> Any:
        lists, dimensions = self._centroids_CD.shape
        self._coarse = library.IndexFlatIP(dimensions)  # FAISS asks for one; it is not searched
        index = library.IndexIVFPQFastScan(
            self._coarse, dimensions, lists, len(books), 4, INNER, BLOCK
        )
        library.copy_array_to_vector(np.array(books).ravel(), index.pq.centroids)
        index.replace_invlists(self._lists, False)
        index.by_residual, index.is_trained, index.implem = False, True, ONE_ORDER
        index.ntotal = len(self._vectors_LD)
        return index


def _greatest_first(values_BN: np.ndarray, first: int) -> np.ndarray:
    """places_BN int64, so that the `first` ones have the greatest values."""
    if not 0 < first < values_BN.shape[1]:
        return np.broadcast_to(np.arange(values_BN.shape[1]), values_BN.shape)
    return np.argpartition(-values_BN, first - 1, axis=1)


def _checked(arrays: Mapping[str, np.ndarray], rows: int, dimensions: int) -> np.ndarray:
    """Where each list begins in the array of lists, int64 [C]; ValueError for arrays that are not
    those of `rows` rows, each in one list."""
    sizes_C, lists, books = arrays["sizes"], arrays["lists"], arrays["books"]
    if not (sizes_C.size and books.size):
        raise ValueError("no list, or nothing to decode it by")
    wanted = {
        "centroids": ("<f4", (len(sizes_C), dimensions)),
        "books": ("<f4", (len(books), 16 * dimensions // len(books))),
        "sizes": ("<i8", sizes_C.shape[:1]),
        "lists": ("|u1", lists.shape[:1]),
    }
    found = {name: (arrays[name].dtype.str, arrays[name].shape) for name in wanted}
    if found != wanted or dimensions % len(books):
        raise ValueError(f"arrays {found}, not {wanted}")
    if not all(np.isfinite(arrays[name]).all() for name in ("centroids", "books")):
        raise ValueError("values that are not finite")
    if sizes_C.min() < 0 or sizes_C.max() > rows or sizes_C.sum() != rows:
        raise ValueError(f"lists of {sizes_C.sum()} rows")
    width = _width(books)
    ends_C = np.cumsum(_rooms(sizes_C) * (width + ID))
    if ends_C[-1] != len(lists):
        raise ValueError(f"lists of {len(lists)} bytes, not {ends_C[-1]}")
    offsets_C = np.concatenate([[0], ends_C[:-1]])
    seen = np.zeros(rows, bool)
    for first, size in zip(offsets_C.tolist(), sizes_C.tolist(), strict=True):
        ids = lists[first + int(_rooms(np.array(size))) * width :][: size * ID].view(np.int64)
        if size and not 0 <= ids.min() <= ids.max() < rows:
            raise ValueError(f"row {ids.max()}")
        seen[ids] = True
    if not seen.all():
        raise ValueError(f"row {int(seen.argmin())} is in no list")
    return offsets_C


def _width(books: np.ndarray) -> int:
    """Bytes of a row's code: 4 bits for each book, of which FAISS wants an even number."""
    return (len(books) + 1) // 2


def _mapped(path: Path, opened: TensorFile, offsets_C: np.ndarray) -> Any:
    """The lists where they lie in the file."""
    sizes_C, width = opened.arrays["sizes"], _width(opened.arrays["books"])
    held = library.OnDiskInvertedLists(len(sizes_C), width, str(path))
    places = zip(offsets_C.tolist(), sizes_C.tolist(), _rooms(sizes_C).tolist(), strict=True)
    held.lists.clear()
    for offset, size, room in places:
        one = library.OnDiskOneList()
        one.offset, one.size, one.capacity = opened.starts["lists"] + offset, size, room
        held.lists.push_back(one)
    held.totsize, held.read_only, held.prefetch_nthread = len(opened.pages), True, 0
    held.do_mmap()
    return held
