"""Steps of a packed judge that are computed side by side."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher.packed_model import CannotPack, shares
from tests.engine.test_packed import MIXED, SMALL, TINY, saved, teacher_of
from tests.tiny import save_judge

MOVING = {
    **{"rope_type": "longrope", "rope_theta": 10_000.0, "factor": 2.0},
    **{"short_factor": [1.0] * 8, "long_factor": [2.0] * 8},
    "original_max_position_embeddings": 48,
}


def test_cores_are_shared_evenly() -> None:
    assert [shares(cores) for cores in (1, 2, 3, 4)] == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert [shares(cores) for cores in (5, 8, 13, 16)] == [(2, 2), (4, 2), (3, 4), (4, 4)]


def test_four_at_once_answer_as_one_after_the_other(tmp_path: Path) -> None:
    asked = pa.concat_tables([MIXED] * 12)
    config = TeacherConfig(
        **{**SMALL, "model": save_judge(tmp_path), "max_num_batched_tokens": 256}
    )
    alone = teacher_of(config).judge(asked)
    together = teacher_of(config.model_copy(update={"threads": 4}))
    for _ in range(3):
        assert together.judge(asked).equals(alone)


def test_positions_that_change_with_a_prompts_length_are_refused(tmp_path: Path) -> None:
    """Another prompt in the step, or beside it, would change them."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**TINY, rope_parameters=MOVING))
    config = saved(model, tmp_path)
    with pytest.raises(CannotPack, match="positions change with prompts of more than 48"):
        teacher_of(config)
