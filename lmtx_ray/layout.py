"""Where every artefact of a run lives: the run's whole plan as values, before anything is run.

A step's identity is a fingerprint of the settings that change its result and of the identities
of its inputs, so the folders of all cycles are known from the config and the input files alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lmtx_ray import __version__, schemas, storage
from lmtx_ray.config import fingerprint
from lmtx_ray.config_models import resolve_model
from lmtx_ray.model_files import model_identity
from lmtx_ray.publish import StepOutput
from lmtx_ray.run import RunLayout
from lmtx_ray.settings import RunConfig
from lmtx_ray.teacher.identity import teacher_identity


@dataclass(frozen=True)
class State:
    """An encoder (after `number` cycles) and everything computed with it."""

    number: int
    encoder: StepOutput | None  # None: the pretrained encoder
    vectors: StepOutput
    index: StepOutput
    dense: StepOutput
    hybrid: StepOutput


@dataclass(frozen=True)
class Cycle:
    """One teacher-student round: from the state before it to the encoder after it."""

    number: int
    verdicts: StepOutput
    examples: StepOutput
    encoder: StepOutput
    selection: StepOutput


@dataclass(frozen=True)
class Layout:
    """All steps of a run, in the order in which they are needed."""

    documents: StepOutput
    labels: StepOutput
    gold: StepOutput
    rejects: StepOutput
    lexical: StepOutput
    states: tuple[State, ...]
    cycles: tuple[Cycle, ...]
    evaluation: StepOutput
    bundle: StepOutput
    pretrained: str  # folder, URI or hub id of the untouched encoder

    def steps(self) -> Iterator[tuple[str, StepOutput]]:
        """(name, step) in running order."""
        for name in ("documents", "labels", "gold", "rejects", "lexical"):
            yield name, getattr(self, name)
        yield from _state_steps(self.states[0])
        for cycle, state in zip(self.cycles, self.states[1:], strict=True):
            for name in ("verdicts", "examples", "encoder"):
                yield f"{name} {cycle.number}", getattr(cycle, name)
            yield from _state_steps(state)
            yield f"selection {cycle.number}", cycle.selection
        yield "evaluation", self.evaluation
        yield "bundle", self.bundle


def _state_steps(state: State) -> Iterator[tuple[str, StepOutput]]:
    for name in ("vectors", "index", "dense", "hybrid"):
        yield f"{name} {state.number}", getattr(state, name)


def lay_out(config: RunConfig) -> Layout:
    """Every step's folder. Reads (hashes) the input files and local models, loads none."""
    run = RunLayout(config.run)
    units = [config.unit_documents, config.unit_labels]
    corpus = fingerprint(
        __version__, units, config.corpus.model_dump(mode="json"), _input_hashes(config)
    )
    documents, labels, gold, rejects = (
        run.step(name, corpus) for name in ("documents", "labels", "gold", "rejects")
    )
    lexical = run.step("lexical", documents.fingerprint, config.shortlist.depth)
    pretrained = resolve_model(config.encoder.model)
    states = [_state(run, config, corpus, lexical, 0, None, model_identity(pretrained))]
    cycles: list[Cycle] = []
    for number in range(1, config.cycles.most + 1):
        cycle = _cycle(run, config, number, states, cycles)
        cycles.append(cycle)
        identity = cycle.encoder.fingerprint
        states.append(_state(run, config, corpus, lexical, number, cycle.encoder, identity))
        cycles[-1] = _with_selection(run, config, cycle, states[-1])
    outcome = [
        gold.fingerprint, states[0].hybrid.fingerprint, config.evaluation.model_dump(mode="json"),
        [cycle.selection.fingerprint for cycle in cycles], config.cycles.patience, config.ship,
    ]  # fmt: skip
    bundle = run.step("bundle", schemas.BUNDLE_VERSION, *outcome)
    evaluation = run.step("evaluation", bundle.fingerprint)
    return Layout(
        documents, labels, gold, rejects, lexical, tuple(states), tuple(cycles), evaluation,
        bundle, pretrained,
    )  # fmt: skip


def _state(
    run: RunLayout,
    config: RunConfig,
    corpus: str,
    lexical: StepOutput,
    number: int,
    encoder: StepOutput | None,
    identity: str,
) -> State:
    encoding = config.encoder.model_dump(mode="json", exclude={"model"})
    vectors = run.step(f"vectors-{number}", corpus, identity, encoding)
    index = run.step(f"index-{number}", vectors.fingerprint, config.index.shards)
    dense = run.step(f"dense-{number}", index.fingerprint, config.shortlist.depth)
    fusion = config.shortlist.model_dump(mode="json")
    hybrid = run.step(f"hybrid-{number}", dense.fingerprint, lexical.fingerprint, fusion)
    return State(number, encoder, vectors, index, dense, hybrid)


def _cycle(
    run: RunLayout, config: RunConfig, number: int, states: list[State], before: list[Cycle]
) -> Cycle:
    asked = [config.judge.top_k, config.judge.select_k, config.judge.rerank_k]
    earlier = [cycle.selection.fingerprint for cycle in before]
    teacher = list(teacher_identity(config.judge.teacher))
    verdicts = run.step(
        f"verdicts-{number}", states[-1].hybrid.fingerprint, teacher, asked, earlier
    )
    rules = config.pseudo_labels.model_dump(mode="json")
    examples = run.step(f"examples-{number}", verdicts.fingerprint, rules, config.fit.seed)
    start = states[-1] if config.fit.init == "previous" else states[0]
    fitting = config.fit.model_dump(mode="json")
    encoder = run.step(
        f"encoder-{number}", examples.fingerprint, start.vectors.fingerprint, fitting
    )
    return Cycle(number, verdicts, examples, encoder, verdicts)


def _with_selection(run: RunLayout, config: RunConfig, cycle: Cycle, after: State) -> Cycle:
    identity = (cycle.verdicts.fingerprint, after.hybrid.fingerprint, config.judge.select_k)
    selection = run.step(f"selection-{cycle.number}", *identity)
    return Cycle(cycle.number, cycle.verdicts, cycle.examples, cycle.encoder, selection)


def _input_hashes(config: RunConfig) -> dict[str, str]:
    files = [*config.corpus.documents, config.corpus.labels]
    files += [config.corpus.test] if config.corpus.test else []
    return {uri: storage.content_hash(uri) for uri in files}
