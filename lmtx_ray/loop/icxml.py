"""ICXML on the test documents, to compare with: the judge writes phrases, search finds labels by
them, and the judge re-ranks those."""

from __future__ import annotations

from lmtx_ray.io import storage
from lmtx_ray.loop.judging import ask, fragments
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_folder import RunLayout
from lmtx_ray.loop.steps import Icxml
from lmtx_ray.stages.budget import shared_budget
from lmtx_ray.stages.icxml import MapPhrases, WritePhrases, Writing
from lmtx_ray.stages.units import Work, run_units

RANKING = "mapped"


def icxml_steps(config: RunConfig, layout: Layout, steps: Icxml) -> None:
    """All three steps; published ones are left alone."""
    _write(config, layout, steps)
    _map(config, layout, steps)
    _judge(config, layout, steps)


def _write(config: RunConfig, layout: Layout, steps: Icxml) -> None:
    run = RunLayout(config.run)
    kept = run.work(f"phrases-{steps.phrases.fingerprint}")
    with shared_budget(config.judge.budget, run.spent) as budget:
        writing = Writing(config.judge.teacher, kept, run.accounts, "icxml phrases", budget)
        work = Work(steps.phrases, fragments(layout.tested.documents), "doc_id")
        pool, price = config.resources.judge, config.judge.price.model_dump()
        kwargs = {"writing": writing}
        run_units([work], WritePhrases, kwargs, pool, "icxml phrases", price=price)
    storage.remove_folder(kept)


def _map(config: RunConfig, layout: Layout, steps: Icxml) -> None:
    kwargs = {
        "config": config.encoder,
        "model": layout.pretrained,
        "index": layout.states[0].index.uri,
        "lexical": layout.lexical_index.uri,
        "depth": config.shortlist.depth,
        "constant": config.shortlist.fusion_constant,
    }
    work = Work(steps.mapped, fragments(steps.phrases), "doc_id")
    run_units([work], MapPhrases, kwargs, config.resources.embed, "icxml search")


def _judge(config: RunConfig, layout: Layout, steps: Icxml) -> None:
    work = Work(steps.verdicts, fragments(layout.tested.documents, steps.mapped))
    plan, sources = {"test": [(RANKING, config.judge.icxml_k)]}, {"test": steps.verdicts}
    ask(config, layout, [work], sources, plan, 0, "icxml judge", (RANKING,))
