"""What was published of a method, as values of the `fit` section; each can be overridden.

All are sized for clusters of GPUs: `lmtx plan` says how many steps a corpus takes.

PAPER is LMTX (COLING 2025), of source teacher, with the defects of its released code, each in a
field of its own:
- `one_positive`: of some ten judged pairs of a document one is learned from in each cycle;
- `judged_negatives`: what the judge refused is not used;
- `unjudged_negatives`: true labels that nobody was asked about count as wrong;
- `weight_gradient`: the softmax weights of the hard labels are not detached;
- `inactive_weight`: labels outside the margin keep logit 0, and with it a share of the weights;
- `mean_over_all`: the mean runs over all ten columns of a document;
- `drop_last`: a pass ends with its last full batch;
- `init`: each cycle starts from the untouched encoder;
- `warmup`: 100 steps, which in a small corpus are all there are;
- `clip`: 0, though its settings name a length.

MACLR (NAACL 2022, examples/MACLR of amzn/pecos), of source title: stage 1 and stage 2 alike 16
pairs on each of 8 devices, 100,000 steps. Changed here: vectors of length 1 need a temperature,
where 512 raw dimensions needed none; clusters are of the vectors before training and not made anew
every 5,000 steps; the encoder is the configured one, not BERT with a projection; its 32 drawn
labels are 4 on each of 8 devices.

RTS (Findings of EMNLP 2022, structural-contrastive-representation-learning), of source segment:
512 pairs a step, of which an eighth are labels with themselves, as in the released code on
LF-Amazon-131K (there each label stands once in a pass). Its code chooses the best pass by gold of
test documents, which nothing here may read: the last one counts. It clips gradients before there
are any; here they are clipped.
"""

from __future__ import annotations

from typing import Any

PAPER: dict[str, Any] = {
    "init": "pretrained",
    "passes": 1,
    "batch_size": 128,
    "learning_rate": 2e-4,
    "warmup": 100,
    "weight_decay": 0.0,
    "clip": 0.0,
    "dropout": None,
    "max_tokens": 450,
    "label_tokens": 15,
    "seed": 108,
    "one_positive": True,
    "judged_negatives": False,
    "unjudged_negatives": True,
    "weight_gradient": True,
    "inactive_weight": True,
    "mean_over_all": True,
    "drop_last": True,
}
MACLR: dict[str, Any] = {
    "init": "previous",
    "steps": 100_000,
    "batch_size": 128,
    "learning_rate": 1e-5,
    "warmup": 0.1,
    "weight_decay": 0.0,
    "max_tokens": 288,
    "label_tokens": 64,
    "dropout": None,
    "one_positive": True,
    "label_draws": 32,
    "keep_title": 0.1,
    "clusters": (2500, 5000, 10_000, 20_000, 40_000),
}
RTS: dict[str, Any] = {
    "init": "pretrained",
    "passes": 10,
    "batch_size": 448,
    "label_draws": 64,
    "learning_rate": 5e-5,
    "final_rate": 0.1,
    "dropout": None,
    "warmup": 0.0,
    "temperature": 0.05,
    "max_tokens": 160,
    "label_tokens": 160,
    "segment_words": (40, 80),
}
RECIPES = {"paper": PAPER, "maclr": MACLR, "rts": RTS}
OF_SOURCE = {"paper": "teacher", "maclr": "title", "rts": "segment"}
