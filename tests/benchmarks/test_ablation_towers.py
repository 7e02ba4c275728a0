"""Two towers: each reads its own side of a batch, and both are kept."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.ablation_towers import Towers, label_tower, save
from benchmarks.ablation_training import Change, vectors_of
from lmtx_ray.config.components import FitConfig
from tests.tiny import save_encoder

CONFIG = FitConfig(dtype="float32")
DOCUMENTS, NAMES = ["a study of asthma", "pain"], ["asthma disease", "pain", "a study"]


def test_each_side_is_read_by_its_own_encoder(tmp_path: Path) -> None:
    start = save_encoder(tmp_path)
    change = Change({"contrast": 1.0}, towers=True)
    one, two = (vectors_of(start, CONFIG, given).eval() for given in (Change({}), change))
    assert isinstance(two, Towers)
    ids = two.tokens(DOCUMENTS, NAMES)
    mixed = [ids[place] for place in (3, 0, 4, 1, 2)]
    before = two(mixed)
    assert torch.allclose(before, one(mixed), atol=1e-5)  # both begin alike
    with torch.no_grad():
        for weights in two.of_labels.parameters():
            weights.mul_(1.1)
    moved = (two(mixed) - before).abs().amax(dim=1) > 1e-4
    assert moved.tolist() == [True, False, True, False, True]
    ended = str(tmp_path / "encoder-1")
    save(two, ended)
    assert torch.allclose(vectors_of(ended, CONFIG, change).eval()(mixed), two(mixed), atol=1e-5)


def test_an_encoder_without_a_tower_beside_it_reads_labels_itself(tmp_path: Path) -> None:
    folder = str(tmp_path / "encoder-1")
    save(vectors_of(save_encoder(tmp_path), CONFIG, Change({})), folder)
    assert label_tower(folder) == folder
