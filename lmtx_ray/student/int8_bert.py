"""A BERT whose linear layers multiply 8-bit integers: 1.8 times as fast as bfloat16 on a CPU that
has instructions for it.

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

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from lmtx_ray.search.int8_product import Int8Product, to_uint8, whole
from lmtx_ray.search.int8_rows import LEAST, MIDDLE
from lmtx_ray.student.packed_bert import is_bert

SMOOTHING = 0.5  # the part of an input's scale that its weights take
KEYS = 16  # attention is over a multiple of so many rows: a remainder goes number by number
LEAST_STEP = 16  # see row_step

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

    def __call__(self, x_TH: torch.Tensor, runs: Sequence[Run]) -> torch.Tensor:
        """float32 [T, H] of float32 x_TH, whose rows are the tokens of all `runs` in a row."""
        attended_TH = self._attend(self._qkv(self._qkv.quantize(x_TH)), runs)
        attended_TH = self._attended(self._attended.quantize(attended_TH))
        x_TH = self._norms[0](attended_TH.add_(x_TH))
        inner = self._inner.gelu_for(self._outer, self._inner.quantize(x_TH))
        return self._norms[1](self._outer(inner).add_(x_TH))

    def _attend(self, qkv: torch.Tensor, runs: Sequence[Run]) -> torch.Tensor:
        wide, hidden = qkv.shape[1], qkv.shape[1] // 3
        size = hidden // self._heads
        attended_TH = torch.zeros(len(qkv), hidden)
        for run in runs:
            # a view for keys and values of more rows than the text has: the next text's, masked
            strides, start = (run.width * wide, size, wide, 1), run.start * wide
            long, exact = ((run.texts, self._heads, rows, size) for rows in (run.keys, run.width))
            query = qkv.as_strided(exact, strides, start)
            key, value = (qkv.as_strided(long, strides, start + n * hidden) for n in (1, 2))
            found = nn.functional.scaled_dot_product_attention(query, key, value, run.mask)
            attended_TH[run.start : run.stop] = found.transpose(1, 2).reshape(-1, hidden)
        return attended_TH


class Run:
    """`texts` texts of `width` tokens each, from row `start` on; attention is over `keys` rows."""

    def __init__(self, texts: int, width: int, start: int) -> None:
        self.texts, self.width, self.start = texts, width, start
        self.stop = start + texts * width
        self.keys = width + -width % KEYS
        self.mask = torch.zeros(1, self.keys)
        self.mask[:, width:] = -torch.inf
        self.last_row = self.stop + self.keys - width


def runs_of(lengths: Sequence[int]) -> list[Run]:
    """Runs of equal lengths."""
    runs: list[Run] = []
    for width, same in itertools.groupby(lengths):
        runs.append(Run(len(list(same)), width, runs[-1].stop if runs else 0))
    return runs


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
        runs = runs_of([len(row) for row in ids])
        tokens = torch.tensor([token for row in ids for token in row])
        places = torch.cat([torch.arange(run.width).repeat(run.texts) for run in runs])
        x_TH = self._embeddings(input_ids=tokens[None], position_ids=places[None])[0]
        rows = max(run.last_row for run in runs)
        rows += -rows % row_step(rows)
        x_TH = nn.functional.pad(x_TH, (0, 0, 0, rows - len(x_TH)))
        for layer in self._layers:
            x_TH = layer(x_TH, runs)
        return [x_TH[run.start : run.stop].view(run.texts, run.width, -1) for run in runs]


def row_step(rows: int) -> int:
    """What the number of rows is rounded up to a multiple of: LEAST_STEP, or at most 1/32 of them.

    oneDNN generates code for each number of rows, milliseconds long, and forgets the oldest of
    1,024 products: few numbers have to be seen often.
    """
    return max(LEAST_STEP, 1 << max(rows.bit_length() - 6, 0))


def is_supported(model: Any) -> bool:
    """Whether `model` is what Int8Bert computes."""
    return is_bert(model) and model.config.model_type == "bert"


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
        with torch.inference_mode():  # the ranges are kept, and would hold all activations
            observe()
    finally:
        torch.set_num_threads(threads)
        for hook in hooks:
            hook.remove()
    return seen
