"""A Parquet file of one schema, written table by table."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from lmtx_ray.io.receipts import PublishError

GROUP_ROWS = 16_384
GROUP_BYTES = 32 << 20  # of rows that wait, as some are long


class TableWriter:
    """Parquet of one schema (the first table's), in row groups of some thousand rows, fewer where
    they are long."""

    def __init__(self, file: BinaryIO, group_rows: int = GROUP_ROWS) -> None:
        self._file, self._group_rows = file, group_rows
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0

    def write(self, table: pa.Table) -> None:
        """Append a table. Raises PublishError if its schema is not that of the first."""
        if self._waiting and table.schema != self._waiting[0].schema:
            raise PublishError(
                f"a column changes its type: {table.schema} follows {self._waiting[0].schema}"
            )
        self._waiting.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows >= self._group_rows or self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> pq.ParquetWriter:
        table = pa.concat_tables(self._waiting).combine_chunks()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd")
        if table.num_rows:
            self._writer.write_table(table, row_group_size=self._group_rows)
        self._waiting = [table.schema.empty_table()]  # a slice would keep all of it
        self._rows = self._bytes = 0
        return self._writer

    def close(self) -> None:
        """Write what waits, and the end of the file; the file itself stays open."""
        self._flush().close()
