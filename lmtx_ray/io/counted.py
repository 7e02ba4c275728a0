"""Reading that tells the progress of whoever reads."""

from __future__ import annotations

import io
from typing import Any

from lmtx_ray.io import progress


class Counted(io.RawIOBase):
    """A stream whose bytes are counted for `progress` as they are read."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def readinto(self, buffer: Any) -> int | None:
        """Fill some of a buffer; returns how many bytes, 0 at the end."""
        size = self._raw.readinto(buffer)
        progress.took(size or 0)
        return size

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position in bytes; returns it."""
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        """The position in bytes."""
        return self._raw.tell()

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Close the stream below too."""
        self._raw.close()
        super().close()
