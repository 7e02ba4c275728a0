"""Threads that each do all for some of the queries.

FAISS and torch share single products out to threads, and all that is between these is left to one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import faiss

from lmtx_ray.search.openmp import limit_threads

library: Any = faiss  # whose stubs lack the functions of OpenMP
LEAST_SHARED = 16  # queries of a thread that are worth its start
Found = TypeVar("Found")


def use_threads(number: int) -> None:
    """Of FAISS, for searches by the calling thread; OpenMP keeps this for each thread."""
    library.omp_set_num_threads(number)


def in_threads(work: Callable[[slice], Found], queries: int) -> list[Found]:
    """What `work` gave for spans of so many queries, in order: as many as FAISS may use threads
    here, which take an even share of these threads in turn; half as many, or a quarter, and so on,
    where queries are few."""
    threads = parts = library.omp_get_max_threads()
    while parts > 1 and queries < LEAST_SHARED * parts:
        parts //= 2  # and not one less: threads of each number of parts are kept
    if parts < 2:
        return [work(slice(0, queries))]
    ends = [queries * part // parts for part in range(parts + 1)]
    pool = _pool(parts, threads // parts, "torch" in sys.modules)
    return list(pool.map(work, map(slice, ends, ends[1:])))


@cache  # threads that were there before keep their memory
def _pool(parts: int, threads: int, with_torch: bool) -> ThreadPoolExecutor:
    """`with_torch` whether torch is among the libraries whose threads are limited."""
    return ThreadPoolExecutor(parts, "search", limit_threads, (threads,))


os.register_at_fork(after_in_child=_pool.cache_clear)  # which has none of the threads
