"""The ELAN file: a document as ELAN 6 reads it, that says what the table says."""

import csv
import os
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from pympi.Elan import Eaf

from social_perception.core.timelines import Timeline, read_timelines
from social_perception.core.types import SmileLevel
from social_perception.research.training.elan_tiers import read_tiers
from social_perception.sinks.elan import VOCABULARY, write_elan
from social_perception.sinks.tables import face_columns

ORDER = (
    "LICENSE", "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT",
    "CONTROLLED_VOCABULARY", "LEXICON_REF", "REF_LINK_SET", "EXTERNAL_REF",
)  # fmt: skip
"""The sequence of the children of ANNOTATION_DOCUMENT in the schema of EAF 3.0."""

RATE_HZ = 30000 / 1001
NAMES = ("anna", "bert", "ümit & <co>")


def write_table(path, frames=200, rate_hz=RATE_HZ):
    """A table of people who come and go and whose levels flicker; what is unknown is empty."""
    draw = np.random.default_rng(3)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(face_columns())
        for index in range(frames):
            for name in NAMES:
                if draw.random() < 0.85:
                    level = draw.choice(["", "0", "1", "1", "1", "2", "3"])
                    cells = [f"{index / rate_hz:.6f}", index, name, 1, 2, 3, 4]
                    table.writerow([*cells, "0.5" if level else "", level, *[""] * 4])
    return path


@pytest.fixture
def written(tmp_path):
    """The table, its ELAN file and the video, with a name that needs care."""
    video = tmp_path / "clips ü" / "-talk one.mp4"
    video.parent.mkdir()
    video.write_bytes(b"")
    os.utime(video, (1e9, 1e9))
    table = write_table(tmp_path / "faces.csv")
    clock = Timeline(
        "group", np.arange(200) / RATE_HZ, np.arange(200), np.zeros(200), np.zeros(200, np.uint8)
    )
    path = tmp_path / "out" / "talk.eaf"
    path.parent.mkdir()
    write_elan(path, read_timelines(table), clock, video)
    return table, path, video


def test_the_tiers_say_at_every_frame_what_the_table_says(written):
    table, path, _ = written
    eaf = Eaf(str(path))
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert set(eaf.get_tier_names()) == {f"face {name}" for name in NAMES}
    for name in NAMES:
        mine = [row for row in rows if row["face_id"] == name]
        times = {int(row["frame"]): round(1000 * float(row["stamp_s"])) for row in rows}
        seen = {int(row["frame"]): row["level"] for row in mine if row["level"]}
        annotations = eaf.get_annotation_data_for_tier(f"face {name}")
        for frame, time_ms in times.items():
            labels = [label for start, end, label in annotations if start <= time_ms < end]
            expected = [SmileLevel(int(seen[frame])).label] if frame in seen else []
            assert labels == expected, f"{name} in frame {frame}"


def test_annotations_begin_and_end_at_stamps_of_the_table(written):
    _, path, _ = written
    eaf = Eaf(str(path))
    stamps_ms = {round(1000 * n / RATE_HZ) for n in range(201)}
    times = {
        time
        for name in NAMES
        for each in eaf.get_annotation_data_for_tier(f"face {name}")
        for time in each[:2]
    }
    assert times
    assert times <= stamps_ms


def test_the_document_keeps_to_the_schemas_order_and_references(written):
    _, path, video = written
    root = ET.parse(path).getroot()
    places = [ORDER.index(child.tag) for child in root]
    assert places == sorted(places)
    assert (root.get("FORMAT"), root.get("VERSION")) == ("3.0", "3.0")
    assert root.get("DATE") == "2001-09-09T01:46:40+00:00"
    schema = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
    assert root.get(schema) == "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
    head = root.find("HEADER")
    assert head.attrib == {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    assert [child.tag for child in head] == ["MEDIA_DESCRIPTOR", "PROPERTY"]
    assert head[0].attrib == {
        "MEDIA_URL": video.as_uri(),
        "RELATIVE_MEDIA_URL": "./../clips ü/-talk one.mp4",
        "MIME_TYPE": "video/mp4",
    }
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    ids = [each.get("ANNOTATION_ID") for each in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(set(ids)) == len(ids) > 100
    assert head[1].get("NAME") == "lastUsedAnnotationId"
    assert int(head[1].text) == max(int(each.removeprefix("a")) for each in ids)
    assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", each) for each in [*ids, *slots])  # xsd:ID
    for each in root.iter("ALIGNABLE_ANNOTATION"):
        assert slots[each.get("TIME_SLOT_REF1")] < slots[each.get("TIME_SLOT_REF2")]
    types = {kind.get("LINGUISTIC_TYPE_ID") for kind in root.iter("LINGUISTIC_TYPE")}
    locales = {each.get("LANGUAGE_CODE") for each in root.iter("LOCALE")}
    for tier in root.iter("TIER"):
        assert tier.get("LINGUISTIC_TYPE_REF") in types
        assert tier.get("DEFAULT_LOCALE") in locales
        assert tier.get("PARTICIPANT") in NAMES


def test_every_tier_has_the_vocabulary_of_the_four_levels(written):
    _, path, _ = written
    root = ET.parse(path).getroot()
    (kind,) = root.iter("LINGUISTIC_TYPE")
    assert kind.attrib == {
        "LINGUISTIC_TYPE_ID": VOCABULARY, "TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false",
        "CONTROLLED_VOCABULARY_REF": VOCABULARY,
    }  # fmt: skip
    (vocabulary,) = root.iter("CONTROLLED_VOCABULARY")
    assert vocabulary.attrib == {"CV_ID": VOCABULARY}  # no EXT_REF: it is in the file
    assert [child.tag for child in vocabulary] == ["DESCRIPTION", *["CV_ENTRY_ML"] * 4]
    values = [value for entry in vocabulary.iter("CV_ENTRY_ML") for value in entry]
    assert [value.text for value in values] == ["Neutral", "Low", "Medium", "High"]
    assert all(value.get("DESCRIPTION") for value in values)
    languages = {each.get("LANG_ID") for each in root.iter("LANGUAGE")}
    used = {each.get("LANG_REF") for each in (*values, vocabulary[0])}
    assert used <= languages
    words = {each.text for each in root.iter("ANNOTATION_VALUE")}
    assert words == {value.text for value in values}


def test_the_same_video_gives_the_same_file(written):
    table, path, video = written
    first = path.read_bytes()
    clock = Timeline(
        "group", np.arange(200) / RATE_HZ, np.arange(200), np.zeros(200), np.zeros(200, np.uint8)
    )
    write_elan(path.with_name("again.eaf"), read_timelines(table), clock, video)
    assert path.with_name("again.eaf").read_bytes() == first


def test_frames_closer_than_a_millisecond_are_no_error(tmp_path):
    table = write_table(tmp_path / "faces.csv", frames=40, rate_hz=4000)
    clock = Timeline("group", np.arange(40) / 4000, np.arange(40), np.zeros(40), np.zeros(40, np.uint8))
    write_elan(tmp_path / "fast.eaf", read_timelines(table), clock, tmp_path / "fast.mp4")
    eaf = Eaf(str(tmp_path / "fast.eaf"))
    assert all(start < end for start, end, _ in eaf.get_annotation_data_for_tier("face anna"))


@pytest.fixture
def talking(tmp_path):
    """An ELAN file of a person who speaks with a pause and laughs for a moment, and of one who is silent."""
    stamps_s, frames = np.arange(100) / 25, np.arange(100)
    speaking, laughing = np.zeros(100), np.full(100, np.nan)
    speaking[10:30] = speaking[35:50] = speaking[80:83] = 0.9
    laughing[:] = 0.1
    laughing[60:75] = 0.5
    silent = {"speaking": np.zeros(100), "laughing": np.full(100, np.nan)}
    arrays = (stamps_s, frames, np.zeros(100), np.zeros(100, np.uint8))
    faces = (
        Timeline("anna", *arrays, {"speaking": speaking, "laughing": laughing}),
        Timeline("bert", *arrays, silent),
    )
    path = tmp_path / "talk.eaf"
    write_elan(path, faces, Timeline("group", *arrays), tmp_path / "talk.mp4")
    return path


def test_speech_and_laughter_have_tiers_of_those_who_make_them(talking):
    eaf = Eaf(str(talking))
    assert list(eaf.get_tier_names()) == ["face anna", "face bert", "face anna speech", "face anna laughter"]
    # A pause of 0.2 s does not end it; speech of 0.12 s is none.
    assert eaf.get_annotation_data_for_tier("face anna speech") == [(400, 2000, "speech")]
    assert eaf.get_annotation_data_for_tier("face anna laughter") == [(2400, 3000, "laughter")]
    assert [tier.name for tier in read_tiers(talking)] == ["face anna", "face bert"], "levels only"
