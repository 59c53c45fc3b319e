"""What a file's bytes are told apart by: a checksum against accidents, a digest to name what something was made of.

Pages of a Parquet file have no checksum of their own, and most flipped bits decode to other values.
"""

import hashlib
import zlib
from pathlib import Path

from qts.plain_file import refuse_irregular

CHUNK = 1 << 20
"""Bytes that are read at a time."""


def checksum_of(file: Path) -> int:
    """Return the CRC-32 of a file's bytes: against accidents, not against anybody who wants to deceive."""
    found = 0
    refuse_irregular(file)
    with file.open("rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK):
            found = zlib.crc32(chunk, found)
    return found


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; raises OSError if it cannot be read."""
    refuse_irregular(file)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
