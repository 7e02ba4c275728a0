"""A judge through `ray.data.llm`, as its documentation has it: every row a prompt, for
`benchmarks.judge`.

On a machine without a GPU its processor asks for one all the same, unless the engine's place is
given as a bundle of CPUs. The time is that from the first prompt the engine got to the last answer:
starting the engine is not in it, and neither is Ray. How many tokens the cache gave is not told.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.judge_ways import Measured
from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.io.cores import usable_cores
from lmtx_ray.teacher.reading import from_log_probabilities
from lmtx_ray.teacher.vllm import _machine_settings

BATCH, AT_ONCE = 64, 8  # rows of a batch, and batches an engine works on: the processor's default


def through_ray_data(
    config: TeacherConfig,
    longest: int,
    prompts: Sequence[list[int]],
    vocabulary: dict[int, str],
    words: dict[str, float],
) -> Measured:
    """Answers to prompts (token ids), read by the teacher's rule."""
    import ray

    settings = _machine_settings(config)  # also into the environment, which Ray's workers get
    ray.init(num_cpus=usable_cores() + 1, address="local", include_dashboard=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = [{"place": place, "ids": ids} for place, ids in enumerate(prompts)]
        processor = _processor(config, longest, settings, list(vocabulary))
        answers = processor(ray.data.from_items(rows)).take_all()
    finally:
        ray.shutdown()
    answers.sort(key=lambda row: row["place"])
    seconds = max(row["at"] for row in answers) - min(row["at"] - row["took"] for row in answers)
    decisions = [_decision(row, vocabulary, words) for row in answers]
    return Measured(len(prompts), seconds, sum(map(len, prompts)), None, None, decisions)


def _processor(
    config: TeacherConfig, longest: int, settings: dict[str, Any], tokens: list[int]
) -> Any:
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    sampling = {"max_tokens": 1, "temperature": 0.0, "logprob_token_ids": tokens}
    on_gpu = torch.cuda.is_available()
    engine = vLLMEngineProcessorConfig(
        model_source=config.model,
        engine_kwargs={
            "max_model_len": longest,
            "enable_prefix_caching": True,
            "max_num_batched_tokens": max(config.max_num_batched_tokens, longest),
            "logprobs_mode": "raw_logprobs",
            **settings,
        },
        concurrency=1,
        batch_size=BATCH,
        max_concurrent_batches=AT_ONCE,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        log_engine_metrics=False,
        placement_group_config=None if on_gpu else {"bundles": [{"CPU": 1}]},
    )
    return build_processor(
        engine,
        preprocess=lambda row: {
            "place": row["place"],
            "tokenized_prompt": row["ids"],
            "sampling_params": {**sampling, "detokenize": False},
        },
        postprocess=lambda row: {
            "place": row["place"],
            "took": row["time_taken_llm"],
            "at": time.time(),
            "found": [row["logprobs"][0][token]["logprob"] for token in tokens],
        },
    )


def _decision(row: dict[str, Any], vocabulary: dict[int, str], words: dict[str, float]) -> str:
    given = zip(vocabulary.values(), row["found"], strict=True)
    return from_log_probabilities(given, words, 0.0, "").answer
