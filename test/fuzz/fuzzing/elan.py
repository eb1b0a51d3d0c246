"""ELAN files: annotations read for training, and those written for people."""

from __future__ import annotations

import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fuzzing.target import PROPERTY, Target, of_property, promise
from social_perception.core.timelines import Timeline
from social_perception.core.types import SmileLevel
from social_perception.research.training.elan_tiers import find_video, read_tiers
from social_perception.sinks.elan import write_elan

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz_elan_")
_FILE = Path(_FOLDER.name) / "talk.eaf"
(Path(_FOLDER.name) / "talk.mp4").touch()

_TIER = """<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="t" {more}>{annotations}</TIER>"""
_ALIGNED = """<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{id}" TIME_SLOT_REF1="{start}"
TIME_SLOT_REF2="{end}"><ANNOTATION_VALUE>{word}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"""
_REF = """<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="{id}" ANNOTATION_REF="{of}">
<ANNOTATION_VALUE>{word}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"""
_DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>{doctype}
<ANNOTATION_DOCUMENT xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
AUTHOR="a" DATE="2020-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="{url}" MIME_TYPE="video/mp4"
{relative}/></HEADER><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="{begin}"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="900"/><TIME_SLOT TIME_SLOT_ID="ts3"/></TIME_ORDER>{tiers}
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>"""
_BOMB = """<!DOCTYPE a [<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">{}]>""".format(
    "".join(f'<!ENTITY {after} "{f"&{before};" * 20}">' for before, after in zip("abcdefg", "bcdefgh"))
)


def document(tiers: str = "", begin: str = "100", url: str = "file:///v/talk.mp4", relative: str = "",
             doctype: str = "") -> bytes:  # fmt: skip
    """An ELAN file with these tiers."""
    return _DOCUMENT.format(tiers=tiers, begin=begin, url=url, relative=relative, doctype=doctype).encode()


def aligned(word: str = "High", start: str = "ts1", end: str = "ts2") -> str:
    """A tier with one annotation."""
    return _TIER.format(
        name="face", more="", annotations=_ALIGNED.format(id="a1", start=start, end=end, word=word)
    )


def referring(of: str) -> str:
    """A tier whose annotation refers to another one."""
    return _TIER.format(
        name="notes", more='PARENT_REF="face"', annotations=_REF.format(id="a2", of=of, word="low")
    )


def _documents() -> list[bytes]:
    return [
        document(aligned()), document(aligned("Subtle")), document(aligned(end="ts3")),
        document(aligned() + referring("a1")), document(aligned() + referring("a9")),
        document(aligned() + referring("a2")),
        document(aligned(), begin="9" * 400), document(aligned(), begin="-5"), document(aligned(start="ts9")),
        document(aligned(), url="http://[", relative='RELATIVE_MEDIA_URL="./talk%2emp4"'),
        document(aligned(), url="file:///" + "a" * 300 + ".mp4"), document(),
        document(aligned(), relative='TIME_ORIGIN="500"'),
        document(aligned(), relative=f'TIME_ORIGIN="{"9" * 400}"'),
        document(aligned("&h;"), doctype=_BOMB),
    ]  # fmt: skip


def _read(data: bytes) -> None:
    _FILE.write_bytes(data)
    for tier in read_tiers(_FILE):
        levels = tier.at(np.linspace(-1.0, 2.0, 7))
        promise(set(levels.tolist()) <= {-1, 0, 1, 2, 3}, f"levels {levels}")
    find_video(_FILE)


_LEVELS = st.sampled_from([0, 1, 2, 3, 255])
_NAMES = st.text(max_size=12) | st.text(st.characters(max_codepoint=0x9F), max_size=12)
# With bytes that are no UTF-8 among them, as Python gives them.
_LETTERS = st.characters(exclude_characters="/\0", exclude_categories=("Cs",)) | st.sampled_from(
    "\udc80\udcff"
)
_FILE_NAMES = st.text(_LETTERS, min_size=1, max_size=20)


def timeline(name: str, first: int, levels: list[int], stamps_s: np.ndarray) -> Timeline:
    """A face with these levels from a frame on."""
    frames = np.arange(first, first + len(levels))
    return Timeline(name, stamps_s[frames], frames, np.zeros(len(levels)), np.array(levels))


@PROPERTY
@given(
    st.lists(st.floats(0.001, 1e5), min_size=12, max_size=12),
    st.floats(-1e9, 1e9),
    st.lists(st.tuples(_NAMES, st.integers(0, 5), st.lists(_LEVELS, min_size=1, max_size=6)), max_size=4),
    _FILE_NAMES,
    st.floats(0.0, 10.0),
)
def check_writer(
    steps_s: list[float],
    start_s: float,
    faces: list[tuple[str, int, list[int]]],
    video: str,
    shortest_s: float,
) -> None:
    stamps_s = start_s + np.cumsum(steps_s)
    clock = timeline("group", 0, [255] * len(stamps_s), stamps_s)
    named = {name: timeline(name, first, levels, stamps_s) for name, first, levels in faces}
    path = Path(_FOLDER.name) / "written.eaf"
    write_elan(path, tuple(named.values()), clock, Path(_FOLDER.name) / f"{video}.mp4", shortest_s)
    tiers = ET.parse(path).getroot().findall("TIER")
    promise(len(tiers) == len(named), f"{len(tiers)} tiers of {len(named)} faces")
    words = {value.text for tier in tiers for value in tier.iter("ANNOTATION_VALUE")}
    promise(words <= {level.label for level in SmileLevel}, f"the words {words}")


TARGETS = {
    "elan_reader": Target(
        "tiers of levels and the video, or SourceError", _read, _documents, max_bytes=8192, memory_mb=256
    ),
    "elan_writer": of_property("XML with a tier per face and a level per annotation", check_writer),
}
