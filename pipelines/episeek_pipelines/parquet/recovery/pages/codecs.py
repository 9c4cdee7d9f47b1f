"""Find the compression codec of pages, which page headers do not record, and decompress pages."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import pyarrow as pa

from episeek.errors import ParquetError
from episeek_pipelines.parquet.recovery.pages.headers import ChunkCopy, Page, Part
from episeek_pipelines.parquet.recovery.pages.source import Bytes

CODEC_NUMBERS: Final = {"none": 0, "snappy": 1, "gzip": 2, "brotli": 4, "zstd": 6, "lz4": 7}
"""Numbers of CompressionCodec in parquet.thrift, by pyarrow's names; lz4 is LZ4_RAW, which pyarrow writes."""

_ARROW_NAMES: Final = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_MAX_RATIOS: Final = {1: 32, 2: 1100, 4: 1 << 20, 6: 1 << 15, 7: 256}
"""Upper bound of the compression ratio of each codec: snappy turns 3 bytes into 64, deflate 1 into 1,032, zstd 4 into 131,072."""
_MAX_PAGES: Final = 64


def decompressed(codec: int, data: bytes, size: int) -> bytes | None:
    """Return the decompressed contents of a page, or None if the codec does not decompress `data` to exactly `size` bytes.

    Memory is never allocated for a size that the codec cannot reach.
    """
    if codec == 0:
        return data if len(data) == size else None
    if size > (len(data) + 8) * _MAX_RATIOS[codec] or not (data and _declares(codec, data, size)):
        return None
    try:
        return bytes(pa.Codec(_ARROW_NAMES[codec]).decompress(data, decompressed_size=size, asbytes=True))
    except (pa.ArrowException, OSError, MemoryError):
        return None


def page_contents(source: Bytes, page: Page, codec: int) -> bytes | None:
    """Return the contents of a data page of version 1 or of a dictionary page, or None if the codec does not decompress them."""
    return decompressed(codec, source.read_at(page.body_start, page.stop), page.uncompressed_bytes)


def find_codecs(source: Bytes, parts: Sequence[Part], where: str) -> list[int]:
    """Return the codecs, usually one, with which the first pages decompress to their declared sizes.

    The result is `[0]` (uncompressed) if no page is compressed. Damaged pages, for which no codec gives the declared size, are
    skipped.

    Raises:
        ParquetError: No codec fits any page.
    """
    known = sorted({part.codec for part in parts if isinstance(part, ChunkCopy)} or CODEC_NUMBERS.values())
    fitting = [codec for codec in known if not codec or codec in _ARROW_NAMES]
    sections = list(islice(filter(None, map(_compressed_section, parts)), _MAX_PAGES))
    is_found = False
    for start, stop, size in sections:
        data = source.read_at(start, stop)
        still = [codec for codec in fitting if decompressed(codec, data, size) is not None]
        fitting, is_found = still or fitting, is_found or bool(still)
        if is_found and len(fitting) == 1:
            break
    if sections and not is_found:
        raise ParquetError(
            where, "pages that no codec decompresses", f"pages of one of the codecs {codec_names(fitting)}"
        )
    return fitting if sections else [0]


def codec_names(codecs: Sequence[int]) -> str:
    """Return the names of codecs, separated by commas."""
    return ", ".join(name for name, number in CODEC_NUMBERS.items() if number in codecs)


def _compressed_section(part: Part) -> tuple[int, int, int] | None:
    """Return the start, the end and the uncompressed size of a page's compressed bytes; None if a part has no compressed bytes."""
    if not isinstance(part, Page) or not part.is_compressed:
        return None
    levels = sum(part.level_bytes)
    start, size = part.body_start + levels, part.uncompressed_bytes - levels
    return (start, part.stop, size) if size > 0 and start <= part.stop else None


def _declares(codec: int, data: bytes, size: int) -> bool:
    """Return whether compressed data may decompress to `size` bytes, judged by the size or signature that the data contains."""
    if codec == 1:
        declared = 0
        for place, byte in enumerate(data[:5]):
            declared |= (byte & 0x7F) << 7 * place
            if not byte & 0x80:
                return declared == size
        return False
    if codec == 2:
        return data[:2] == b"\x1f\x8b" and int.from_bytes(data[-4:], "little") == size
    return codec != 6 or data[:4] == b"\x28\xb5\x2f\xfd"
