"""Asks the teacher about shortlisted labels, and never about a pair that was judged before."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.corpus.text_keys import document_keys, text_key
from lmtx_ray.io import halting, progress
from lmtx_ray.io.accounts import Account
from lmtx_ray.search.hardware import has_gpu
from lmtx_ray.stages.budget import RemoteLedger, worker_budget
from lmtx_ray.stages.kept_verdicts import KeptVerdicts, at_once
from lmtx_ray.stages.label_priors import Priors
from lmtx_ray.stages.members import kept_members
from lmtx_ray.stages.starting import engine_starting
from lmtx_ray.teacher import health, questions
from lmtx_ray.teacher.priors import Calibration, document_key
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.protocol import Halted, JudgeRefused, Teacher, Usage, paid_for
from lmtx_ray.teacher.questions import Candidate, Key
from lmtx_ray.teacher.registry import build_teacher
from lmtx_ray.teacher.shown import shown_tables
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.store import Snapshot, VerdictStore, as_stored

CHECKED_DOCUMENTS = 16  # of each unit are judged first: a useless judge is found out after them


@dataclass(frozen=True)
class Asking:
    """How a step asks. `plan` maps a split to the (ranking name, k) whose top candidates are worth
    a question, `sources` to what the questions of this step are marked with in the store.

    `check` stops the run where the first answers teach nothing (see health); `by_order` says that
    only their order within a document counts.
    """

    teacher: TeacherConfig
    prompt: Prompt
    identity: tuple[str, str]  # fingerprints of prompt and teacher
    store: str
    known: Snapshot
    human: Snapshot
    rankings: tuple[str, ...]
    plan: Mapping[str, Sequence[tuple[str, int]]]
    sources: Mapping[str, str]
    cycle: int
    check: bool = True
    by_order: bool = False
    deterministic: bool | None = None
    calibration: str = "none"  # see JudgeConfig
    temperature: float = 1.0
    budget: RemoteLedger | None = None
    about: Mapping[str, Any] = field(default_factory=dict)  # what the store keeps of the judge
    costs: str = ""  # the folder where what the judge used is written down; nowhere if empty
    step: str = ""  # what it is written down under


class AskTeacher:
    """Worker: fragments of the same documents in (documents, one ranking for each name in
    `rankings`, earlier verdicts), the view of one verdict for each other pair out.

    What the teacher said is in the store before the unit is committed.
    """

    expands: ClassVar[bool] = True
    counts: ClassVar[str] = "pairs"
    costly: ClassVar[bool] = True

    def __init__(self, asking: Asking, labels: Sequence[str]) -> None:
        self._asking = asking
        self._labels = pa.concat_tables(
            shown_tables(asking.prompt, labels, ["text", "description", "aliases"])
        )
        prompt, teacher = asking.identity
        partition = VerdictStore(asking.store).partition(teacher, prompt)
        own = set(asking.sources.values())
        self._kept, self._human = KeptVerdicts(partition, asking.known, own), Lookup(asking.human)
        self._teacher: Teacher | None = None
        self._budget = worker_budget(asking.budget)
        self._account = Account(asking.costs) if asking.costs else None
        self._sample: list[pa.Table] | None = [] if asking.check else None
        self._repeatable = _is_repeatable(asking)
        self._priors: Priors | None = None
        # several units may be worked on at once
        self._starting, self._checking = threading.Lock(), threading.Lock()
        if asking.calibration == "prior":
            stored = self._kept.lookup.find([document_key()])
            where, asks = (partition, asking.identity), (self._started, self._kept.keep)
            how = self._repeatable, at_once(asking.teacher)
            self._priors = Priors(stored, *where, *asks, *how)

    @property
    def usage(self) -> Usage:
        """What the teacher has used in this process."""
        return Usage() if self._teacher is None else self._teacher.usage

    def __call__(self, documents: pa.Table, *others: pa.Table) -> pa.Table:
        """VERDICTS on the wanted candidates; `others` are rankings, then earlier verdicts."""
        count, plan = len(self._asking.rankings), self._asking.plan
        documents, *fragments = questions.of_splits(plan, documents, *others)
        rankings = dict(zip(self._asking.rankings, fragments[:count], strict=True))
        labels = self._labels.num_rows
        wanted = questions.wanted_candidates(documents, rankings, plan, labels)
        judged = fragments[count:]
        candidates = questions.without_judged(self._candidates(documents, wanted), judged)
        progress.ahead(len(candidates))
        keys = {candidate.key[0] for candidate in candidates}
        known = questions.first_by_key(self._kept.lookup.find(keys))
        human = questions.first_by_key(self._human.find(keys))
        try:
            for part in _parts(candidates):
                self._learn_priors(part, human)
                self._ask(documents, part, known, human)
                self._check(self._view(part, known, human))
        finally:
            self._keep_usage()
            if self._budget is not None:
                self._budget.close()
        return self._view(candidates, known, human)

    def _candidates(self, documents: pa.Table, wanted: Mapping[str, list[int]]) -> list[Candidate]:
        columns = [documents[name].to_pylist() for name in ("doc_id", "split")]
        labels = self._label_texts({label for labels in wanted.values() for label in labels})
        found = []
        for doc_id, split, document in zip(*columns, document_keys(documents), strict=True):
            for rank, label_id in enumerate(wanted[doc_id]):
                text, seen, plain = labels[label_id]
                keys = (document, seen), (document, plain)
                found.append(Candidate(doc_id, label_id, rank, split, *keys, text))
        return found

    def _label_texts(self, label_ids: set[int]) -> dict[int, tuple[str, bytes, bytes]]:
        """label_id -> (what the judge sees of it, key of that, key of its name)."""
        ids = sorted(label_ids)
        rows = self._labels.take(pa.array(ids, pa.int64())).to_pylist()
        texts = [self._asking.prompt.label_text(row) for row in rows]
        return {
            label: (text, text_key(text), text_key(row["text"]))
            for label, text, row in zip(ids, texts, rows, strict=True)
        }

    def _view(
        self, candidates: Sequence[Candidate], known: Mapping[Key, Any], human: Mapping[Key, Any]
    ) -> pa.Table:
        asking = self._asking
        least_mass = asking.prompt.least_mass(asking.teacher.least_mass)
        priors = self._priors.known if self._priors else {}
        read = Calibration(priors, asking.temperature)
        return questions.view(
            candidates, known, human, asking.sources, asking.cycle, least_mass, read
        )

    def _learn_priors(self, part: Sequence[Candidate], human: Mapping[Key, Any]) -> None:
        """What the judge thinks of the labels alone whose pairs people have not answered."""
        if self._priors is not None:
            self._priors.learn({c.key[1]: c.label_text for c in part if c.plain not in human})

    def _ask(
        self,
        documents: pa.Table,
        part: Sequence[Candidate],
        known: dict[Key, Any],
        human: Mapping[Key, Any],
    ) -> None:
        """Asks what neither the store nor a person has answered; `known` gets the answers."""
        open_ones = [candidate for candidate in part if candidate.plain not in human]
        asked: Sequence[Candidate] = questions.to_ask(open_ones, known)
        progress.advance(len(part) - len(asked))
        size = at_once(self._asking.teacher) or max(len(asked), 1)
        seen = 0
        while asked:
            documents_asked = {candidate.key[0] for candidate in asked}
            if (news := self._news(documents_asked)) > seen:
                found = questions.first_by_key(self._kept.lookup.find(documents_asked))
                known |= {key: row for key, row in found.items() if key not in known}
                left = questions.to_ask(asked, known)
                progress.advance(len(asked) - len(left))
                seen, asked = news, left
                continue
            tables = self._answers(documents, asked[:size])
            self._kept.keep(tables)
            known |= questions.first_by_key(pa.concat_tables(tables))
            asked = asked[size:]

    def _news(self, documents: set[bytes]) -> int:
        """How much others were answered meanwhile; nothing counts where bits repeat, as those go
        by what is asked together."""
        return 0 if self._repeatable else self._kept.look_again(documents)

    def _answers(self, documents: pa.Table, asked: Sequence[Candidate]) -> list[pa.Table]:
        """The judge's, as rows for the store. Raises what the judge raised, with what was
        answered kept."""
        if halting.current().is_set():
            raise Halted("another worker met the end of the step")
        teacher = self._started()
        try:
            answers = teacher.judge(questions.build_questions(documents, asked))
        except Exception as stop:
            if (said := paid_for(stop)) is not None:
                self._kept.keep(self._stored(asked, said))
            raise
        if answers.num_rows != len(asked):
            raise RuntimeError("the teacher did not answer each question once")
        said = answers["answer"].to_pylist()
        progress.count(answered=len(said), yes=said.count("yes"))
        return self._stored(asked, answers)

    def _started(self) -> Teacher:
        """The teacher; an engine takes a while to start: only when there is a question."""
        with self._starting:
            if self._teacher is None:
                self._teacher = self._start()
            return self._teacher

    def _start(self) -> Teacher:
        asking = self._asking
        how = self._budget, asking.deterministic
        with engine_starting():
            members = kept_members(asking.teacher, asking.store, *how)
            teacher = build_teacher(asking.teacher, asking.prompt, *how, members)
        if (teacher.prompt_fingerprint, teacher.fingerprint) != asking.identity:
            raise JudgeRefused(
                "judge.teacher.model: this node holds other files under that name than the one "
                "where the run was started"
            )
        settings = "judge.teacher.model", "judge.teacher.revision"
        self._kept.describe(asking.about, teacher.commit, *settings)
        return teacher

    def _stored(self, asked: Sequence[Candidate], answers: pa.Table) -> list[pa.Table]:
        """Rows for the store, by the split whose step asked."""
        by_pair = {(c.doc_id, c.label_id): c for c in asked}
        given = [by_pair[pair] for pair in questions.pairs_of(answers)]
        tables = []
        for split, source in self._asking.sources.items():
            rows = [place for place, candidate in enumerate(given) if candidate.split == split]
            keys = [given[place].key for place in rows]
            part = answers.take(pa.array(rows, pa.int64()))
            tables.append(as_stored(keys, part, self._asking.identity, source))
        return [table for table in tables if table.num_rows]

    def _keep_usage(self) -> None:
        if self._account is not None and self._teacher is not None:
            self._account.keep(self._asking.step, asdict(self.usage))

    def _check(self, verdicts: pa.Table) -> None:
        """Once, on the judge's first answers that are enough to tell."""
        with self._checking:
            if self._sample is None:
                return
            self._sample.append(verdicts.filter(pc.not_equal(verdicts["teacher"], HUMAN)))
            sample = pa.concat_tables(self._sample)
            if sample.num_rows < health.ENOUGH_PAIRS:
                return
            self._sample = None
        health.refuse_useless(sample, self._asking.by_order)


def _is_repeatable(asking: Asking) -> bool:
    """Whether the judge has to give the same bits again, in whatever company a pair is asked."""
    if asking.deterministic is None:
        in_process = all(judge.kind != "http" for judge in asking.teacher.judges)
        return in_process and not has_gpu()
    return asking.deterministic


def _parts(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """The candidates of the first few documents, then the others. Of every unit: what is judged
    together must be a function of the unit alone, as kernels round differently in other company."""
    first = dict.fromkeys(candidate.doc_id for candidate in candidates)
    checked = set(list(first)[:CHECKED_DOCUMENTS])
    parts = [
        [c for c in candidates if (c.doc_id in checked) == is_first] for is_first in (True, False)
    ]
    return [part for part in parts if part]
