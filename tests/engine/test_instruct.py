"""The judge in process and behind a server: the same real chat model says the same."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import Teacher
from lmtx_ray.teacher.registry import build_teacher
from tests import instruct

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not instruct.is_installed(), reason=instruct.HOW),
]
DOCUMENTS, CANDIDATES, WORDS = 20, 10, 60
LISTED = 400  # tokens that the server lists: 20 leave out spellings of yes and no
PROMPT = get_prompt("subject")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return instruct.save_instruct(tmp_path_factory.mktemp("instruct"))


@pytest.fixture(scope="module")
def url(folder: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log"
    limits = ("--max-model-len", "768", "--dtype", "float32", "--max-logprobs", str(LISTED))
    with instruct.serve(folder, log, *limits) as served:
        yield served


@pytest.fixture(scope="module", params=["vllm", "packed"])
def teacher(folder: str, request: pytest.FixtureRequest) -> Teacher:
    settings = {"engine": request.param, "dtype": "float32", "threads": 1}
    return build_teacher(TeacherConfig(model=folder, **settings), PROMPT)


@pytest.fixture(scope="module")
def questions() -> pa.Table:
    """The sample's first documents, shortened, with the labels whose words they name."""
    return instruct.sample_questions(DOCUMENTS, CANDIDATES, WORDS)


def test_in_process_and_behind_a_server_a_chat_model_says_the_same(
    teacher: Teacher, url: str, questions: pa.Table
) -> None:
    config = TeacherConfig(
        kind="http", model="instruct", url=f"{url}/v1", concurrency=8, top_logprobs=LISTED
    )
    served = build_teacher(config, PROMPT)
    here, there = teacher.judge(questions).to_pylist(), served.judge(questions).to_pylist()
    assert len(here) == len(there) == DOCUMENTS * CANDIDATES
    assert teacher.usage.prompt_tokens == served.usage.prompt_tokens
    pairs = list(zip(here, there, strict=True))
    clear = [(a, b) for a, b in pairs if "unclear" not in (a["answer"], b["answer"])]
    p_yes = max(abs(a["p_yes"] - b["p_yes"]) for a, b in clear)
    masses = [answer["mass"] for answer in here]
    print(
        f"\n{len(clear)} of {len(pairs)} clear in both, P(yes) within {p_yes:.6f}, mass "
        f"{min(masses):.3f} to {max(masses):.3f}"
    )
    assert len(clear) > len(pairs) / 4
    assert p_yes <= 0.01
    assert max(abs(a["mass"] - b["mass"]) for a, b in pairs) <= 0.01


def test_what_a_chat_model_says_instead_of_yes_or_no_is_told(
    teacher: Teacher, questions: pa.Table
) -> None:
    answers = teacher.judge(questions.slice(0, 6)).to_pylist()
    unclear = [answer for answer in answers if answer["answer"] == "unclear"]
    assert unclear
    assert all(answer["mass"] < 0.1 for answer in unclear)
    assert all(answer["raw"].startswith('begins with "') for answer in unclear)
    assert all(answer["raw"] is None for answer in answers if answer["answer"] != "unclear")
