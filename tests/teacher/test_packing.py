"""Packed steps: what each prompt's last token sees is its prompt, at its positions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmtx_ray.teacher import packing
from lmtx_ray.teacher.packing import Block, Limits, Step, begins_alike, pack, shared, steps

MANY = Limits(10**6, 10**6)
TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=6)  # few, so that many begin alike
DOCUMENTS = st.lists(st.lists(TOKENS, max_size=5), max_size=5)


def seen_from(step: Step, row: int) -> list[tuple[int, int]]:
    """(token, position) of all that a row attends to, itself last."""
    block = next(block for block in step.blocks if block.first <= row < block.last)
    rows = [place for span in block.before for place in range(*span)]
    start = block.first
    for length in block.pieces:
        if row < start + length:
            rows += range(start, row + 1)
            break
        start += length
    return [(step.tokens[place], step.positions[place]) for place in rows]


@given(DOCUMENTS, st.integers(1, 30), st.integers(1, 6), st.integers(1, 8))
def test_every_prompt_is_seen_whole_in_its_order(
    documents: list[list[list[int]]], tokens: int, prompts: int, group: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "GROUP_TOKENS", group)
        packed = [pack(parts) for parts in steps(documents, Limits(tokens, prompts))]
    seen = [seen_from(step, end) for step in packed for end in step.ends]
    wanted = [list(zip(p, range(len(p)), strict=True)) for ps in documents for p in ps]
    assert seen == wanted
    assert all(step.blocks[-1].last == len(step.tokens) for step in packed)


def test_what_all_share_stands_once() -> None:
    (parts,) = steps([[[1, 2, 3, 4], [1, 2, 3, 5]], [[1, 2, 6, 7]]], MANY)
    step = pack(parts)
    assert step.tokens == [1, 2, 3, 4, 5, 6, 7]
    assert step.positions == [0, 1, 2, 3, 3, 2, 3]
    assert step.blocks[0] == Block(0, 2, (), (2,))
    assert step.blocks[2] == Block(3, 5, ((0, 2), (2, 3)), (1, 1))


def test_a_document_with_too_many_labels_for_a_step_is_begun_again() -> None:
    prompts = [[1, 1, 1, label, label] for label in range(2, 7)]
    assert [len(part.endings) for part in shared(prompts, 8)] == [2, 2, 1]
    assert all(part.start == [1, 1, 1] for part in shared(prompts, 8))
    assert [len(part.endings) for part in shared(prompts, 2)] == [1] * 5


def test_limits_end_a_step() -> None:
    documents = [[[n, 9, 9]] for n in range(4)]
    assert [len(step) for step in steps(documents, Limits(6, 10))] == [2, 2]
    for most in (1, 2):
        found = [len(step) for step in steps(documents, Limits(100, most))]
        assert found == [most] * (4 // most)
    assert list(steps([[], []], MANY)) == []


@pytest.mark.parametrize(
    ("prompts", "alike"), [([[1, 2], [1, 2, 3]], [1, 2]), ([[1], [2]], []), ([[4, 5]], [4, 5])]
)
def test_a_common_beginning(prompts: list[list[int]], alike: list[int]) -> None:
    assert begins_alike(prompts) == alike
