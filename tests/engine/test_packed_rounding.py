"""A model in few bits is packed all the same, and one that packing would change is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher import packed_attention, packed_model
from lmtx_ray.teacher.packed import PackedTeacher
from lmtx_ray.teacher.packed_model import PackedModel
from lmtx_ray.teacher.packing import Block
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import Unlimited
from tests.tiny import save_chat

TAG = get_prompt("tag")


def test_a_model_in_few_bits_is_not_refused_for_its_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TeacherConfig(
        model=save_chat(tmp_path, "llama3"), engine="packed", dtype="bfloat16", threads=1
    )
    looked_at = []
    exactly = PackedModel._in_float32
    monkeypatch.setattr(
        PackedModel, "_in_float32", lambda model: looked_at.append(1) or exactly(model)
    )
    monkeypatch.setattr(packed_model, "MOST_APART", 1e-4)  # more than float32 rounds
    assert PackedTeacher(config, TAG, Unlimited())._model
    assert looked_at
    # labels that see each other are no rounding
    monkeypatch.setattr(packed_attention, "_mask", all_before)
    with pytest.raises(ConfigError, match=r"they answer otherwise than one by one"):
        PackedTeacher(config, TAG, Unlimited())


def all_before(block: Block, dtype: torch.dtype) -> torch.Tensor:
    rows = block.last - block.first
    before = sum(last - first for first, last in block.before)
    mask_RS = torch.zeros(rows, before + rows, dtype=dtype)
    later_RR = torch.ones(rows, rows, dtype=torch.bool).triu(1)
    mask_RS[:, before:].masked_fill_(later_RR, float("-inf"))
    return mask_RS[None, None]
