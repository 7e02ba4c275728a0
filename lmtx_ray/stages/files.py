"""Steps whose output is a folder of files, each made by a worker where the data is: the driver
sees names and hashes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from ray.data import TaskPoolStrategy

from lmtx_ray.config.resources import Resources
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import StoredFile

logger = logging.getLogger(__name__)
# (local folder, **arguments): writes files there; what it returns, if anything, people are told
Build = Callable[..., str | None]


def build_files(
    output: Dataset,
    build: Build,
    parts: Sequence[dict[str, Any]],
    resources: Resources,
    name: str,
) -> None:
    """Publish the files that `build` writes, called once for each of `parts` on some worker. Which
    names there are must follow from the parts alone, and a file's bytes from its part.

    Args:
        parts: Arguments of each call; plain values, as they travel as JSON.
        resources: What a task asks for; its pool size is not used.
        name: What to call the step in progress lines.

    Raises:
        ValueError: What `build` found wrong with its input.
    """
    if output.is_complete():
        logger.info("%s: complete", name)
        return
    rows = [{"part": json.dumps(part)} for part in parts]

    def put(attempt: str) -> dict[str, StoredFile]:
        built = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            build_task,
            batch_format="pyarrow",
            batch_size=1,
            fn_kwargs={"build": build, "uri": storage.join(output.uri, attempt)},
            compute=TaskPoolStrategy(),
            num_cpus=resources.cpus,
        )
        return _files(built.iter_rows(), attempt, name)

    # a part that is built again has the same bytes, so a driver's attempt is one whatever dies
    logger.info("%s: %d files", name, len(output.publish_attempt(put).files))


def _files(done: Iterable[dict[str, Any]], attempt: str, name: str) -> dict[str, StoredFile]:
    files: dict[str, StoredFile] = {}
    for row in done:
        outcome = json.loads(row["files"])
        if "error" in outcome:
            raise ValueError(f"{name}: {outcome['error']}")
        if outcome["said"]:
            logger.info("%s: %s", name, outcome["said"])
        files |= {
            file: StoredFile(f"{attempt}/{file}", sha256)
            for file, sha256 in outcome["sha256"].items()
        }
    return files


def build_task(parts: pa.Table, build: Build, uri: str) -> pa.Table:
    """Build parts one by one and put their files in place: a row for each with name -> SHA-256, or
    with the error that a user can mend."""
    done = [_build(json.loads(part), build, uri) for part in parts["part"].to_pylist()]
    return pa.table({"files": [json.dumps(outcome) for outcome in done]})


def _build(part: dict[str, Any], build: Build, uri: str) -> dict[str, Any]:
    with storage.scratch_folder() as folder:
        try:
            said = build(Path(folder), **part)
        except ValueError as error:
            return {"error": str(error)}
        hashes = {}
        for path in sorted(Path(folder).iterdir()):
            storage.put_file(path, storage.join(uri, path.name))
            hashes[path.name] = storage.sha256_of(str(path))
        return {"sha256": hashes, "said": said}
