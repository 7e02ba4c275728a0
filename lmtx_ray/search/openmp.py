"""How many threads the libraries of this process use for what one thread of ours asks of them."""

from __future__ import annotations

import sys

from threadpoolctl import ThreadpoolController


def limit_threads(threads: int) -> None:
    """Of OpenMP in the calling thread, in each library that has a copy of it: all keep it for each
    thread. torch sets its own when first asked, so it is asked before."""
    if "torch" in sys.modules:
        sys.modules["torch"].get_num_threads()
    ThreadpoolController().select(user_api="openmp").limit(limits=threads)
