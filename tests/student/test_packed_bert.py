"""A step of training is the library's step: without padding, in chunks, with or without dropout."""

from __future__ import annotations

import pytest
import torch
from sentence_transformers import SentenceTransformer

from lmtx_ray.config.components import FitConfig
from lmtx_ray.student import training
from lmtx_ray.student.any_model import load_model
from lmtx_ray.student.batching import Batch, soft_batch
from lmtx_ray.student.data_parallel import TextVectors
from lmtx_ray.student.packed_bert import can_pack
from tests.tiny import TOPICS, save_encoder

NAMES = [f"{topic} disease" + " pain" * (place % 3) for place, topic in enumerate(TOPICS)]
Gradients = dict[str, torch.Tensor]


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_encoder(tmp_path_factory.mktemp("models"), request.param)


def batch() -> Batch:
    rows = [
        {
            "title": None,
            "text": f"a study of {topic} " + "pain " * (3 * place),
            "positives": [place],
            "targets": [0.9],
            "hard_negatives": [(place + 1) % len(TOPICS)],
        }
        for place, topic in enumerate(TOPICS)
    ]
    return soft_batch(rows, NAMES, hard=1)


def gradients(student: SentenceTransformer, packs: bool = True, **settings: object) -> Gradients:
    """Those of one step on the batch, by descent of one unit."""
    settings = {"dtype": "float32", "learning_rate": 1.0, "warmup": 0, **settings}
    config = FitConfig(**settings)
    vectors = TextVectors(student.train(), config)
    vectors._packs = vectors._packs and packs
    before = {name: value.detach().clone() for name, value in student.named_parameters()}
    plain = torch.optim.SGD(student.parameters(), lr=1.0)
    training.train_step(vectors, plain, batch(), config, step=0, total=1000)
    return {name: before[name] - value.detach() for name, value in student.named_parameters()}


def apart(one: Gradients, two: Gradients) -> float:
    most = max(float(value.abs().max()) for value in one.values())
    return max(float((one[name] - two[name]).abs().max()) for name in one) / most


def test_texts_without_padding_give_the_gradient_of_the_librarys_model(encoder: str) -> None:
    assert can_pack(load_model(encoder, "cpu"))
    packed, library = (gradients(load_model(encoder, "cpu"), packs) for packs in (True, False))
    assert any(value.abs().max() > 0 for value in packed.values())
    assert apart(library, packed) < 1e-4


@pytest.mark.parametrize("packs", [True, False])
def test_bfloat16_leads_the_same_way(encoder: str, packs: bool) -> None:
    wide, narrow = (
        gradients(load_model(encoder, "cpu"), packs, dtype=dtype)
        for dtype in ("float32", "bfloat16")
    )
    one, two = (torch.cat([value.flatten() for value in g.values()]) for g in (wide, narrow))
    assert float(torch.nn.functional.cosine_similarity(one, two, dim=0)) > 0.99


def test_attention_is_in_float32_where_all_else_is_in_bfloat16(
    encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def attending(query: torch.Tensor, *rest: torch.Tensor, **more: float) -> torch.Tensor:
        seen.append(query.dtype)
        return attention(query, *rest, **more)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attending)
    gradients(load_model(encoder, "cpu"), True, dtype="bfloat16", token_budget=64)
    assert set(seen) == {torch.float32}  # whose gradient takes a third of the time


@pytest.mark.parametrize("packs", [True, False])
def test_a_batch_in_chunks_gives_the_gradient_of_the_whole(encoder: str, packs: bool) -> None:
    whole, cached = (
        gradients(load_model(encoder, "cpu"), packs, token_budget=budget) for budget in (16384, 64)
    )
    assert apart(whole, cached) < 1e-4


def test_dropout_falls_alike_in_both_passes_of_a_chunk(encoder: str) -> None:
    """Or the gradients would be those of other vectors than the loss saw."""
    student = load_model(encoder, "cpu")
    config = FitConfig(dtype="float32", token_budget=64, dropout=0.3)
    vectors = TextVectors(student.train(), config)
    seen: list[torch.Tensor] = []
    vectors.register_forward_hook(lambda module, inputs, found: seen.append(found.detach()))
    optimizer = training.new_optimizer(student, config)
    training.train_step(vectors, optimizer, batch(), config, step=0, total=10)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert len(first) == len(second) > 1
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert not torch.equal(first[0], vectors(vectors.tokens([], NAMES)[: len(first[0])]))


def test_dropout_is_the_models_own_unless_it_is_given(encoder: str) -> None:
    for given, expected in ((None, 0.1), (0.0, 0.0), (0.2, 0.2)):
        student = load_model(encoder, "cpu")
        TextVectors(student, FitConfig(dropout=given))
        found = {part.p for part in student.modules() if isinstance(part, torch.nn.Dropout)}
        assert found == {expected}
    assert FitConfig(recipe="paper").dropout is None
