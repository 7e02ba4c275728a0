"""Where every artefact of a run lives: the run's whole plan as values, before anything is run.

A step's identity is a fingerprint of the settings that change its result and of the identities
of its inputs, so the folders of all cycles are known from the config and the input files alone.
What only changes how a step is computed or laid out (threads, token budgets, shards, unit sizes)
is no part of it, nor is anything of the evaluation in what is trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lmtx_ray import __version__
from lmtx_ray.config.models import resolve_model
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.gold_reader import gold_identity, without_gold
from lmtx_ray.corpus.inputs import content_hashes
from lmtx_ray.io.fence import Fence
from lmtx_ray.io.identity import fingerprint, model_identity
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.layout_asked import Asked, state_steps
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_folder import RunLayout
from lmtx_ray.loop.steps import Cycle, Icxml, Rankings, State, Test
from lmtx_ray.search.lexical import rule_of
from lmtx_ray.teacher.generating import writer_identity
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.prompts import Prompt, get_prompt

TRAINING_FIELDS = {"documents", "limit", "held_aside", "seed"}  # what makes the documents
CALIBRATING = 3  # the way in which probabilities are fitted: another one makes another bundle
SHIPPING = 4  # the rule by which `ship: auto` chooses: another one makes another bundle
NOT_FUSION = {"memory_documents", "languages"}  # of the shortlist's settings
LAID_OUT = {"threads", "token_budget", "checkpoint_every"}  # settings that change no result


@dataclass(frozen=True)
class Layout:
    """All steps of a run, in the order in which they are needed."""

    documents: Dataset
    labels: Dataset
    label_rejects: Dataset
    rejects: Dataset
    lexical_index: Dataset
    lexical: Dataset
    test: Test | None
    states: tuple[State, ...]
    cycles: tuple[Cycle, ...]
    chance: Dataset | None  # what the judge says of labels drawn by chance; None: it is not asked
    bundle: Dataset
    evaluation: Dataset
    pretrained: str  # folder, URI or hub id of the untouched encoder
    prompt: Prompt
    judge: tuple[str, str]  # fingerprints of prompt and teacher

    @property
    def tested(self) -> Test:
        """`test`, of a run that has test documents."""
        assert self.test is not None
        return self.test

    def steps(self) -> Iterator[tuple[str, Dataset]]:
        """(name, step) in running order."""
        yield "documents", self.documents
        yield "labels", self.labels
        yield "label rejects", self.label_rejects
        yield "rejects", self.rejects
        yield "lexical index", self.lexical_index
        for name in ("documents", "gold", "rejects", "lexical") if self.test else ():
            yield f"test {name}", getattr(self.test, name)
        yield "lexical", self.lexical
        yield from state_steps(self.states[0])
        for cycle, state in zip(self.cycles, self.states[1:], strict=True):
            if cycle.asked:
                yield f"verdicts {cycle.number}", cycle.verdicts
            if cycle.number == 1 and self.test and self.test.verdicts:
                yield "test verdicts", self.test.verdicts
            if cycle.clusters:
                yield f"clusters {cycle.number}", cycle.clusters
            yield f"examples {cycle.number}", cycle.examples
            yield f"encoder {cycle.number}", cycle.encoder
            yield from state_steps(state)
            if cycle.asked:
                names = ("selection", "learned selection")
                for name, step in zip(names, cycle.asked[1:], strict=False):
                    yield f"{name} {cycle.number}", step
        if self.chance:
            yield "chance verdicts", self.chance
        if self.test and self.test.icxml:
            yield "test phrases", self.test.icxml.phrases
            yield "test mapped", self.test.icxml.mapped
            yield "test icxml verdicts", self.test.icxml.verdicts
        yield "bundle", self.bundle
        yield "evaluation", self.evaluation


def lay_out(config: RunConfig, fence: Fence | None = None) -> Layout:
    """Every step's folder. Reads (hashes) the input files and local models, loads none."""
    return _Planner(config, fence).layout()


class _Planner:
    """Makes the steps one after the other, each from the fingerprints of its inputs."""

    def __init__(self, config: RunConfig, fence: Fence | None) -> None:
        self._config = config
        self._run = RunLayout(config.run, fence)
        self._pretrained = resolve_model(config.encoder.model)
        self._prompt = get_prompt(config.judge.teacher.prompt)
        self._judge = teacher_identity(config.judge.teacher, self._prompt)
        self._human = config.verdict_store.human_identity()

    def layout(self) -> Layout:
        self._plan_corpus()
        encoder = model_identity(self._pretrained)
        asked = Asked(self._config, self._step, self._test is not None)
        states = [self._state(0, None, encoder)]
        cycles: list[Cycle] = []
        for number in range(1, self._config.rounds + 1):
            asks = self._config.learns_from_judge
            cycle = (self._cycle if asks else self._text_cycle)(number, states, cycles)
            state = self._state(number, cycle.encoder, cycle.encoder.fingerprint)
            if asks:
                cycle, state = asked.after(cycle, state)
            states.append(state)
            cycles.append(cycle)
        chance = asked.by_chance(states[0], cycles, self._asked_by(self._config.judge.chance_k))
        bundle = self._bundle(states, cycles, chance)
        test = self._with_icxml(self._with_verdicts(states[0]), states[0])
        return Layout(
            self._documents,
            self._labels,
            self._label_rejects,
            self._rejects,
            self._lexical_index,
            self._lexical,
            test,
            tuple(states),
            tuple(cycles),
            chance,
            bundle,
            self._evaluation(bundle, test),
            self._pretrained,
            self._prompt,
            self._judge,
        )

    def _step(self, name: str, *identity: object) -> Dataset:
        return self._run.step(name, *identity)

    def _plan_corpus(self) -> None:
        corpus = self._config.corpus
        reading = corpus.model_dump(mode="json", include={"format", "columns", "encoding"})
        reading["columns"] = without_gold(reading["columns"])
        training = corpus.model_dump(mode="json", include=TRAINING_FIELDS)
        rows = content_hashes([corpus.labels])
        labels = fingerprint(__version__, reading, corpus.bad_labels, rows)
        documents = fingerprint(__version__, reading, training, content_hashes(corpus.documents))
        self._labels = self._step("labels", labels)
        self._documents = self._step("documents", documents)
        self._label_rejects = self._step("label-rejects", labels)
        self._rejects = self._step("rejects", documents)
        depth, languages = self._config.shortlist.depth, self._config.shortlist.languages
        self._lexical_index = self._step("lexical-index", labels, rule_of(languages))
        lexical = self._lexical_index.fingerprint, depth
        self._lexical = self._step("lexical", documents, *lexical)
        self._test = None
        if corpus.has_test:
            test = fingerprint(documents, labels, gold_identity(corpus))
            self._test = Test(
                documents=self._step("test-documents", test),
                gold=self._step("test-gold", test),
                rejects=self._step("test-rejects", test),
                lexical=self._step("test-lexical", test, *lexical),
                verdicts=None,
            )

    def _state(self, number: int, encoder: Dataset | None, identity: str) -> State:
        settings = self._config.encoder
        encoding = settings.model_dump(mode="json", exclude={"model", "label_vectors", *LAID_OUT})
        made_of = [self._labels.fingerprint, identity, encoding]
        made_of += [] if settings.label_vectors == "one" else [settings.label_vectors]
        labels = self._step(f"label-vectors-{number}", *made_of)
        rule = self._config.index.rule()
        index = self._step(f"index-{number}", labels.fingerprint, *([rule] if rule else []))

        def rankings(kind: str, documents: Dataset, lexical: Dataset) -> Rankings:
            vectors = self._step(
                f"{kind}vectors-{number}", documents.fingerprint, identity, encoding
            )
            depth = self._config.shortlist.depth
            dense = self._step(
                f"{kind}dense-{number}", index.fingerprint, vectors.fingerprint, depth
            )
            fusion = self._config.shortlist.model_dump(mode="json", exclude=NOT_FUSION)
            hybrid = self._step(
                f"{kind}hybrid-{number}", dense.fingerprint, lexical.fingerprint, fusion
            )
            return Rankings(vectors, dense, hybrid)

        test = self._test
        own = rankings("", self._documents, self._lexical)
        tested = rankings("test-", test.documents, test.lexical) if test else None
        return State(number, encoder, labels, index, own, tested)

    def _asked_by(self, *settings: object) -> list[object]:
        """What a step that asks depends on beside its rankings."""
        judge = self._config.judge
        settings = (judge.teacher.least_mass, judge.calibration, judge.temperature, *settings)
        return [*self._judge, self._human, *settings]

    def _cycle(self, number: int, states: list[State], before: list[Cycle]) -> Cycle:
        config, judge = self._config, self._config.judge
        earlier = [step.fingerprint for cycle in before for step in (cycle.asked or ())[1:]]
        asked = self._asked_by(judge.top_k, judge.select_k)
        ranked = [step.fingerprint for name, step in states[-1].candidates.items()][1:]
        verdicts = self._step(f"verdicts-{number}", ranked, asked, earlier)
        rules = config.pseudo_labels.model_dump(mode="json")
        examples = self._step(f"examples-{number}", verdicts.fingerprint, rules, config.fit.seed)
        encoder = self._encoder(number, examples, states)
        return Cycle(number, examples, encoder, (verdicts, verdicts))

    def _text_cycle(self, number: int, states: list[State], before: list[Cycle]) -> Cycle:
        """A cycle that asks nobody: of texts, or of the labels of the state before."""
        config, fit, rules = self._config, self._config.fit, self._config.pseudo_labels
        documents, clusters = self._documents.fingerprint, None
        read: tuple[Dataset, ...] = ()
        made_of: list[object] = [fit.segment_words] if config.source == "segment" else []
        if number > 1:
            read = states[-1].corpus.dense, self._lexical
            made_of = [*(step.fingerprint for step in read), (rules.own_labels, rules.own_words)]
        elif config.source == "title" and fit.clusters:
            read = (states[0].corpus.vectors,)
            vectors = read[0].fingerprint
            clusters = self._step("clusters-1", documents, vectors, fit.clusters, fit.seed)
            made_of = [clusters.fingerprint]
        examples = self._step(f"examples-{number}", documents, config.source, made_of)
        encoder = self._encoder(number, examples, states)
        return Cycle(number, examples, encoder, clusters=clusters, read=read)

    def _encoder(self, number: int, examples: Dataset, states: list[State]) -> Dataset:
        fit = self._config.fit
        start = states[-1] if fit.init == "previous" else states[0]
        fitting = fit.model_dump(mode="json", exclude=LAID_OUT)
        return self._step(
            f"encoder-{number}", examples.fingerprint, start.labels.fingerprint, fitting
        )

    def _bundle(self, states: list[State], cycles: list[Cycle], chance: Dataset | None) -> Dataset:
        config = self._config
        outcome = [
            states[0].corpus.hybrid.fingerprint,
            [cycle.asked[-1].fingerprint for cycle in cycles if cycle.asked],
            config.cycles.patience if config.source == "teacher" else states[-1].labels.fingerprint,
            [config.ship, SHIPPING, CALIBRATING],
            chance.fingerprint if chance else None,
            config.pseudo_labels.model_dump(mode="json", include={"accept_deviations"}),
        ]
        return self._step("bundle", schemas.BUNDLE_VERSION, *outcome)

    def _with_verdicts(self, first: State) -> Test | None:
        k = self._config.judge.rerank_k
        if self._test is None or not k or not self._config.has_judge:
            return self._test
        hybrid = first.tested.hybrid.fingerprint
        return replace(self._test, verdicts=self._step("test-verdicts", hybrid, self._asked_by(k)))

    def _with_icxml(self, test: Test | None, first: State) -> Test | None:
        config, k = self._config, self._config.judge.icxml_k
        if test is None or not k:
            return test
        writer = writer_identity(config.judge.teacher)
        phrases = self._step("test-phrases", test.documents.fingerprint, writer)
        sides = first.labels.fingerprint, first.index.fingerprint, self._lexical_index.fingerprint
        fusion = config.shortlist.depth, config.shortlist.fusion_constant
        mapped = self._step("test-mapped", phrases.fingerprint, *sides, *fusion)
        asked = self._step("test-icxml-verdicts", mapped.fingerprint, self._asked_by(k))
        return replace(test, icxml=Icxml(phrases, mapped, asked))

    def _evaluation(self, bundle: Dataset, test: Test | None) -> Dataset:
        inputs: list[object] = [self._config.judge.frequent_share]
        if test:
            settings = self._config.evaluation.model_dump(mode="json")
            asked = test.verdicts.fingerprint if test.verdicts else ""
            written = test.icxml.verdicts.fingerprint if test.icxml else ""
            counts = self._config.evaluation.counts
            counted = content_hashes([counts]) if counts else {}
            inputs += [test.documents.fingerprint, asked, written, settings, counted]
            never = self._config.corpus.self_matches
            inputs += [content_hashes([never])] if never else []
            # earlier versions measured P@1 only where it was asked for
            inputs += [] if 1 in self._config.evaluation.precision_at else ["P@1"]
        return self._step("evaluation", bundle.fingerprint, *inputs)
