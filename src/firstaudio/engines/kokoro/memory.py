"""Memory that this process holds and does not need: given back to the system. Elsewhere than on Linux, nothing is done.

A model is loaded through hundreds of megabytes that are freed again, in pieces that the allocator keeps; and a library
that maps a file to copy from it keeps the pages that it has read, once for each mapping.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path

MAPS = Path("/proc/self/maps")


def trim() -> None:
    """Give back what the allocator has kept of freed memory; takes some 10 ms, in which other threads run."""
    with_trim = getattr(_libc(), "malloc_trim", None)  # glibc's
    if with_trim is not None:
        with_trim(ctypes.c_size_t(0))


def let_go_of_pages(path: Path) -> None:
    """Forget the pages of a file that is mapped to be read. What is read again comes from the system's cache.

    Args:
        path: Where it lay when it was mapped.
    """
    madvise = getattr(_libc(), "madvise", None)
    if madvise is None:
        return
    for begin, length in list(_mappings(path)):
        madvise(ctypes.c_void_p(begin), ctypes.c_size_t(length), ctypes.c_int(mmap.MADV_DONTNEED))


def _mappings(path: Path) -> Iterator[tuple[int, int]]:
    """Address and length of each mapping that is shared and read-only: there is nothing in it that could be lost."""
    real = str(path.resolve())
    for line in MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        addresses, access, *_, name = line.split(maxsplit=5)
        if access == "r--s" and name == real:
            begin, end = (int(address, 16) for address in addresses.split("-"))
            yield begin, end - begin


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
