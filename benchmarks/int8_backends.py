"""Our int8 encoder against those of torchao, ONNX Runtime and OpenVINO, one thread each.

    python -m benchmarks.int8_backends [--quick] [--only NAME ...] [--seconds 5] [--output FILE]

All get the same token ids in the same batches, and pooling is ours. Told of each: CPU milliseconds
a document of about 75 tokens, 1 and 64 in a call; the mean share of float32's 10 nearest labels
that it finds too; and the share of texts whose bits are the same alone and in company. The
back-ends of sentence-transformers need Optimum, which is not out for the transformers that is
pinned here; these are the runtimes and settings under them. What is not installed is passed over
with a line:

    pip install torchao onnx onnxscript onnxruntime openvino nncf

The machine should do nothing else. Without int8 instructions ours is slow, and off in production.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import nn

from benchmarks.plain_bundle import sample_rows
from benchmarks.serving import CHARACTERS, show
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.search.hardware import has_int8
from lmtx_ray.student import bert as bert_loading
from lmtx_ray.student import encoder
from lmtx_ray.student.encoder import Encoder

FLOAT32 = EncoderConfig(model="minilm", dtype="float32", threads=1, token_budget=2048)
NAMES = ("input_ids", "attention_mask")
EXAMPLES = 128  # texts that show a static quantisation its ranges
NEAREST = 10
Compute = Callable[[dict[str, torch.Tensor]], np.ndarray]


class Runtime(nn.Module):
    """Another runtime in the place of the transformer: hidden states [B, W, H] of token ids."""

    def __init__(self, bert: nn.Module, compute: Compute) -> None:
        super().__init__()
        self.config, self._compute = bert.config, compute
        self.register_buffer("device_of", torch.zeros(1))

    def forward(self, **features: torch.Tensor) -> Any:
        given = {name: features[name] for name in NAMES}
        return {"last_hidden_state": torch.from_numpy(self._compute(given))}


class Plain(nn.Module):
    """What is exported: token ids to hidden states, and nothing else."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        return self.bert(**dict(zip(NAMES, features, strict=True))).last_hidden_state


def library_of(own: Encoder) -> Any:
    """The sentence-transformers model of an encoder that was loaded by it."""
    model: Any = own._model
    return model.library


def features_of(own: Encoder, text: str) -> dict[str, torch.Tensor]:
    """Token ids of one text as a batch, as the model gets them."""
    made = library_of(own).tokenizer([text], truncation=True, max_length=128, return_tensors="pt")
    return {name: made[name] for name in NAMES}


def ours(texts: Sequence[str], work: Path) -> Encoder:
    with mock.patch.object(encoder, "has_int8", return_value=True):
        settings = FLOAT32.model_copy(update={"dtype": "auto"})
        return Encoder(settings, examples=texts)


def by_library() -> Encoder:
    """With the modules of sentence-transformers, which the others take apart."""
    with mock.patch.object(bert_loading, "is_known", return_value=False):
        return Encoder(FLOAT32)


def torchao(texts: Sequence[str], work: Path) -> Encoder:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    own = by_library()
    quantize_(library_of(own)[0].auto_model, Int8DynamicActivationInt8WeightConfig())
    return own


def torchao_compiled(texts: Sequence[str], work: Path) -> Encoder:
    own = torchao(texts, work)
    library_of(own)[0].model = torch.compile(library_of(own)[0].auto_model, dynamic=True)
    return own


def onnx(texts: Sequence[str], work: Path) -> Encoder:
    import onnxruntime
    import onnxscript  # noqa: F401  the export needs it
    from onnxruntime.quantization import QuantType, quantize_dynamic

    own = by_library()
    bert = library_of(own)[0].auto_model
    exported(bert, features_of(own, texts[0]), work / "model.onnx")
    quantize_dynamic(
        work / "model.onnx", work / "int8.onnx", weight_type=QuantType.QInt8, per_channel=True
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(work / "int8.onnx", options)
    kept = [each.name for each in session.get_inputs()]

    def compute(features: dict[str, torch.Tensor]) -> np.ndarray:
        return session.run(None, {name: features[name].numpy() for name in kept})[0]

    library_of(own)[0].model = Runtime(bert, compute)
    return own


def exported(bert: nn.Module, features: dict[str, torch.Tensor], file: Path) -> None:
    two = tuple(features[name].repeat(2, 1) for name in NAMES)
    axes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens", max=512)}
    shapes = ((axes,) * len(NAMES),)
    torch.onnx.export(
        Plain(bert).eval(), two, file, input_names=NAMES, dynamic_shapes=shapes, verbose=False
    )


def openvino(texts: Sequence[str], work: Path) -> Encoder:
    import nncf
    import openvino as ov

    own = by_library()
    bert = library_of(own)[0].auto_model
    example = features_of(own, texts[0])
    model = ov.convert_model(Plain(bert).eval(), example_input=tuple(example.values()))
    as_inputs = [tuple(t.numpy() for t in features_of(own, text).values()) for text in texts]
    model = nncf.quantize(
        model,
        nncf.Dataset(as_inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(texts),
    )
    compiled = ov.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1})

    def compute(features: dict[str, torch.Tensor]) -> np.ndarray:
        return compiled([features[name].numpy() for name in NAMES])[0].copy()

    library_of(own)[0].model = Runtime(bert, compute)
    return own


MAKERS = {
    "float32": lambda texts, work: Encoder(FLOAT32),
    "ours": ours,
    "torchao": torchao,
    "torchao compiled": torchao_compiled,
    "onnxruntime": onnx,
    "openvino": openvino,
}


def milliseconds(own: Encoder, texts: list[str], size: int, seconds: float) -> float:
    """CPU time of this process for one document, in calls of `size`: runtimes have threads too."""
    own.encode(texts[:size], "document")
    calls, ends, spent = 0, time.monotonic() + seconds, time.process_time()
    while calls == 0 or time.monotonic() < ends:
        start = calls * size % len(texts)
        own.encode(texts[start : start + size], "document")
        calls += 1
    return round(1000 * (time.process_time() - spent) / (calls * size), 2)


def nearest(own: Encoder, documents: list[str], labels_LD: np.ndarray) -> np.ndarray:
    scores_BL = own.encode(documents, "document") @ labels_LD.T
    return np.argsort(-scores_BL, axis=1)[:, :NEAREST]


def same_bits(own: Encoder, texts: list[str]) -> float:
    together = own.encode(texts, "document")
    alone = [own.encode([text], "document")[0] for text in texts]
    return float(np.mean([np.array_equal(*pair) for pair in zip(together, alone, strict=True)]))


def run(quick: bool, seconds: float, only: Sequence[str]) -> dict[str, Any]:
    labels = [row["title"] for row in sample_rows("labels")][:: 20 if quick else 1]
    rows = sample_rows("test")[: 64 if quick else None]
    documents = [document_text(row["title"], row["content"]) for row in rows]
    short = [text[:CHARACTERS] for text in documents[:256]]
    step = len(labels) // EXAMPLES
    examples, found, exact = labels[::step][:EXAMPLES], {}, None
    labels_LD = Encoder(FLOAT32).encode(labels, "label")
    for name in dict.fromkeys(only):
        with tempfile.TemporaryDirectory() as work:
            try:
                own = MAKERS[name](examples, Path(work))
            except ImportError as error:
                print(f"{name}: passed over, {error}", file=sys.stderr)
                continue
        ids_BK = nearest(own, documents, labels_LD)
        exact = ids_BK if exact is None else exact
        pairs = zip(ids_BK, exact, strict=True)
        found[name] = {
            "found_of_float32": round(float(np.mean([np.isin(*pair).mean() for pair in pairs])), 4),
            "same_bits_in_company": round(same_bits(own, short[:32]), 2),
            **{f"cpu_ms_{n}_a_call": milliseconds(own, short, n, seconds) for n in (1, 64)},
        }
        print(name, found[name], file=sys.stderr, flush=True)
    return {"int8_instructions": has_int8(), "documents": len(documents), "encoders": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="64 documents, 1 label of 20")
    parser.add_argument("--only", nargs="+", choices=[*MAKERS], default=[*MAKERS])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--output", type=Path, help="write the result there too")
    arguments = parser.parse_args()
    show(run(arguments.quick, arguments.seconds, ["float32", *arguments.only]), arguments.output)


if __name__ == "__main__":
    main()
