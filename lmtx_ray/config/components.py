"""Settings of the components that own a heavy library, kept apart so that plans stay light."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lmtx_ray.config.label_template import PLAIN, LabelTemplate
from lmtx_ray.config.loading import Config
from lmtx_ray.config.recipes import RECIPES
from lmtx_ray.config.resources import check_size


class EncoderConfig(Config):
    """Which encoder, and how texts go through it."""

    model: str = Field(
        "minilm",
        description="minilm (all-MiniLM-L6-v2, the package of the `demo` extra), a folder, local "
        "or s3://, of sentence-transformers or a BERT, or a hub id. Take a multilingual one for "
        "other languages than English.",
    )
    max_tokens: int = Field(
        128,
        ge=8,
        description="Tokens read of a document; the rest is cut. Raise it where what matters comes "
        "late, as far as the model goes (often 256 or 512); time grows with it.",
    )
    label_tokens: int = Field(32, ge=4, description="The same of a label.")
    label_template: str = Field(
        PLAIN,
        description="What the encoder reads of a label: {text}, {description}, {aliases} and "
        "{parents} (their texts), with anything between them. A missing field takes the signs "
        "before it along. Raise label_tokens with it, here and in fit.",
    )
    label_vectors: Literal["one", "aliases"] = Field(
        "one",
        description="one vector for each label, or with aliases one for each alias too (also in "
        "other languages): a document near any finds the label. Training reads its own text alone.",
    )
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto",
        description="Number format. auto is bfloat16 where the hardware multiplies it. float32 for "
        "answers that are nearest on different processors.",
    )
    token_budget: int = Field(
        8192,
        ge=64,
        description="Tokens in one batch, padding included; changes no vector. Raise it on GPUs, "
        "lower it where memory is short.",
    )
    threads: int | None = Field(
        None, ge=1, description="Threads of one encoder; without it those that Ray gives an actor."
    )

    @field_validator("label_template")
    @classmethod
    def _is_template(cls, template: str) -> str:
        LabelTemplate(template)
        return template


class FitConfig(Config):
    """How the student is trained on the examples of a cycle. Weights are float32."""

    recipe: Literal["default", "paper", "maclr", "rts"] = Field(
        "default",
        description="Loss, sampling and sizes. paper (LMTX, of source teacher), maclr (of title) "
        "and rts (of segment) take what was published for every field of this section that is not "
        "given; for comparisons, and sized for clusters: see `lmtx plan`.",
    )
    init: Literal["previous", "pretrained"] = Field(
        "previous",
        description="What a cycle's training starts from: the encoder of the cycle before, or the "
        "untouched one.",
    )
    passes: int = Field(
        2, ge=1, description="Times that all examples are seen. More for few examples."
    )
    steps: int | None = Field(
        None, ge=1, description="Steps of each cycle's training, instead of passes."
    )
    batch_size: int = Field(
        48,
        ge=2,
        description="Documents in a step; the labels of all of them stand against each. Larger on "
        "GPUs and for many documents, smaller for a few hundred.",
    )
    shuffle_rows: int = Field(
        16384,
        ge=1,
        description="Examples are shuffled in windows of whole units with up to so many, which is "
        "also what a worker holds in memory; fewer are shuffled wholly.",
    )
    learning_rate: float = Field(
        5e-5, gt=0, description="Of AdamW, after warming up. Larger for small models or few steps."
    )
    warmup: float = Field(
        0.1, ge=0, description="A share of all steps if below 1, else a number of steps."
    )
    final_rate: float = Field(
        0.0, ge=0, le=1, description="The last step's learning rate, as a share of the largest."
    )
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW, of all weights.")
    clip: float = Field(
        1.0, ge=0, description="Longest gradient; longer ones are cut to it. 0 cuts none."
    )
    temperature: float = Field(
        0.05,
        gt=0,
        description="Of every loss but the paper's; lower looks at near labels more.",
    )
    margin: float = Field(
        0.3, gt=0, description="Of the paper's loss: by how much a right label has to be nearer."
    )
    negatives: int = Field(
        10,
        ge=1,
        description="Labels judged wrong that stand against each document, of those there are. "
        "Fewer save time on CPUs.",
    )
    mask_share: float = Field(
        0.95,
        gt=0,
        le=1,
        description="Labels of other documents count as wrong unless they are nearer than this "
        "share of the right one: such are likely right too.",
    )
    one_positive: bool = Field(
        False,
        description="Learn one right label a document and step, drawn anew, and not all of them.",
    )
    judged_negatives: bool = Field(
        True, description="Labels that the judge refused stand against their document."
    )
    unjudged_negatives: bool = Field(
        False,
        description="Labels of other documents count as wrong however near they are; mask_share "
        "then has no effect.",
    )
    weight_gradient: bool = Field(
        False, description="Paper's loss: learn through the weights of the hard labels, too."
    )
    inactive_weight: bool = Field(
        False,
        description="Paper's loss: labels that are no danger any more keep a share of the weights.",
    )
    mean_over_all: bool = Field(
        False,
        description="Paper's loss: divide by the number of hard labels, which makes it a tenth.",
    )
    drop_last: bool = Field(
        False,
        description="Leave the last examples of a pass out where they do not fill a batch.",
    )
    label_draws: int = Field(
        16,
        ge=0,
        description="Labels drawn at random for each step of sources title (wrong for all of its "
        "documents) and segment (each a pair with itself).",
    )
    keep_title: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Source title: share of the sentences that keep the title's words.",
    )
    clusters: tuple[int, ...] = Field(
        (),
        description="Source title: numbers of clusters of the documents, few first. Documents of "
        "one cluster count as alike: each number for a tenth of the steps, the last to the end. At "
        "most one for four documents.",
    )
    segment_words: tuple[int, int] = Field(
        (40, 80), description="Source segment: least and most words of a segment."
    )
    max_tokens: int = Field(
        128,
        ge=8,
        description="Tokens of a document in training; may be fewer than the encoder's, as "
        "training costs three times as much.",
    )
    label_tokens: int = Field(32, ge=4, description="The same of a label.")
    seed: int = Field(13, ge=0, description="Order, samples and dropout.")
    workers: int | tuple[int, int] = Field(
        1,
        description="Training workers; together they compute the gradient that one would. One for "
        "each GPU. A range [least, most] goes on with fewer while machines are missing, and takes "
        "more when they come.",
    )
    threads: int | None = Field(
        None, ge=1, description="Threads of one worker; without it those that Ray gives it."
    )
    checkpoint_every: int = Field(
        25, ge=1, description="Steps between checkpoints: what a killed training loses at most."
    )
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="Of the passes; auto is bfloat16 where the hardware multiplies it."
    )
    dropout: float | None = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of activations that is dropped; null takes what the model says, usually "
        "0.1, which takes a fifth of a step's time on CPUs. Source title and segment do so.",
    )
    token_budget: int = Field(
        16384,
        ge=64,
        description="Tokens whose activations are in memory at one time. A larger batch goes in "
        "chunks (gradient caching): the same gradient for a third more time. Lower it where memory "
        "is short, raise it on GPUs.",
    )

    _sized = field_validator("workers")(check_size)

    @model_validator(mode="before")
    @classmethod
    def _published(cls, values: Any) -> Any:
        recipe = values.get("recipe") if isinstance(values, dict) else None
        return {**RECIPES[recipe], **values} if recipe in RECIPES else values

    @model_validator(mode="after")
    def _can_be(self) -> FitConfig:
        least, most = self.segment_words
        if not 1 <= least <= most:
            raise ValueError("segment_words needs two numbers, the smaller one first")
        if any(number < 1 for number in self.clusters):
            raise ValueError("clusters needs numbers of at least 1")
        return self


class PseudoLabelConfig(Config):
    """What of the judge's answers becomes an example."""

    accept: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="Least P(yes) of a right label. Raise it for a judge that says yes too easily.",
    )
    max_positives: int = Field(16, ge=1, description="Right labels of a document, the likeliest.")
    negatives: int = Field(
        8, ge=0, description="Wrong labels kept of a document, the likeliest of them first."
    )
    negative_below: float = Field(
        0.3,
        ge=0,
        le=1,
        description="P(yes) below which a judged label is wrong. What is between this and accept "
        "counts as if nobody had been asked.",
    )
    soft: bool = Field(
        True, description="Keep P(yes) as the target; with false a right label counts 1."
    )
    own_labels: int = Field(
        1,
        ge=1,
        description="Source title, second cycle: how many of its own first labels of a document "
        "the student learns.",
    )
    own_words: int = Field(
        1,
        ge=0,
        description="The same, of the first labels by words.",
    )
    accept_deviations: float | None = Field(
        None,
        description="For judges whose order is right and whose yes is rare: a label is accepted "
        "whose log-odds are so many standard deviations above the mean of its document's (1.0 is "
        "usual). accept and negative_below then hold for P(yes) moved by that much.",
    )
