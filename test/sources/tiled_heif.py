"""Makes an image of tiles, as telephones write HEIC (ISO/IEC 23008-12), from an AVIF image."""

from __future__ import annotations

import struct


def tiled(tile: bytes) -> bytes:
    """Return a file that shows the image twice, side by side."""
    size, pixel, codec = (_copied(tile, kind) for kind in (b"ispe", b"pixi", b"av1C"))
    width, height = struct.unpack(">II", size[-8:])
    data = tile[tile.index(b"mdat") + 4 :]
    grid = struct.pack(">BBBBHH", 0, 0, 0, 1, 2 * width, height)  # one row, two columns
    kinds = ((1, b"av01"), (2, b"av01"), (3, b"grid"))
    items = [
        _box(b"infe", struct.pack(">HH", number, 0), kind, b"\0", full=2 << 24) for number, kind in kinds
    ]
    whole = _box(b"ispe", struct.pack(">II", 2 * width, height), full=0)
    # Numbers of the properties; the codec's configuration is essential.
    uses = ((1, (1, 2, 0x83)), (2, (1, 2, 0x83)), (3, (4, 2)))
    associations = [struct.pack(">HB", number, len(each)) + bytes(each) for number, each in uses]

    def head(start: int) -> bytes:
        places = ((1, 0, start, len(data)), (2, 0, start, len(data)), (3, 1, 0, len(grid)))
        locations = [struct.pack(">HHHHII", number, kind, 0, 1, *place) for number, kind, *place in places]
        meta = (
            _box(b"hdlr", struct.pack(">I4s12x", 0, b"pict"), b"\0", full=0),
            _box(b"pitm", struct.pack(">H", 3), full=0),
            _box(b"iloc", struct.pack(">BBH", 0x44, 0, 3), *locations, full=1 << 24),
            _box(b"iinf", struct.pack(">H", 3), *items, full=0),
            _box(b"iref", _box(b"dimg", struct.pack(">HHHH", 3, 2, 1, 2)), full=0),
            _box(b"iprp", _box(b"ipco", size, pixel, codec, whole),
                 _box(b"ipma", struct.pack(">I", 3), *associations, full=0)),
            _box(b"idat", grid),
        )  # fmt: skip
        return _box(b"ftyp", b"avif\0\0\0\0avifmif1miaf") + _box(b"meta", *meta, full=0)

    return head(len(head(0)) + 8) + _box(b"mdat", data)


def _box(kind: bytes, *parts: bytes, full: int | None = None) -> bytes:
    body = (b"" if full is None else struct.pack(">I", full)) + b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _copied(file: bytes, kind: bytes) -> bytes:
    place = file.index(kind) - 4
    return file[place : place + struct.unpack_from(">I", file, place)[0]]
