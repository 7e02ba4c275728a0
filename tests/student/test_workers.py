"""Any number of training workers come to the same weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lmtx_ray.config.components import FitConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.io.publish import Dataset
from lmtx_ray.student import training
from tests.tiny import save_encoder

# 49 examples in batches of 48: the second step of a pass has one, and most workers none
DEFAULT = {"batch_size": 48, "passes": 2, "token_budget": 256, "dtype": "float32"}
DEFAULT |= {"checkpoint_every": 1, "temperature": 5.0}  # gradients too small to be clipped
OLDER, NEWEST = "checkpoint-0000002", "checkpoint-0000003"  # what is left of the four steps
PAPER = {**DEFAULT, "recipe": "paper", "batch_size": 16}


JOBS = [
    *({"name": f"default-{n}", "config": DEFAULT, "works": [f"w{n}"] * n} for n in (1, 2, 4)),
    *({"name": f"paper-{n}", "config": PAPER, "works": [f"p{n}"] * n} for n in (1, 2)),
    {
        "name": "blind",
        "config": DEFAULT,
        "works": ["new", "old"],
        "copy": {"w1": "new", f"w1/{OLDER}": f"old/{OLDER}"},
    },
    {"name": "resumed", "config": DEFAULT, "works": ["old", "new"]},
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where the jobs were run, from an encoder without dropout: that would differ
    between workers."""
    folder = tmp_path_factory.mktemp("workers")
    start = Path(save_encoder(folder / "models")).rename(folder / "start")
    settings = start / "config.json"
    plain = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | plain))
    command = [sys.executable, "-m", "tests.student.workers", str(folder), json.dumps(JOBS)]
    subprocess.run(command, check=True, timeout=200, capture_output=True)
    return folder


def apart(folder: Path, name: str, other: str) -> float:
    """The largest difference of a weight, as a share of the largest change by training, of all but
    one in a thousand: Adam moves a weight whose gradient is rounding alone as far as others."""
    start, one, two = (load(folder / place) for place in ("start", name, other))
    changed = max((one[key] - start[key]).abs().max() for key in start)
    away = torch.cat([(one[key] - two[key]).abs().flatten() for key in start])
    return float(away.quantile(0.999) / changed)


def load(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.rglob("model.safetensors")
    return load_file(file)


@pytest.mark.parametrize("other", ["default-2", "default-4", "paper-2"])
def test_workers_learn_what_one_does_also_from_a_batch_too_small_for_all(
    trained: Path, other: str
) -> None:
    assert apart(trained, f"{other[:-1]}1", other) < 1e-3


def test_all_workers_go_on_from_the_checkpoint_of_the_first(trained: Path) -> None:
    assert apart(trained, "default-1", "resumed") < 1e-3
    assert f"worker 1 cannot read {trained}/old/{NEWEST}" in (trained / "blind.txt").read_text()
    assert not (trained / "blind").exists()


def test_each_worker_computes_with_the_threads_that_are_set(monkeypatch, tmp_path: Path) -> None:
    used: list[int] = []
    monkeypatch.setattr(training.torch, "set_num_threads", used.append)
    missing = str(tmp_path / "missing")
    for world in (1, 2, 4):
        with pytest.raises(ConfigError):
            training.train(
                FitConfig(threads=3),
                missing,
                [],
                [],
                Dataset(missing, "f"),
                missing,
                0,
                world,
                "cpu",
            )
    assert used == [3, 3, 3]
