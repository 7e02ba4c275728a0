"""Settings of the judge: which one, what it is asked, what it may cost."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from lmtx_ray.config.loading import Config
from lmtx_ray.io import storage


class TeacherConfig(Config):
    """Which judge, and how it is asked (`docs/judge.md`)."""

    kind: Literal["vllm", "http", "reranker", "ensemble", "lexical", "none"] = Field(
        "vllm",
        description="vllm: a model on machines of this run (judge.teacher.engine says how). http: "
        "an OpenAI-compatible endpoint, local or hosted. reranker: a cross-encoder or a causal "
        "reranker here. ensemble: several judges together (members). none: nobody; what ships is "
        "the untrained hybrid search, or what source title or segment makes of it. lexical: a rule "
        "for tests. vllm where judge.teacher is given without it.",
    )
    model: str = Field(
        "",
        description="A folder, local or s3://, or a hub id (vllm); the name under which the server "
        "has the model (http).",
    )
    engine: Literal["auto", "vllm", "packed"] = Field(
        "auto",
        description="What runs a model of kind vllm. packed: torch alone, all labels of a document "
        "in one sequence. vllm: vLLM, an extra. auto: packed where there is no GPU and the model "
        "is small, or where vLLM is not installed. Verdicts differ by rounding only.",
    )
    revision: str = Field(
        "",
        description="A hub commit, or any mark of your own that tells two models of one name "
        "apart: their verdicts are kept apart then.",
    )
    prompt: str = Field(
        "subject",
        description="What is asked: a name (subject, tag, product_tag, graded, …) or the path of a "
        "YAML file of your own.",
    )
    chat: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether the model's chat template goes around the prompt; auto: if it has one "
        "and the prompt is for instruct models.",
    )
    answer_prefix: str = Field(
        "",
        description="Begins the model's own turn, for models that start with words like `The "
        "answer is`.",
    )
    thinking_tokens: int = Field(
        0,
        ge=0,
        description="How long a model that thinks first may think about one pair; at 0 it is told "
        "not to. Costs as much time as it says.",
    )
    max_document_tokens: int = Field(
        430,
        ge=1,
        description="Tokens shown of a document (http: words, and letters of scripts without "
        "spaces). Fewer cost less; what matters should be among them.",
    )
    max_label_tokens: int = Field(64, ge=1, description="The same of a label.")
    least_mass: float = Field(
        0.1,
        ge=0,
        le=1,
        description="An answer whose words have less of the probability together is unclear. May "
        "be changed later without asking again.",
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto", description="Number format of the model (vllm)."
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="Threads of one engine on a CPU (vllm, packed); all of its machine's cores.",
    )
    kv_cache_gib: int = Field(
        1, ge=1, description="Memory of the prefix cache on a CPU (vllm), GiB."
    )
    gpu_memory_share: float = Field(
        0.9, gt=0, le=1, description="Share of a GPU's memory for the engine (vllm)."
    )
    tensor_parallel_size: int = Field(
        1,
        ge=1,
        description="GPUs that share one engine (vllm), for models too large for one; then set "
        "resources.judge.gpus too.",
    )
    max_num_batched_tokens: int = Field(
        8192, ge=256, description="Tokens in one step of the engine (vllm); more on large GPUs."
    )
    url: str = Field(
        "", description="Address of the endpoint (http), such as http://127.0.0.1:8000/v1."
    )
    api_key_env: str = Field(
        "OPENAI_API_KEY",
        description="Name of the environment variable that holds the key (http). The key itself "
        "stands nowhere else.",
    )
    concurrency: int = Field(
        16,
        ge=1,
        description="Requests at once (http). More for a server that batches, fewer where it says "
        "429.",
    )
    top_logprobs: int = Field(
        20,
        ge=0,
        description="Likeliest tokens asked for (http); 0 asks for none. Of a vLLM server raise "
        "--max-logprobs with it.",
    )
    tries: int = Field(8, ge=1, description="How often one request is sent at most (http).")
    timeout_seconds: float = Field(
        60.0, gt=0, description="How long one request may take (http). More for slow CPUs."
    )
    members: tuple[TeacherConfig, ...] = Field(
        (),
        description="The judges of an ensemble, two or more, each with settings of its own. Each "
        "one's verdicts are kept as its own and never paid for twice.",
    )

    @model_validator(mode="after")
    def _members_fit(self) -> TeacherConfig:
        if self.kind != "ensemble":
            return self
        if len(self.members) < 2:
            raise ValueError("kind ensemble needs two members or more")
        if wrong := [one.kind for one in self.members if one.kind in ("ensemble", "none")]:
            raise ValueError(f"a member of an ensemble cannot be of kind {wrong[0]}")
        return self

    @property
    def judges(self) -> tuple[TeacherConfig, ...]:
        """Whoever is asked in the end: the members, or this one."""
        return self.members if self.kind == "ensemble" else (self,)


class BudgetConfig(Config):
    """Hard limits of this run and of `judge-check`, over all starts; at the limit it stops, keeps
    everything, and goes on once the limit is raised."""

    requests: int | None = Field(
        None, ge=1, description="Most questions asked; without it there is no limit."
    )
    tokens: int | None = Field(
        None, ge=1, description="Most tokens of prompts and answers; without it there is no limit."
    )

    @property
    def is_set(self) -> bool:
        """Whether anything is limited."""
        return self.requests is not None or self.tokens is not None


class PriceConfig(Config):
    """What a million tokens cost, in any currency; only for what is told of costs."""

    prompt: float = Field(0.0, ge=0, description="A million tokens of prompts.")
    answer: float = Field(0.0, ge=0, description="A million tokens of answers.")

    def of(self, prompt: float, answer: float) -> float:
        """What so many tokens of prompts and answers cost."""
        return (prompt * self.prompt + answer * self.answer) / 1e6


class JudgeConfig(Config):
    """Which candidates are worth a question, and where answers are kept. Without this section there
    is no judge."""

    teacher: TeacherConfig = Field(description="Which judge, and how it is asked.")
    top_k: int = Field(
        20,
        ge=1,
        description="Candidates of a training document asked about in each cycle: what costs most. "
        "Fewer for a first try.",
    )
    select_k: int = Field(
        3,
        ge=1,
        description="First labels of each ranking of a document held aside that are asked about, "
        "to choose the cycle that ships.",
    )
    chance_k: int = Field(
        2,
        ge=0,
        description="Labels drawn by chance that each document held aside is asked about: how "
        "often the judge says yes to wrong ones is taken out of the probabilities of learned "
        "fusion. 0 takes it at its word.",
    )
    rerank_k: int = Field(
        0,
        ge=0,
        description="Candidates of a test document asked about, to tell how good the judge is "
        "itself; evaluation only, 0 is none.",
    )
    icxml_k: int = Field(
        0,
        ge=0,
        description="Candidates of a test document asked about that were found by phrases which "
        "the judge itself writes for it, one question more (ICXML); evaluation only, 0 is none.",
    )
    store: str = Field(
        "",
        description="Where verdicts are kept, a folder or an s3:// URI that any number of runs may "
        "share; without it inside the run. No pair in it is paid for again.",
    )
    check: bool = Field(
        True,
        description="Ask one question before anything long, and stop where the first few hundred "
        "answers teach nothing. --force is the same as false.",
    )
    deterministic: bool | None = Field(
        None,
        description="Judge one unit at a time, so that it gives the same bits again (vllm); false "
        "lets units overlap in the engine, which then never drains. Without it: only where there "
        "is no GPU.",
    )
    calibration: Literal["none", "prior"] = Field(
        "none",
        description="prior takes out of each answer how much the judge likes the label whatever "
        "the document says: its log-odds on a document that says nothing. That is asked once a "
        "label and kept. See docs/concepts/judge-scores.md for when it helps.",
    )
    temperature: float = Field(
        1.0,
        gt=0,
        description="What the judge's log-odds are divided by: above 1 it is less sure of itself. "
        "May be changed later without asking again; answers stay what they are.",
    )
    frequent_share: float = Field(
        0.3,
        gt=0,
        le=1,
        description="A label accepted for a larger share of all documents is named in the summary, "
        "the report and the log, as a judge may have been fooled or misread it; 1 names none.",
    )
    price: PriceConfig = Field(PriceConfig(), description="What a million tokens cost.")
    budget: BudgetConfig = Field(BudgetConfig(), description="Hard limits of this run.")

    @field_validator("store")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return storage.usable(value) if value else ""
