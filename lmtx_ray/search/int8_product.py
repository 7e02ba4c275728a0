"""Matrix products in 8-bit integers, through oneDNN: exact sums, and fast on a CPU that has
instructions for them, see `hardware.has_int8`.

Shapes: T rows of I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from lmtx_ray.search.int8_rows import LEAST, MIDDLE


class Int8Product:
    """x_TI @ weight_OI.T + bias_O with the weight in int8, a scale for each output."""

    def __init__(self, weight_OI: torch.Tensor, bias_O: torch.Tensor | None = None) -> None:
        self._bias_O = bias_O
        self._scale_O = weight_OI.abs().amax(1).clamp(min=LEAST) / 127
        whole_OI = (weight_OI / self._scale_O[:, None]).round().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(whole_OI, None)
        self._zero_O = torch.zeros(len(weight_OI), dtype=torch.int32)

    def __call__(self, x_TI: torch.Tensor, scale: float, zero: int) -> torch.Tensor:
        """float32 [T, O] of uint8 that mean scale * (x_TI - zero)."""
        return self._multiply(x_TI, scale, zero, 1.0, 0, torch.float32, "none")

    def gelu(
        self, x_TI: torch.Tensor, scale: float, zero: int, out_scale: float, out_zero: int
    ) -> torch.Tensor:
        """uint8 [T, O] that mean out_scale * (y_TO - out_zero): GELU of the product."""
        return self._multiply(x_TI, scale, zero, out_scale, out_zero, torch.uint8, "gelu")

    def _multiply(
        self,
        x_TI: torch.Tensor,
        scale: float,
        zero: int,
        out_scale: float,
        out_zero: int,
        dtype: torch.dtype,
        then: str,
    ) -> torch.Tensor:
        return _pointwise(
            x_TI,
            scale,
            zero,
            self._weight,
            self._scale_O,
            self._zero_O,
            self._bias_O,
            out_scale,
            out_zero,
            dtype,
            then,
        )


def rows_by_few(few_BD: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from bytes_RD to float32 products_RB with `few_BD`, int8; byte MIDDLE means 0.

    The many rows are oneDNN's input here and the few its weight: an input is read as it lies, while
    a weight is first put into an order of oneDNN's own, in memory of the process.
    """
    weight = torch.ops.onednn.qlinear_prepack(few_BD, None)
    one_B, zero_B = torch.ones(len(few_BD)), torch.zeros(len(few_BD), dtype=torch.int32)
    return lambda bytes_RD: _pointwise(
        bytes_RD, 1.0, MIDDLE, weight, one_B, zero_B, None, 1.0, 0, torch.float32, "none"
    )


def _pointwise(*arguments: object) -> torch.Tensor:
    return torch.ops.onednn.qlinear_pointwise(*arguments, [], "none")


def whole(centred_TI: torch.Tensor) -> torch.Tensor:
    """Round in place, within -128 to 127."""
    return centred_TI.round_().clamp_(-MIDDLE, MIDDLE - 1)


def to_uint8(whole_TI: torch.Tensor) -> torch.Tensor:
    """MIDDLE more than the whole numbers of `whole`."""
    # a cast to int8 takes a sixth of the time of one to uint8
    return whole_TI.to(torch.int8).view(torch.uint8).bitwise_xor_(MIDDLE)
