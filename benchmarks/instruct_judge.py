"""What a real chat model is heard to say: two single tokens against all spellings, and its server.

    python -m benchmarks.instruct_judge [--quick] [--output FILE]

SmolLM2-135M-Instruct is asked about the sample's first documents, cut to 60 words, with the labels
whose words they name. The rule before took the tokens " yes" and " no" after the chat template and
renormalised them, so it was never unclear. Now the probabilities of all spellings are summed, and
too small a sum is unclear. vLLM's own server over the same weights is asked the same, once with the
usual 20 listed tokens and once with so many that no spelling is left out. This says how a model is
heard, not whether it is right: so small a one is no judge. Ends with one line of JSON for scripts.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.append(str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.serving import show
from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import Teacher, Unlimited
from lmtx_ray.teacher.registry import build_teacher
from lmtx_ray.teacher.vllm import VllmTeacher
from tests import instruct

PROMPT = get_prompt("subject")
WORDS, CANDIDATES, LISTED = 60, 16, 400
Row = dict[str, Any]


class Listening(VllmTeacher):
    """A judge that also keeps every log-probability it was told, by the token's text."""

    heard: list[dict[str, float]]

    def _read(self, output: Any) -> Any:
        found = output.outputs[0].logprobs[0]
        self.heard.append({self._text_of(token): entry.logprob for token, entry in found.items()})
        return super()._read(output)


def before(heard: list[dict[str, float]]) -> list[Row]:
    """The answers of the old rule."""
    rows = []
    for said in heard:
        yes, no = said[" yes"], said[" no"]
        p_yes = 1 / (1 + math.exp(no - yes))
        mass = math.exp(yes) + math.exp(no)
        rows.append({"answer": "yes" if p_yes > 0.5 else "no", "p_yes": p_yes, "mass": mass})
    return rows


def summary(rows: list[Row]) -> dict[str, float]:
    answers = [row["answer"] for row in rows]
    clear = [answer for answer in answers if answer != "unclear"]
    mass = np.array([row["mass"] for row in rows if row["mass"] is not None])
    return {
        "mass": round(float(mass.mean()), 6),
        "mass_least": round(float(mass.min()), 6),
        "unclear": round(1 - len(clear) / len(answers), 4),
        "yes": round(clear.count("yes") / max(len(clear), 1), 4),
    }


def agreement(rows: list[Row], served: list[Row]) -> dict[str, float]:
    """Over the pairs that are clear in both."""
    both = [
        (a, b)
        for a, b in zip(rows, served, strict=True)
        if "unclear" not in (a["answer"], b["answer"]) and b["p_yes"] is not None
    ]
    apart = [abs(a["p_yes"] - b["p_yes"]) for a, b in both]
    return {
        "pairs": len(both),
        "equal_answers": round(sum(a["answer"] == b["answer"] for a, b in both) / len(both), 4),
        "p_yes_apart_mean": round(float(np.mean(apart)), 6),
        "p_yes_apart_most": round(max(apart), 6),
    }


def run(documents: int, work: Path) -> dict[str, Any]:
    table = instruct.sample_questions(documents, CANDIDATES, WORDS)
    folder = instruct.save_instruct(work)
    judge = Listening(TeacherConfig(model=folder, dtype="float32", threads=1), PROMPT, Unlimited())
    judge.heard = []
    now = judge.judge(table).to_pylist()
    old = before(judge.heard)
    limits = ("--max-model-len", "768", "--dtype", "float32", "--max-logprobs", str(LISTED))
    with instruct.serve(folder, work / "server.log", *limits) as url:
        servers = {listed: served_by(url, listed) for listed in (20, LISTED)}
        served = {listed: each.judge(table).to_pylist() for listed, each in servers.items()}
    pace = {
        name: round(len(now) / each.usage.seconds, 1)
        for name, each in (("in_process", judge), ("served", servers[20]))
    }
    return {
        "pairs": len(now),
        "before": summary(old),
        "now": summary(now),
        **{f"served_{listed}_listed": summary(rows) for listed, rows in served.items()},
        "before_and_served": agreement(old, served[LISTED]),
        "now_and_served": agreement(now, served[LISTED]),
        "now_and_served_20_listed": agreement(now, served[20]),
        "tokens_apart": abs(judge.usage.prompt_tokens - servers[20].usage.prompt_tokens),
        "answers_a_second": pace,
    }


def served_by(url: str, listed: int) -> Teacher:
    config = TeacherConfig(
        kind="http", model="instruct", url=f"{url}/v1", concurrency=8, top_logprobs=listed
    )
    return build_teacher(config, PROMPT)


def asked(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What was asked of this, and whether it was met."""
    gained = result["now"]["mass"] / result["before"]["mass"]
    same = result["now_and_served"]
    values = (
        (
            "mass of all spellings, times that of two tokens",
            round(gained, 1),
            ">= 10",
            gained >= 10,
        ),
        (
            "P(yes) in process and served, most apart",
            same["p_yes_apart_most"],
            "<= 0.01",
            same["p_yes_apart_most"] <= 0.01,
        ),
        (
            "equal answers in process and served",
            same["equal_answers"],
            ">= 0.99",
            same["equal_answers"] >= 0.99,
        ),
        (
            "prompt tokens in process and served, apart",
            result["tokens_apart"],
            "0",
            result["tokens_apart"] == 0,
        ),
    )
    return [dict(zip(("what", "value", "wanted", "met"), row, strict=True)) for row in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 documents instead of 20")
    parser.add_argument("--output", type=Path, help="write the result there too")
    arguments = parser.parse_args()
    if not instruct.is_installed():
        raise SystemExit(instruct.HOW)
    with tempfile.TemporaryDirectory() as work:
        result = run(5 if arguments.quick else 20, Path(work))
    result["asked"] = asked(result)
    show(result, arguments.output)
    print(json.dumps({"asked": result["asked"]}))


if __name__ == "__main__":
    main()
