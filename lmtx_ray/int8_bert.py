"""A BERT whose linear layers multiply 8-bit integers: half the time of bfloat16 on a CPU that has
instructions for it.

Weights are int8 with a scale for each output; activations uint8 with one scale and zero point for
each layer, from the values that a few texts gave it (static quantisation). Before that each input's
scale is shared out between activation and weight (SmoothQuant, Xiao et al. 2023, equation 4), which
keeps single large inputs from taking the resolution of all others.

Sums of integers are exact and everything else happens token by token or text by text. So texts of
any lengths share one matrix product without padding, and a text's bits do not depend on the others.

Shapes: T tokens of all texts one after another, I inputs and O outputs of a layer, B texts of W
tokens each, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from lmtx_ray.int8_product import LEAST, MIDDLE, Int8Product, is_there, to_uint8, whole

SMOOTHING = 0.5  # the part of an input's scale that its weights take
STEP = 16  # tokens: oneDNN generates code for each number of rows, up to 5 ms, and keeps 1,024

Range = tuple[torch.Tensor, torch.Tensor]  # lowest and highest value of each input, float32 [I]


class Int8Linear:
    """x_TI @ weight_OI.T + bias_O in int8, in the range that was seen; values beyond it are cut."""

    def __init__(self, layers: Sequence[nn.Linear], seen: Range, smooth: bool = True) -> None:
        """Several layers of the same input become one."""
        weight_OI = torch.cat([layer.weight.detach().float() for layer in layers])
        bias_O = torch.cat([layer.bias.detach().float() for layer in layers])
        low_I, high_I = seen
        share_I = shares(weight_OI, seen) if smooth else torch.ones_like(low_I)
        low = min((low_I / share_I).min().item(), 0.0)
        high = max((high_I / share_I).max().item(), low + LEAST)
        self.scale = (high - low) / 255
        self.zero = round(-low / self.scale)
        self._times_I = 1 / (share_I * self.scale)
        self._plus = torch.tensor(float(self.zero - MIDDLE))
        self._product = Int8Product(weight_OI * share_I, bias_O)

    def quantize(self, x_TI: torch.Tensor) -> torch.Tensor:
        """uint8 [T, I] of float32."""
        return to_uint8(whole(torch.addcmul(self._plus, x_TI, self._times_I)))

    def __call__(self, quantized_TI: torch.Tensor) -> torch.Tensor:
        """float32 [T, O] of what `quantize` gave."""
        return self._product(quantized_TI, self.scale, self.zero)

    def gelu_for(self, following: Int8Linear, quantized_TI: torch.Tensor) -> torch.Tensor:
        """GELU of the outputs, as `following.quantize` would give them: uint8 [T, O]."""
        own, other = (self.scale, self.zero), (following.scale, following.zero)
        return self._product.gelu(quantized_TI, *own, *other)


def shares(weight_OI: torch.Tensor, seen: Range) -> torch.Tensor:
    """What each input is divided by and its weights are multiplied by: float32 [I]."""
    most_I = torch.maximum(seen[0].abs(), seen[1].abs()).clamp(min=LEAST)
    weight_I = weight_OI.abs().amax(0).clamp(min=LEAST)
    return most_I**SMOOTHING / weight_I ** (1 - SMOOTHING)


class Int8Layer:
    """One of the model's layers."""

    def __init__(self, layer: Any, seen: dict[nn.Linear, Range]) -> None:
        attention, output = layer.attention.self, layer.attention.output
        inner, outer = layer.intermediate.dense, layer.output.dense
        self._heads = attention.num_attention_heads
        three = [attention.query, attention.key, attention.value]
        self._qkv = Int8Linear(three, seen[attention.query])
        self._attended = Int8Linear([output.dense], seen[output.dense])
        self._inner = Int8Linear([inner], seen[inner])
        # its input comes as integers out of GELU: there is no place for a scale of each input
        self._outer = Int8Linear([outer], seen[outer], smooth=False)
        self._norms = output.LayerNorm.float(), layer.output.LayerNorm.float()

    def __call__(self, x_TH: torch.Tensor, groups: Sequence[tuple[int, int]]) -> torch.Tensor:
        attended_TH = self._attend(self._qkv(self._qkv.quantize(x_TH)), groups)
        attended_TH = self._attended(self._attended.quantize(attended_TH))
        x_TH = self._norms[0](attended_TH.add_(x_TH))
        inner = self._inner.gelu_for(self._outer, self._inner.quantize(x_TH))
        return self._norms[1](self._outer(inner).add_(x_TH))

    def _attend(self, qkv: torch.Tensor, groups: Sequence[tuple[int, int]]) -> torch.Tensor:
        tokens, hidden = len(qkv), qkv.shape[1] // 3
        attended_TH, start = torch.zeros(tokens, hidden), 0
        for texts, width in groups:
            own = slice(start, start + texts * width)
            parts = qkv[own].view(texts, width, 3, self._heads, hidden // self._heads)
            query, key, value = parts.permute(2, 0, 3, 1, 4)
            found = nn.functional.scaled_dot_product_attention(query, key, value)
            attended_TH[own] = found.transpose(1, 2).reshape(texts * width, hidden)
            start = own.stop
        return attended_TH


class Int8Bert:
    """A float32 `BertModel` in int8; the model gives up its layers."""

    def __init__(self, model: Any, observe: Callable[[], object]) -> None:
        """`observe` runs the model over the texts whose values set the ranges."""
        seen = observed_ranges(model.encoder.modules(), observe)
        self._embeddings = model.embeddings
        self._layers = [Int8Layer(layer, seen) for layer in model.encoder.layer]
        model.encoder.layer = nn.ModuleList()

    def __call__(self, ids: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """Hidden states of texts that are in order of their length: float32 [B, W, H] for each
        run of equal lengths."""
        groups: list[tuple[int, int]] = []
        for row in ids:
            again = bool(groups) and groups[-1][1] == len(row)
            texts = groups.pop()[0] + 1 if again else 1
            groups.append((texts, len(row)))
        tokens = torch.tensor([token for row in ids for token in row])
        places = torch.cat([torch.arange(width).repeat(texts) for texts, width in groups])
        x_TH = self._embeddings(input_ids=tokens[None], position_ids=places[None])[0]
        x_TH = nn.functional.pad(x_TH, (0, 0, 0, -len(x_TH) % STEP))
        for layer in self._layers:
            x_TH = layer(x_TH, groups)
        parts = x_TH[: len(tokens)].split([texts * width for texts, width in groups])
        return [part.view(*group, -1) for part, group in zip(parts, groups, strict=True)]


def is_supported(model: Any) -> bool:
    """Whether `model` is what Int8Bert computes, and torch has the product."""
    config = model.config
    return (is_there() and config.model_type == "bert" and config.hidden_act == "gelu"
            and not config.is_decoder)  # fmt: skip


def observed_ranges(
    modules: Iterable[nn.Module], observe: Callable[[], object]
) -> dict[nn.Linear, Range]:
    """The range of each linear layer's inputs while `observe` runs.

    It runs in one thread, as some sums depend on the number of threads and the ranges must not.
    """
    seen: dict[nn.Linear, Range] = {}

    def note(layer: nn.Linear, inputs: tuple[torch.Tensor, ...]) -> None:
        x_TI = inputs[0].flatten(0, -2)
        low_I, high_I = seen.get(layer, (x_TI[0], x_TI[0]))
        seen[layer] = torch.minimum(low_I, x_TI.amin(0)), torch.maximum(high_I, x_TI.amax(0))

    linear = [module for module in modules if isinstance(module, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(note) for layer in linear]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        observe()
    finally:
        torch.set_num_threads(threads)
        for hook in hooks:
            hook.remove()
    return seen
