"""Label vectors in lists of neighbours (IVF): a query looks into the lists nearest to it.

The lists are many and short, and each vector is in two. Which are near to a query is found by a
walk among their centres (`walk`). FAISS makes codes and searches them, in 4 bits for two values:
products are sums from a table of the query's own, for many rows in one instruction. What is found
is told apart by the vectors themselves, so more is found than is asked for.
Of FAISS's index the arrays alone are kept. The lists are searched where they are mapped, so all
processes of a machine hold them once; no index file has to be trusted, and what a list says of its
length and of its rows is checked.
Shapes: L labels, D dimensions, C lists, B queries, K found, P lists that are looked into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lmtx_ray.search.best_of import best_of
from lmtx_ray.search.index_choice import BLOCK, COPIES, LINKS, lists_and_books
from lmtx_ray.search.list_centres import ROUNDS, Cells, centres
from lmtx_ray.search.singly import prefer_matrices
from lmtx_ray.search.tensor_file import TensorFile, open_tensors, write_tensors
from lmtx_ray.search.walk import Walk, graph_of

library: Any = faiss  # whose stubs lack much of what is called here

INNER = library.METRIC_INNER_PRODUCT
SAMPLE = 8  # rows a list that k-means sees
MOST_CODED = 1 << 16  # rows that k-means of the codes sees
EF_CONSTRUCTION = 200
LEAST_WALK = 64  # centres that a walk keeps in mind
WALKED = 64  # times what a walk looks for are more lists than can be multiplied as fast
ASKED = 512  # queries whose products with all lists are held at a time
MOST_WIDTH = 4096  # lists
ID = 8  # bytes of a row's number
PACKED = 1 << 18  # rows whose codes are laid out at a time
ONE_ORDER = 13  # FAISS's way that takes a query's lists in one order, however many queries
PARTS = 2  # of a query's lists
WIDE = 6  # rows found for each that is asked for, of which many are found twice


def build(vectors_LD: np.ndarray, factory: str, path: Path, more: Mapping[str, np.ndarray]) -> None:
    """Write the lists of a `factory` such as "IVF1024,PQ192x4fs", and `more` arrays.

    On as many threads the same vectors have the same lists.
    """
    prefer_matrices(vectors_LD.shape[1])
    lists, books = lists_and_books(factory)
    centres_CD, coder = _trained(vectors_LD, lists, books)
    centres_CD, order_N, sizes_C = _filled(centres_CD, vectors_LD)
    graph, _held = graph_of(centres_CD, LINKS, EF_CONSTRUCTION)
    arrays = {
        **more,
        **graph,
        "books": library.vector_to_array(coder.pq.centroids).reshape(books, -1),
        "sizes": sizes_C,
    }
    total = int((_rooms(sizes_C) * (_width(arrays["books"]) + ID)).sum())
    codes_LM = coder.pq.compute_codes(np.ascontiguousarray(vectors_LD))
    pieces = _lists(codes_LM, order_N // COPIES, sizes_C, coder)
    # as whole numbers of 8 bytes, so that the file begins with them and they lie on multiples of 8
    write_tensors(path, arrays, {"lists": (("I64", (total // ID,)), pieces)})


def _trained(vectors_LD: np.ndarray, lists: int, books: int) -> tuple[np.ndarray, Any]:
    """Centres float32 [C, D], and what makes codes."""
    rows = np.linspace(0, len(vectors_LD) - 1, min(lists * SAMPLE, len(vectors_LD)))
    sample_SD = np.ascontiguousarray(vectors_LD[rows.astype(np.int64)])
    coder = library.IndexPQFastScan(vectors_LD.shape[1], books, 4, INNER, BLOCK)
    coder.pq.cp.niter = ROUNDS
    coder.train(sample_SD[:: -(-len(sample_SD) // MOST_CODED)])
    return centres(sample_SD, lists), coder


def _filled(
    centres_CD: np.ndarray, vectors_LD: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The centres of lists that hold rows, int64 [N]: places of rows in lists, COPIES to a row, in
    the order of their lists, and how many each list has."""
    list_N = Cells(centres_CD).nearest_two(vectors_LD).ravel()
    order_N = np.argsort(list_N, kind="stable")[np.count_nonzero(list_N < 0) :]
    sizes_C = np.bincount(list_N[order_N], minlength=len(centres_CD))
    # of centres that are alike one has all rows, and the others would be looked into for nothing
    filled_C = sizes_C > 0
    return centres_CD[filled_C], order_N, sizes_C[filled_C]


def _lists(
    codes_LM: np.ndarray, rows_N: np.ndarray, sizes_C: np.ndarray, coder: Any
) -> Iterator[np.ndarray]:
    """Codes and then row numbers of each list, as FAISS reads them: int64 of their bytes."""
    rooms_C, width = _rooms(sizes_C), codes_LM.shape[1]
    first_N = np.cumsum(sizes_C) - sizes_C
    starts = np.unique(np.cumsum(rooms_C) // PACKED, return_index=True)[1].tolist()
    for own in map(slice, starts, [*starts[1:], len(rooms_C)]):
        ends_C = np.cumsum(rooms_C[own])
        shift_C = ends_C - rooms_C[own] - first_N[own]
        entries = np.arange(first_N[own.start], first_N[own.start] + sizes_C[own].sum())
        place_N = entries + np.repeat(shift_C, sizes_C[own])
        ids, codes_NM = np.zeros(ends_C[-1], np.int64), np.zeros((ends_C[-1], width), np.uint8)
        ids[place_N], codes_NM[place_N] = rows_N[entries], codes_LM[rows_N[entries]]
        packed_NM = _packed(codes_NM, coder)
        for end, room in zip(ends_C.tolist(), rooms_C[own].tolist(), strict=True):
            yield packed_NM[end - room : end].ravel().view(np.int64)
            yield ids[end - room : end]


def _packed(codes_NM: np.ndarray, coder: Any) -> np.ndarray:
    """The same of whole blocks, in the order in which FAISS's instructions take them."""
    plain = library.IndexPQ(coder.d, coder.pq.M, coder.pq.nbits, INNER)
    library.copy_array_to_vector(codes_NM.ravel(), plain.codes)
    plain.ntotal, plain.is_trained = len(codes_NM), True
    packed = library.IndexPQFastScan(plain, BLOCK)
    flat = library.rev_swig_ptr(packed.codes.get(), packed.codes.size())
    return flat.reshape(codes_NM.shape).copy()


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
            self._walk = Walk(opened.arrays, len(offsets_C), vectors_LD.shape[1])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: no lists of {len(vectors_LD)} vectors ({error})") from error
        opened.forget()
        self._vectors_LD, self._number = vectors_LD, len(offsets_C)
        self._lists = _mapped(path, opened, offsets_C)
        self._coarse = library.IndexFlatIP(vectors_LD.shape[1])  # it is asked for, not searched
        self._index = self._of_books(opened.arrays["books"])

    @property
    def most(self) -> int:
        """All lists, or MOST_WIDTH of them."""
        return min(self._number, MOST_WIDTH)

    def search(self, queries_BD: np.ndarray, k: int, probes: int) -> np.ndarray:
        """rows_BK int64: k near rows of each query, of `probes` lists near to it (one fewer if that
        is odd), in no order and padded with -1; the same for a query alone as among others."""
        asked, parts = len(queries_BD), min(PARTS, probes, self._number)
        lists_BP = self._nearest_lists(queries_BD, min(probes, self._number) // parts * parts)
        # each part of a query's lists is asked by itself, always, so that two threads can share one
        lists_SP = lists_BP.reshape(asked, -1, parts).swapaxes(1, 2).reshape(asked * parts, -1)
        rows_SW = self._rows(queries_BD.repeat(parts, axis=0), WIDE * k // parts, lists_SP)
        rows_BW = np.sort(rows_SW.reshape(asked, -1), axis=1)
        rows_BW[:, 1:][rows_BW[:, 1:] == rows_BW[:, :-1]] = -1  # what two lists hold
        return best_of(queries_BD, self._vectors_LD, rows_BW, k)

    def _nearest_lists(self, queries_BD: np.ndarray, probes: int) -> np.ndarray:
        """lists_BP int64, and -1 where a walk found fewer."""
        if probes * WALKED <= self._number:
            return self._walk.nearest(queries_BD, probes, LEAST_WALK)
        starts = range(0, len(queries_BD), ASKED)
        pieces = [queries_BD[start : start + ASKED] for start in starts]
        return np.concatenate([self._walk.nearest_of_all(piece, probes) for piece in pieces])

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

    def _of_books(self, books: np.ndarray) -> Any:
        dimensions = self._vectors_LD.shape[1]
        index = library.IndexIVFPQFastScan(
            self._coarse, dimensions, self._number, len(books), 4, INNER, BLOCK
        )
        library.copy_array_to_vector(np.array(books).ravel(), index.pq.centroids)
        index.replace_invlists(self._lists, False)
        index.by_residual, index.is_trained, index.implem = False, True, ONE_ORDER
        index.ntotal = len(self._vectors_LD)
        return index


def _checked(arrays: Mapping[str, np.ndarray], rows: int, dimensions: int) -> np.ndarray:
    """Where each list begins in the array of lists, int64 [C]; ValueError for arrays that are not
    those of `rows` rows, each in one list or two."""
    sizes_C, lists, books = arrays["sizes"], arrays["lists"], arrays["books"]
    if not (sizes_C.size and books.size):
        raise ValueError("no list, or nothing to decode it by")
    wanted = {
        "books": ("<f4", (len(books), 16 * dimensions // len(books))),
        "sizes": ("<i8", sizes_C.shape[:1]),
        "lists": ("<i8", lists.shape[:1]),
    }
    found = {name: (arrays[name].dtype.str, arrays[name].shape) for name in wanted}
    if found != wanted or dimensions % len(books):
        raise ValueError(f"arrays {found}, not {wanted}")
    if not np.isfinite(books).all():
        raise ValueError("values that are not finite")
    if sizes_C.min() < 1 or sizes_C.max() > rows or not rows <= sizes_C.sum() <= COPIES * rows:
        raise ValueError(f"lists of {sizes_C.sum()} rows")
    width = _width(books)
    ends_C = np.cumsum(_rooms(sizes_C) * (width + ID))
    if ends_C[-1] != lists.nbytes:
        raise ValueError(f"lists of {lists.nbytes} bytes, not {ends_C[-1]}")
    offsets_C = np.concatenate([[0], ends_C[:-1]])
    ids_C = (offsets_C + _rooms(sizes_C) * width) // ID  # where they begin in each list
    place_N = np.repeat(ids_C - np.cumsum(sizes_C) + sizes_C, sizes_C)
    rows_N = lists[place_N + np.arange(len(place_N))]
    if not 0 <= rows_N.min() <= rows_N.max() < rows:
        raise ValueError(f"rows {rows_N.min()} to {rows_N.max()}")
    held = np.bincount(rows_N, minlength=rows)
    if not held.all():
        raise ValueError(f"row {int(held.argmin())} is in no list")
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
