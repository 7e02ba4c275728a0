"""Settings of the judge: which one, what it is asked, what it may cost."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from lmtx_ray.config.loading import Config
from lmtx_ray.io import storage


class TeacherConfig(Config):
    """Which judge, and how it is asked.

    `model` is a local folder, an s3:// folder or a hub id (vllm), or the served name (http);
    `revision` a hub commit, or any mark of your own that tells two models of one name apart.
    `prompt` is a name or the path of a YAML file. `chat` wraps the prompt in the model's chat
    template: "auto" does if the model has one and the prompt is for instruct models.
    `answer_prefix` begins the model's own turn. `thinking_tokens` is how long a model that thinks
    first may think about one pair; at 0 templates are told not to. An answer whose words have less
    than `least_mass` of the probability together is unclear.

    `url` and `api_key_env` are for http; the key is only read from that environment variable.
    `tries` bounds how often one request is sent, `timeout_seconds` how long it may take.
    """

    kind: Literal["vllm", "http", "lexical", "none"] = "vllm"
    model: str = ""
    revision: str = ""
    prompt: str = "subject"
    chat: Literal["auto", "always", "never"] = "auto"
    answer_prefix: str = ""
    thinking_tokens: int = Field(0, ge=0)
    max_document_tokens: int = Field(430, ge=1)
    max_label_tokens: int = Field(64, ge=1)
    least_mass: float = Field(0.1, ge=0, le=1)
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    threads: int | None = Field(None, ge=1)
    kv_cache_gib: int = Field(1, ge=1)
    gpu_memory_share: float = Field(0.9, gt=0, le=1)
    tensor_parallel_size: int = Field(1, ge=1)
    max_num_batched_tokens: int = Field(8192, ge=256)
    url: str = ""
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = Field(16, ge=1)
    top_logprobs: int = Field(20, ge=0)
    tries: int = Field(8, ge=1)
    timeout_seconds: float = Field(60.0, gt=0)


class BudgetConfig(Config):
    """Most requests and most tokens (of prompts and answers) that the judge may use in this run,
    over all its starts; None is no limit."""

    requests: int | None = Field(None, ge=1)
    tokens: int | None = Field(None, ge=1)

    @property
    def is_set(self) -> bool:
        """Whether anything is limited."""
        return self.requests is not None or self.tokens is not None


class PriceConfig(Config):
    """What a million tokens cost, in any currency, of prompts and of answers."""

    prompt: float = Field(0.0, ge=0)
    answer: float = Field(0.0, ge=0)


class JudgeConfig(Config):
    """Which candidates are worth a question: `top_k` of a training document, `select_k` of each
    ranking of a held-aside document, `rerank_k` of a test document (evaluation only; 0 = none).

    `store` is where verdicts are kept, a folder or an s3:// URI that any number of runs may share;
    without it they are kept inside the run. `check` asks one question before anything long, and
    stops where the first few hundred answers teach nothing.

    A `deterministic` engine judges one unit at a time, so that it gives the same bits again;
    without, units overlap in it, and it never drains. None means deterministic where there is no
    GPU.
    """

    teacher: TeacherConfig
    top_k: int = Field(20, ge=1)
    select_k: int = Field(3, ge=1)
    rerank_k: int = Field(0, ge=0)
    store: str = ""
    check: bool = True
    deterministic: bool | None = None
    price: PriceConfig = PriceConfig()
    budget: BudgetConfig = BudgetConfig()

    @field_validator("store")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return storage.absolute(value) if value else ""
