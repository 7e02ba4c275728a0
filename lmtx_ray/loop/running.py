"""What the command line and a program start alike: a run, its plan, a batch job, and Ray for them.

Nothing heavy is imported before it is needed, so `lmtx --help` starts in milliseconds.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmtx_ray.io.addresses import require_ray
from lmtx_ray.io.cores import usable_cores
from lmtx_ray.io.stage import Stage

if TYPE_CHECKING:
    from lmtx_ray.batch.job import TagJob
    from lmtx_ray.config.search import SearchWay
    from lmtx_ray.loop.run_config import RunConfig

    Settings = RunConfig | Mapping[str, Any] | str | Path

JOB_FOLDER = "/runtime_resources/working_dir_files/"
logger = logging.getLogger(__name__)
_started = False  # whether this process started or joined a cluster by `start_ray`


def load_config(config: Settings, overrides: Sequence[str] = ()) -> RunConfig:
    """A run's settings from a YAML file, a dict or a RunConfig, with overrides such as
    "cycles.most=1".

    Raises:
        ConfigError: An unreadable file, an unknown key or a wrong value; it names file and field.
    """
    from lmtx_ray.config import loading
    from lmtx_ray.loop.run_config import RunConfig

    loaded = loading.load_config(RunConfig, config, overrides)
    for teacher in loaded.judge.teacher.judges:
        if teacher.kind == "http":  # an address may hold a password: before it is kept
            from lmtx_ray.teacher.client import api_key, chat_url

            chat_url(teacher.url)
            api_key(teacher.api_key_env)
    return loaded


def plan(config: Settings, overrides: Sequence[str] = (), measure: bool = False) -> dict[str, Any]:
    """What a run would do: inputs counted, each step complete or to do, the judge's bill.

    Reads the corpus, loads no model, starts no cluster and writes nothing; with `measure` it starts
    the judge in this process and asks it about some hundred pairs, to tell how long it will take.

    Raises:
        ConfigError: See `load_config`.
        CorpusError: An input is missing or cannot be read.
        Interrupted: Measured was a judge that did not answer.
    """
    from lmtx_ray.loop.estimate import describe
    from lmtx_ray.loop.machine import this_machine
    from lmtx_ray.loop.preflight import on_cluster
    from lmtx_ray.loop.room import lack_here

    settings = load_config(config, overrides)
    if not on_cluster() and (lack := lack_here(settings, this_machine())):
        logger.warning("%s: right on a cluster that has it; here, `lmtx run` would refuse", lack)
    with Stage("reading the corpus"):
        return describe(settings, measure)


def run(
    config: Settings,
    overrides: Sequence[str] = (),
    until: str | None = None,
    cycle: int | None = None,
) -> dict[str, Any]:
    """Do what is left of a run; returns its summary, the last line of `lmtx run`.

    Starts Ray on this machine, or joins the cluster that RAY_ADDRESS names, unless Ray is
    initialised already. A repeated call goes on where a killed one was.

    Args:
        until: Stop after this step, see `lmtx run --help`; the result then tells what is there.
        cycle: Which one of a repeated step; the first if None.

    Raises:
        ConfigError: See `load_config`; or this machine lacks what a stage asks for.
        CorpusError: An input is missing or cannot be read.
        ValueError: No such step or cycle, or a run folder that a job's end would delete.
    """
    from lmtx_ray.corpus.fitting import check_corpus
    from lmtx_ray.io import lease
    from lmtx_ray.io.fence import by_lease, lease_uri
    from lmtx_ray.loop.layout import lay_out
    from lmtx_ray.loop.naming import name_finished
    from lmtx_ray.loop.outcome import finished
    from lmtx_ray.loop.preflight import check, check_hub, on_cluster
    from lmtx_ray.loop.record import write_record
    from lmtx_ray.loop.room import check_room, warn_of_room

    settings = load_config(config, overrides)
    stop = _stop(until, cycle, settings)
    check_corpus(settings.corpus)
    layout = lay_out(settings)
    if stop is None and (summary := finished(settings, layout)):
        name_finished(settings, layout, summary)
        return summary
    refuse_passing_folder(settings.run, "run")
    check(settings)
    if not on_cluster():
        check_room(settings)
    check_hub(settings)
    write_record(settings)
    # two would pay the judge twice
    with lease.held(lease_uri(settings.run), patient=True) as token:
        layout = lay_out(settings, by_lease(settings.run, token))
        start_ray(settings.run)
        warn_of_room(settings)
        with Stage("loading libraries"):
            from lmtx_ray.loop.cycle import run_cycles
            from lmtx_ray.loop.ending import finish, finish_at

        result = run_cycles(settings, layout, stop)
        return finish(settings, result) if stop is None else finish_at(settings, result, stop)


def check_stop(
    config: Settings, overrides: Sequence[str], until: str | None, cycle: int | None
) -> None:
    """Refuse a stop that `run` would refuse. Raises ConfigError and ValueError as it does."""
    _stop(until, cycle, load_config(config, overrides))


def _stop(until: str | None, cycle: int | None, config: RunConfig) -> str | None:
    from lmtx_ray.loop.stopping import STEPS, stop_name

    if until is None and cycle is not None:
        raise ValueError("--cycle needs --until")
    if until is not None and until not in STEPS:
        raise ValueError(f"no step {until!r}; there are: {', '.join(STEPS)}")
    return None if until is None else stop_name(until, cycle, config.rounds, config.source)


def tag_corpus(
    job: TagJob,
    append_new: bool = False,
    actors: int | None = None,
    local: bool | None = None,
    overwrite: bool = False,
    search: SearchWay = "auto",
) -> dict[str, Any]:
    """Tag every readable document of a job's inputs and publish tags and rejects; returns counts.

    Inputs of some megabytes are tagged in this process; more of them, or where RAY_ADDRESS is set
    or `actors` given, on Ray, as `run` starts it.

    Args:
        append_new: Tag only files that were not there before, into the same output.
        actors: Taggers in the pool; as many as the cluster has GPUs or CPUs if None.
        local: True: in this process, without Ray; False: on Ray.
        overwrite: Drop what another job has tagged in the output but not published.
        search: "replicated": each worker maps the whole index; "chain": each stage of a chain of
            Ray Data stages a part of it; "auto": what the nodes' memory has room for. The tags are
            the same.

    Raises:
        PublishError: The output holds another job's tags, or inputs, settings or bundle changed.
        CorpusError: There is no readable document.
        StorageError: An input or the output failed; a repeated call goes on.
    """
    from lmtx_ray.loop import tagging

    if local is None and os.environ.get("RAY_ADDRESS"):
        local = False
    start = partial(start_ray, job.output)
    return tagging.tag_corpus(job, append_new, actors, local, start, overwrite, search)


def tag_to_file(
    job: TagJob,
    long: bool = False,
    actors: int | None = None,
    local: bool | None = None,
    overwrite: bool = False,
    search: SearchWay = "auto",
) -> dict[str, Any]:
    """The same into one file, `job.output`: .csv, .jsonl, .parquet or .xmc.txt, which appears whole
    when the job is complete; returns counts.

    Args:
        long: A row for each tag, not for each document.
        overwrite: Replace a file that is there, when the new one is complete.

    Raises:
        PublishError: A file is there that this job did not write.
        CorpusError: There is no readable document.
        StorageError: An input or the output failed; a repeated call goes on.
    """
    from lmtx_ray.loop import one_file

    def tag(inner: TagJob) -> dict[str, Any]:
        return tag_corpus(inner, False, actors, local, overwrite, search)

    return one_file.tag_to_file(job, long, overwrite, tag)


def refuse_passing_folder(uri: str, option: str) -> None:
    """Of a submitted job the working folder is a copy that the cluster deletes: no place to keep
    anything. Raises ValueError for a location inside it."""
    if JOB_FOLDER in uri:
        raise ValueError(
            f"{option}: {uri} is inside the job's copy of its working folder, which is deleted "
            "afterwards; give an absolute path on storage all nodes share, or an s3:// URI"
        )


def start_ray(output: str | None = None) -> None:
    """Join the cluster RAY_ADDRESS names, or start one on this machine with the cores it may use;
    where Ray is initialised already, that is taken.

    `output`, where it is given, must be seen by every node of the cluster.

    Raises:
        ConnectionError: Nothing listens at RAY_ADDRESS.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import ray

    if not ray.is_initialized():
        _init()
    if output is not None:
        from lmtx_ray.stages.nodes import require_shared

        require_shared(output)


def _init() -> None:
    import ray

    # "local", as Ray otherwise joins a cluster somebody started here, which refuses num_cpus
    local = {"address": "local", "num_cpus": usable_cores(), "include_dashboard": False}
    if address := os.environ.get("RAY_ADDRESS"):
        require_ray(address)
        local = {}
    global _started
    with own_signals(), Stage("starting Ray"):
        ray.init(logging_level=logging.WARNING, log_to_driver=False, **local)
    _started = True
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for noisy in ("ray.data", "ray.train", "faiss.loader", "httpx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


@contextmanager
def own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself and ends without a word; whoever had it before keeps it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, handler)


def leave_ray() -> None:
    """End what `start_ray` began; a cluster that was initialised before stays."""
    global _started
    if _started:
        import ray

        ray.shutdown()
        _started = False
