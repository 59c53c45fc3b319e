"""The checksum of a file: pages of a Parquet file have none of their own, and most flipped bits decode to other values."""

import zlib
from pathlib import Path

CHUNK = 1 << 20
"""Bytes that are read at a time."""


def checksum_of(file: Path) -> int:
    """Return the CRC-32 of a file's bytes: against accidents, not against anybody who wants to deceive."""
    found = 0
    with file.open("rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK):
            found = zlib.crc32(chunk, found)
    return found
