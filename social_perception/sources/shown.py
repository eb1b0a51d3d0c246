"""Frames of FFmpeg as a player shows them: with square pixels, turned and mirrored, in RGB."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type

from social_perception.core.errors import ImageError
from social_perception.core.types import ImageArray
from social_perception.sources.geometry import MAX_ASPECT, MAX_PIXELS, MIN_DIFFERENCE, upright

_HEIF_FORMAT = "mov,mp4,m4a,3gp,3g2,mj2"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif")
_TILE = 0x80000
"""FFmpeg's AV_DISPOSITION_DEPENDENT: the stream is a part of an image."""

_SIDE_DATA_KINDS = 64
"""FFmpeg has about half as many."""


class ShownFrames:
    """Converts the frames of a stream.

    Each frame carries the aspect of its own pixels, which PyAV does not show: a filter graph of FFmpeg reads
    it. An aspect in the file's header overrides those of the frames, as in players.
    """

    def __init__(self, stream: Any, in_header: Fraction | None = None) -> None:
        self._codec = stream.codec_context
        self._in_header = in_header
        shape = stream.sample_aspect_ratio
        if not in_header and self._codec is not None and shape != self._codec.sample_aspect_ratio:
            self._in_header = shape
        self._graph: Any = None
        self._kind: tuple[int, int, str] | None = None

    def to_rgb(self, decoded: Any) -> ImageArray:
        """Return (H, W, 3) uint8.

        Raises:
            av.error.FFmpegError: the frame cannot be converted.
        """
        image: ImageArray = self._with_square_pixels(decoded).to_ndarray(format="rgb24")
        data = _side_data(decoded).get("DISPLAYMATRIX")
        return image if data is None else upright(image, np.frombuffer(bytes(data), np.int32).tolist())

    def _with_square_pixels(self, decoded: Any) -> Any:
        # The decoder knows of an aspect before its first frame is delivered.
        if self._graph is None and (self._in_header or self._codec.sample_aspect_ratio or 1) == 1:
            return decoded
        kind = decoded.width, decoded.height, decoded.format.name
        if kind != self._kind:
            self._graph, self._kind = _graph(decoded, self._square()), kind
        self._graph.push(decoded)
        return self._graph.pull()

    def _square(self) -> list[tuple[str, str]]:
        # As in square_size.
        aspect = (
            f"st(0, if(between(sar, 1/{MAX_ASPECT}, {MAX_ASPECT}) * gt(abs(sar - 1), {MIN_DIFFERENCE})"
            f" * lte(iw * ih * max(sar, 1/sar), {MAX_PIXELS}), sar, 1))"
        )
        size = f"w='{aspect}; round(iw * max(1, ld(0)))':h='{aspect}; round(ih * max(1, 1/ld(0)))'"
        header = [("setsar", f"r={self._in_header}")] if self._in_header else []
        return [*header, ("scale", f"{size}:eval=frame")]


def decode_still(data: bytes, name: str, aspect: Fraction | None) -> ImageArray | None:
    """Decode a still image that Pillow does not know, such as HEIC, as it is shown; None: it is none.

    Args:
        data: the file's content.
        name: of the image, for error messages.
        aspect: width of a pixel divided by its height, where FFmpeg does not see it.

    Raises:
        ImageError: it is damaged, too large, or of a kind that PyAV cannot read.
    """
    is_heif = data[4:8] == b"ftyp" and any(brand in data[8:64] for brand in _HEIF_BRANDS)
    stills = [each for each in av.formats_available if each.endswith("_pipe")]
    # Other formats may open files and addresses that the data name.
    options = {"format_whitelist": _HEIF_FORMAT if is_heif else ",".join(stills)}
    try:
        with av.open(io.BytesIO(data), "r", options=options) as container:
            stream = container.streams.best("video") or container.streams.video[0]
            if int(stream.disposition) & _TILE:
                raise ImageError(f"{name} consists of tiles, which need pillow-heif: pip install pillow-heif")
            if stream.codec_context is None:
                raise ImageError(f"{name} cannot be read: FFmpeg has no decoder for it")
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            return ShownFrames(stream, aspect).to_rgb(next(container.decode(stream)))
    except ImageError:
        raise
    except (av.error.FFmpegError, ValueError, IndexError, StopIteration) as error:
        if is_heif:
            raise ImageError(f"{name} is damaged, or more than FFmpeg can read: {error}") from error
        return None


def _side_data(decoded: Any) -> Any:
    try:
        return decoded.side_data
    except ValueError:
        # PyAV fails on kinds that it does not know, such as EXIF.
        known: set[Any] = {kind.value for kind in Type}
        unknown = (kind for kind in range(_SIDE_DATA_KINDS) if kind not in known)
        graph = _graph(decoded, [("sidedata", f"mode=delete:type={kind}") for kind in unknown])
        graph.push(decoded)
        return graph.pull().side_data


def _graph(decoded: Any, filters: list[tuple[str, str]]) -> Any:
    """A graph for frames of this size and format."""
    graph = av.filter.Graph()
    size = {"width": decoded.width, "height": decoded.height}
    nodes = [graph.add_buffer(**size, format=decoded.format, time_base=Fraction(1, 1000))]
    nodes += itertools.starmap(graph.add, filters)
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    return graph
