"""Attention inside a packed step, for any model of transformers that lets its attention be chosen.

Every block (see packing) is one product of its rows with all they may see: what stands before the
block, which all of its rows see, and the block itself under a mask.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from lmtx_ray.teacher.packing import Block, Step

NAME = "lmtx_packed"
FOREIGN = ("softcap", "s_aux")  # what models add to attention, not done here
Span = tuple[int, int]


class NotPacked(Exception):
    """The model's attention does what packed steps do not."""


@dataclass(frozen=True)
class Product:
    """One block: its rows, the spans of rows it sees (itself last), and what is added to the
    scores [rows, seen]; None where that is plainly causal."""

    rows: slice
    seen: tuple[slice, ...]
    mask: torch.Tensor | None


@dataclass
class Seen:
    """A step for all layers of a model, and how many of them have asked for it."""

    products: Sequence[Product]
    ends: torch.Tensor  # rows that answers follow
    longest: int  # tokens that a prompt may have
    layers: int = 0

    @cached_property
    def of_ends(self) -> list[Product]:
        """The products of the rows that answers follow, counted among these: a last layer needs no
        others."""
        return [*_of_ends(self.products, self.ends.tolist())]


CURRENT: ContextVar[Seen] = ContextVar("packed step")


@contextmanager
def step_of(
    step: Step, dtype: torch.dtype, device: torch.device, longest: int = 0
) -> Iterator[Seen]:
    """What models that run in the block attend to. Prompts of other steps have up to `longest`
    tokens: a model that does not see so many is refused at its first step."""
    products = [_product(block, _within(dtype, device), device) for block in step.blocks]
    ends = torch.tensor(step.ends, device=device)
    seen = Seen(products, ends, max(longest, max(step.positions) + 1))
    token = CURRENT.set(seen)
    try:
        yield seen
    finally:
        CURRENT.reset(token)


def _within(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """What attention is computed in: a CPU's kernel is slower in few bits for products so small."""
    return torch.float32 if device.type == "cpu" else dtype


def _product(block: Block, dtype: torch.dtype, device: torch.device) -> Product:
    spans = (*block.before, (block.first, block.last))
    seen = tuple(slice(*span) for span in _joined(spans))
    plain = len(block.pieces) == 1 and not block.before
    mask = None if plain else _mask(block, dtype).to(device)
    return Product(slice(block.first, block.last), seen, mask)


def _of_ends(products: Sequence[Product], ends: Sequence[int]) -> Iterator[Product]:
    """Of those products that have ends among their rows, these alone. Both are in order."""
    for product in products:
        first, last = (bisect_left(ends, row) for row in (product.rows.start, product.rows.stop))
        if last > first:
            rows = [end - product.rows.start for end in ends[first:last]]
            mask = None if product.mask is None else product.mask[:, :, rows]
            yield Product(slice(first, last), product.seen, mask)


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Spans, those that touch as one."""
    joined = [spans[0]]
    for first, last in spans[1:]:
        if joined[-1][1] == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _mask(block: Block, dtype: torch.dtype) -> torch.Tensor:
    rows = block.last - block.first
    lengths = torch.tensor(block.pieces)
    piece_R = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    own_RR = (piece_R[:, None] == piece_R[None, :]).tril()
    before = sum(last - first for first, last in block.before)
    mask_RS = torch.zeros(rows, before + rows, dtype=dtype)
    mask_RS[:, before:].masked_fill_(~own_RR, float("-inf"))
    return mask_RS[None, None]


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it: query [1, heads, T, d], key and value [1, own heads, T, d] in,
    [1, T, heads, d] out. Raises NotPacked where the model wants more than plain attention."""
    step = CURRENT.get()
    _refuse(step, more)
    return attend_blocks(step, query, key, value, scaling)[None], None


def attend_blocks(
    step: Seen,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    at_ends: bool = False,
) -> torch.Tensor:
    """The same for a step, [T, heads, d] out, with queries `at_ends` alone for these; counts the
    layer."""
    step.layers += 1
    out_THd = query.new_empty(query.shape[2], query.shape[1], value.shape[-1])
    within = _within(query.dtype, query.device)
    query, key, value = (one.to(within) for one in (query, key, value))
    for product in step.of_ends if at_ends else step.products:
        seen = product.seen
        keys, values = (
            one[:, :, seen[0]] if len(seen) == 1 else torch.cat([one[:, :, s] for s in seen], 2)
            for one in (key, value)
        )
        out_THd[product.rows] = scaled_dot_product_attention(
            query[:, :, product.rows],
            keys,
            values,
            attn_mask=product.mask,
            is_causal=product.mask is None and not at_ends,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )[0].transpose(0, 1)
    return out_THd


def _refuse(step: Seen, more: dict[str, Any]) -> None:
    foreign = [name for name in FOREIGN if more.get(name) is not None]
    if foreign:
        raise NotPacked(f"its attention has {foreign[0]}")
    window = more.get("sliding_window")
    if window is not None and window < step.longest:
        raise NotPacked(
            f"its attention sees {window} tokens, and a question may have {step.longest}: lower "
            f"judge.teacher.max_document_tokens by {step.longest - window}"
        )
