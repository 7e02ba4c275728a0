"""What is published in a folder, for its readers: they read the manifest, and nothing that it does
not name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.io import storage
from lmtx_ray.io.receipts import Manifest, PublishError, StoredFile

MANIFEST, PLAN = "MANIFEST.json", "PLAN.json"  # PLAN: of a batch job
READERS = 16  # files read at once: on S3 each is a round trip
T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`work` of every item, in order, several at a time."""
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(work, items)


@dataclass(frozen=True)
class PublishedFolder:
    """A folder with a manifest. `fingerprint` is the identity it has to be of, empty to take what
    is there; `generation` counts what was appended to it."""

    uri: str
    fingerprint: str = ""
    generation: int = 0

    @property
    def manifest_uri(self) -> str:
        """Where the manifest of this generation is or will be."""
        return storage.join(self.uri, name_of(MANIFEST, self.generation))

    def is_complete(self) -> bool:
        """Whether the manifest is there.

        Raises:
            PublishError: It is there for another identity.
        """
        if not storage.exists(self.manifest_uri):
            return False
        self.manifest()
        return True

    def manifest(self) -> Manifest:
        """The published manifest; PublishError if there is none, or one of another identity."""
        if not storage.exists(self.manifest_uri):
            raise PublishError(f"{self.uri}: not published yet")
        manifest = Manifest.from_dict(storage.read_json(self.manifest_uri))
        if self.fingerprint and manifest.fingerprint != self.fingerprint:
            raise PublishError(
                f"{self.uri}: holds the output of other inputs or settings "
                f"({manifest.fingerprint}, not {self.fingerprint}); use another folder"
            )
        return manifest

    def uri_of(self, file: StoredFile) -> str:
        """Where a file of a receipt or manifest lies."""
        return storage.join(self.uri, file.name)

    def folder(self) -> str:
        """Where the files of a published folder lie under the names that its readers know."""
        folder = common_folder(self.uri, self.manifest().files)
        if folder is None:
            raise PublishError(f"{self.uri}: not one folder of files")
        return folder

    def download(self, local: str | Path) -> None:
        """Copy a published folder's files to a local one, each checked.

        Raises:
            PublishError: A file is not the one that was published.
        """
        manifest = self.manifest()
        for name, file in manifest.files.items():
            path = Path(local) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            storage.download_file(self.uri_of(file), path)
            if file.sha256 and storage.sha256_of(str(path)) != file.sha256:
                raise PublishError(f"{self.uri}: {name} is not the file that was published")

    def rows(self) -> int:
        """Number of published rows, from the manifest."""
        return self.manifest().rows()

    def unit_files(self) -> dict[str, str]:
        """Unit -> URI of its winning file, in reading order."""
        units = self.manifest().units
        return {unit.unit: storage.join(self.uri, unit.file) for unit in units}

    def files(self) -> list[str]:
        """URIs of the winning files, in reading order."""
        return list(self.unit_files().values())

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of some columns (None: all), in unit order."""
        return pa.concat_tables(self.tables(columns))

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The same, unit by unit."""
        for uri in self.files():
            yield storage.read_table(uri, columns)

    def where(self, column: str, values: pa.Array, columns: Sequence[str]) -> pa.Table:
        """Some columns of the rows whose `column` is among `values`, in unit order; no more than a
        few units are in memory."""
        wanted = list(dict.fromkeys([column, *columns]))

        def kept(uri: str) -> pa.Table:
            table = storage.read_table(uri, wanted)
            return table.filter(pc.is_in(table[column], value_set=values)).select(list(columns))

        return pa.concat_tables(in_parallel(kept, self.files()))


def folder_of(uri: str) -> str:
    """Of a published folder where its files lie; any other location as it is."""
    return PublishedFolder(uri).folder() if storage.exists(storage.join(uri, MANIFEST)) else uri


def common_folder(uri: str, files: Mapping[str, StoredFile]) -> str | None:
    """Where all files of what is published at `uri` lie under the names that readers know, if there
    is one such folder."""
    folders = {file.name.removesuffix(name) for name, file in files.items()}
    if len(folders) != 1:
        return None
    return storage.join(uri, *filter(None, folders.pop().split("/")))


def name_of(first: str, generation: int) -> str:
    """MANIFEST or PLAN, with a number from the first appended generation on."""
    return first if generation == 0 else f"{first.removesuffix('.json')}-{generation:03d}.json"
