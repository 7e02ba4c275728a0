"""What a run needs, by arithmetic: judge tokens, hours, memory. No measurement, no model loaded.

The rates are published figures for the hardware named, not ours; measure your own first.
"""

from __future__ import annotations

from dataclasses import dataclass

TEMPLATE_TOKENS = 45  # of a prompt, before the document
QUESTION_TOKENS = 30  # a label and the words around it
BLOCK_TOKENS = 16  # vLLM shares whole cache blocks; on average half of one is lost per question
ENCODER_RATE = 1.6e6  # tokens/s: 110M parameters on an H200, tokenising in parallel
CPU_ENCODER_RATE = 11_500  # tokens/s: a small BERT in int8 on 16 vCPUs
GIB = 2**30


@dataclass(frozen=True)
class Judge:
    """A judge on a GPU. `rate` is computed (not cached) prompt tokens a second, `weights` bytes."""

    name: str
    rate: float
    weights: float


SMALL = Judge("0.6B, BF16, H100", 230_000, 0.6e9 * 2)
MEDIUM = Judge("8B, FP8, H200", 60_000, 8e9)


@dataclass(frozen=True)
class Workload:
    """One cycle over `documents`, each judged on `candidates` of `labels`, on `gpus` judges."""

    documents: int
    labels: int
    judge: Judge
    gpus: int
    candidates: int = 10
    document_tokens: int = 430
    label_tokens: int = 16
    dimensions: int = 768


WORKLOADS = (
    Workload(30_000, 30_000, SMALL, 1),
    Workload(30_000, 500_000, MEDIUM, 1),
    Workload(200_000, 3_000_000, MEDIUM, 4),
    Workload(1_800_000, 500_000, MEDIUM, 8),
)


def judge_tokens(work: Workload, shared_prefix: bool) -> float:
    """Prompt tokens the judge computes. With a shared prefix a document is computed once for all
    its candidates; without, once for each."""
    prefix = work.document_tokens + TEMPLATE_TOKENS
    if shared_prefix:
        each = prefix + work.candidates * (QUESTION_TOKENS + BLOCK_TOKENS / 2)
    else:
        each = work.candidates * (prefix + QUESTION_TOKENS)
    return work.documents * each


def hours(tokens: float, rate: float, workers: int = 1) -> float:
    """Hours for `tokens` at `rate` tokens a second on each of `workers`."""
    return tokens / (rate * workers) / 3600


def encoder_tokens(work: Workload) -> float:
    """Tokens the student encodes in a cycle: every document and every label once."""
    return work.documents * work.document_tokens + work.labels * work.label_tokens


def index_bytes(labels: int, dimensions: int) -> int:
    """Bytes of the exact label index, which all processes of a node map together: vectors in
    float32 and in 8 bits, and a scale for each."""
    return labels * (dimensions * (4 + 1) + 4)


def table(workloads: tuple[Workload, ...] = WORKLOADS) -> str:
    """Markdown, one row for each workload."""
    head = (
        "| documents | labels | judge | GPUs | judge tokens, plain | with shared prefix | "
        "judge hours | encoder hours (GPU / 16 vCPU) | weights, GiB | index, GiB |\n"
        + "|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    return "\n".join([head, *(_row(work) for work in workloads)])


def _row(work: Workload) -> str:
    plain, shared = (judge_tokens(work, shared_prefix=shared) for shared in (False, True))
    encoded = encoder_tokens(work)
    cells = [
        f"{work.documents:,}",
        f"{work.labels:,}",
        work.judge.name,
        f"{work.gpus}",
        f"{plain / 1e6:,.0f} M",
        f"{shared / 1e6:,.0f} M",
        f"{hours(shared, work.judge.rate, work.gpus):.2f}",
        f"{hours(encoded, ENCODER_RATE):.2f} / {hours(encoded, CPU_ENCODER_RATE):.1f}",
        f"{work.judge.weights / GIB:.1f}",
        f"{index_bytes(work.labels, work.dimensions) / GIB:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"
