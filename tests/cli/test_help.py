"""Every verb says what it is for, with an example, and so does every option."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import get_args

import pytest

from lmtx_ray import __version__
from lmtx_ray.batch.job import OutputFormat
from lmtx_ray.cli.arguments import all_parsers
from lmtx_ray.cli.jobs import build_parser as job_parser
from lmtx_ray.cli.main import build_parser, main
from lmtx_ray.cli.tagging import FORMATS, OUTPUT_FORMATS
from lmtx_ray.config.corpus import DocumentsConfig


def without_help(parser: argparse.ArgumentParser) -> list[str]:
    """Options and arguments that say nothing of themselves, as "verb --option"."""
    return [
        f"{verb} {'/'.join(action.option_strings) or action.dest}".strip()
        for verb, below in all_parsers(parser)
        for action in below._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]


def test_every_option_says_what_it_does() -> None:
    assert without_help(build_parser()) == []


@pytest.mark.parametrize("step", [None, "prepare", "judge"])
def test_so_does_every_option_of_a_job(step: str | None) -> None:
    assert without_help(job_parser(step)) == []


def test_the_formats_of_the_command_line_are_those_that_are_read_and_written() -> None:
    assert get_args(DocumentsConfig.model_fields["format"].annotation) == FORMATS
    assert get_args(OutputFormat) == OUTPUT_FORMATS


def test_every_verb_has_an_example() -> None:
    assert [verb for verb, below in all_parsers(build_parser()) if not below.epilog] == []


def test_every_example_is_understood() -> None:
    parser = build_parser()
    for verb, below in all_parsers(parser):
        for line in (below.epilog or "").splitlines()[1:]:
            command = line.split("#")[0].split(" > ")[0].split(" | ")[-1].strip()
            words = [word.strip("'\"") for word in command.split("lmtx ", 1)[1].split()]
            if '"' in command:  # one text in quotation marks
                words = [*command.split('"')[0].split()[1:], "a text"]
            words = words[words.index("lmtx") + 1 :] if "lmtx" in words else words
            parser.parse_args(words)
            assert words[: len(verb.split())] == verb.split() or not verb


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "no 'rnu' here; did you mean run"),
        (["verdicts", "exprt"], "no 'exprt' here; did you mean export"),
        (["run", "a.yaml", "--stt", "a=b"], "--stt a=b (did you mean --set?)"),
        (["tag-text", "--bundel", "b", "a text"], "--bundle"),
        (["run", "a.yaml", "--until", "judges"], "did you mean judge"),
        (["zzz"], "no 'zzz' here; there is: init, demo, run"),
    ],
)
def test_a_slip_is_told_what_was_meant(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"lmtx {__version__}\n"


def completion(capsys: pytest.CaptureFixture[str], shell: str) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def test_bash_completes_verbs_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    script = completion(capsys, "bash")
    ask = 'COMP_WORDS=(lmtx {}); COMP_CWORD={}; _shtab_lmtx; echo "${{COMPREPLY[*]}}"'
    for words, place, expected in (("jud", 1, "judge-check"), ("run --dry", 2, "--dry-run")):
        done = subprocess.run(
            ["bash", "-c", f"{script}\n{ask.format(words, place)}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert expected in done.stdout


def test_zsh_gets_a_script_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert completion(capsys, "zsh").startswith("#compdef lmtx")


def test_completion_starts_nothing_heavy() -> None:
    script = "import sys; from lmtx_ray.cli.main import main; main(['completion', 'bash'])"
    script += "; sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0
    assert not {"ray", "torch", "pyarrow", "pydantic"} & set(done.stderr.split())
