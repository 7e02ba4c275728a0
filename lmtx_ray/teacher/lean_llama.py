"""Packed steps through models of Llama's build, with fewer passes over memory.

On a CPU a small model spends more time on norms, rotations and copies than on its products. Here
projections that read the same rows are one product, sums go into products, halves are turned in
place, and of the last layer only the rows that answers follow go on. What it computes is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from lmtx_ray.teacher.packed_attention import Seen, attend_blocks

KINDS = ("llama", "mistral", "qwen2", "qwen3")


def is_lean(model: Any) -> bool:
    """Whether a model of transformers is of this build, as those that are published are."""
    config = model.config
    if config.model_type not in KINDS or config.hidden_act != "silu":
        return False
    first = model.model.layers[0]
    parts = (first.self_attn.o_proj, first.mlp.gate_proj, first.mlp.up_proj, first.mlp.down_proj)
    biased = any(part.bias is not None for part in parts)
    return not biased and not getattr(config, "sliding_window", None)


@dataclass(frozen=True)
class Layer:
    """Weights of one layer; `inputs` are those of query, key and value, `gates` of gate and up."""

    before: torch.Tensor
    inputs: torch.Tensor
    bias: torch.Tensor | None
    query_norm: torch.Tensor | None
    key_norm: torch.Tensor | None
    output: torch.Tensor
    between: torch.Tensor
    gates: torch.Tensor
    down: torch.Tensor


def _layer(layer: Any) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    biases = [part.bias for part in parts if part.bias is not None]
    norms = [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
    query_norm, key_norm = (None if norm is None else norm.weight for norm in norms)
    return Layer(
        before=layer.input_layernorm.weight,
        inputs=torch.cat([part.weight for part in parts]),
        bias=torch.cat(biases) if biases else None,
        query_norm=query_norm,
        key_norm=key_norm,
        output=attention.o_proj.weight.t(),
        between=layer.post_attention_layernorm.weight,
        gates=torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
        down=mlp.down_proj.weight.t(),
    )


class LeanLlama:
    """The weights of a model of transformers, and its forward pass over packed steps."""

    def __init__(self, model: Any) -> None:
        inner, config = model.model, model.config
        heads = config.num_attention_heads
        self._size = getattr(config, "head_dim", None) or config.hidden_size // heads
        self._heads = heads, config.num_key_value_heads
        self._epsilon, self._rotary = config.rms_norm_eps, inner.rotary_emb
        self._embedding, self._norm = inner.embed_tokens.weight, inner.norm.weight
        self._head = model.get_output_embeddings().weight
        with torch.inference_mode():
            self._layers = [_layer(layer) for layer in inner.layers]

    def logits(self, ids_T: torch.Tensor, positions_T: torch.Tensor, seen: Seen) -> torch.Tensor:
        """Of the tokens behind the rows `seen.ends` [ends, vocabulary]."""
        rows_TE = functional.embedding(ids_T, self._embedding)
        turns = self._rotary(rows_TE[None], positions_T[None])
        cos, sin = (one[0].unsqueeze(1) for one in turns)  # [T, 1, size]
        for layer in self._layers[:-1]:
            rows_TE = self._fed(layer, self._attended(layer, rows_TE, cos, sin, seen))
        last = self._layers[-1]
        ends_PE = self._fed(last, self._attended(last, rows_TE, cos, sin, seen, at_ends=True))
        return functional.linear(self._normed(ends_PE, self._norm), self._head)

    def _normed(self, rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Root mean square norm (Zhang and Sennrich 2019): torch's own takes more passes."""
        wide = rows.float()
        squares = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_()
        scale = squares.div_(rows.shape[-1]).add_(self._epsilon).rsqrt_()
        return (wide * scale).to(rows.dtype) * weight

    def _attended(
        self,
        layer: Layer,
        rows_TE: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        seen: Seen,
        at_ends: bool = False,
    ) -> torch.Tensor:
        queries, keys = self._heads
        made = functional.linear(self._normed(rows_TE, layer.before), layer.inputs, layer.bias)
        made_THd = made.view(len(rows_TE), queries + 2 * keys, self._size)
        turned = made_THd[:, : queries + keys]
        if layer.query_norm is not None and layer.key_norm is not None:
            query = self._normed(turned[:, :queries], layer.query_norm)
            turned = torch.cat([query, self._normed(turned[:, queries:], layer.key_norm)], 1)
        turned = _turned(turned, cos, sin)
        parts = (turned[:, :queries], turned[:, queries:], made_THd[:, queries + keys :])
        query, key, value = (part.transpose(0, 1)[None] for part in parts)
        if at_ends:
            query, rows_TE = query[:, :, seen.ends], rows_TE[seen.ends]
        out_THd = attend_blocks(seen, query, key, value, self._size**-0.5, at_ends)
        return torch.addmm(rows_TE, out_THd.view(len(rows_TE), -1), layer.output)

    def _fed(self, layer: Layer, rows_TE: torch.Tensor) -> torch.Tensor:
        gates = functional.linear(self._normed(rows_TE, layer.between), layer.gates)
        gate, up = gates.chunk(2, -1)
        return torch.addmm(rows_TE, functional.silu(gate).mul_(up), layer.down)


def _turned(rows_THd: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rows turned by their positions, the two halves of each head as pairs."""
    half = rows_THd.shape[-1] // 2
    turned = rows_THd * cos
    turned[..., :half].addcmul_(rows_THd[..., half:], sin[..., :half], value=-1)
    turned[..., half:].addcmul_(rows_THd[..., :half], sin[..., half:])
    return turned
