import dataclasses
import json

import pytest

from social_perception.core.errors import ConfigurationError, OutputError
from social_perception.research.benchmarks.markdown import BEGIN, END, check_document, fill, number, tables
from social_perception.research.benchmarks.plots import write_figure
from social_perception.research.benchmarks.report import (
    VERSION,
    Comparison,
    FirstBox,
    Latency,
    Limit,
    Line,
    Machine,
    Ratio,
    Report,
    Side,
    Stream,
    Usage,
    read_report,
    to_json,
    write_text,
)
from social_perception.research.benchmarks.scoring import (
    BATCH,
    ONE_BY_ONE,
    OURS,
    REFERENCE,
    SHIPPED,
    side_name,
)

MACHINE = Machine("Some CPU", 2, 1, ("avx2",), None, 8.0, 0.25, ("torch 9.9",))
USAGE = Usage(0.75, 300.0, 310.0, None)


def side(name, seconds):
    return Side(name, seconds, 1.0 / seconds, seconds, seconds, 3)


def scoring(faces):
    sides = {
        side_name(network, mode): side(side_name(network, mode), faces * seconds)
        for network, modes in ((REFERENCE, (0.4, 0.3, 0.02)), (SHIPPED, (0.01, 0.02, 0.002)))
        for mode, seconds in zip((ONE_BY_ONE, BATCH, OURS), modes)
    }
    batch = side_name(REFERENCE, BATCH)
    sides[batch] = Side.missing(batch, "skipped: too large")
    slow, fast = sides[side_name(REFERENCE, ONE_BY_ONE)], sides[side_name(REFERENCE, OURS)]
    ratios = (Ratio.of("same network", slow, fast, 15.0), Ratio.of("batch", sides[batch], fast))
    return Comparison("cpu", f"{faces} faces", faces, tuple(sides.values()), ratios)


@pytest.fixture
def report():
    dlib, ours = Side.missing("dlib", "this detector needs dlib"), side("ours, exact", 0.25)
    ours = dataclasses.replace(ours, faces=3)
    delays = Latency(20.0, 40.0, 60.0, 30)
    return Report(
        VERSION,
        MACHINE,
        False,
        90.0,
        scoring=(scoring(2), scoring(4)),
        detector=(
            Comparison("cpu", "640x360", 230_400, (dlib, ours), (Ratio.of("exact / dlib", dlib, ours),)),
        ),
        pipeline=(
            Stream("topics", "cpu", 8, reason="skipped: rclpy is not installed"),
            Stream("no ROS", "cpu", 8, 2.0, 60, 45, 22.5, 0.25, 8.0, 9, delays, None, USAGE, None),
        ),
        growth=(Line("scoring", "cpu", "face", 0.5, 1.0, 0.99, ((1.0, 1.5), (2.0, 2.0))),),
        limits=(Limit("detection", "cpu", "float32", None, 100.0, None),),
        first_box=(FirstBox("cpu", 45, 3, 3, 0.4, 1.2, 1.0), FirstBox("cpu", 90, 3, 2, 0.2, 0.4, 0.5)),
    )


def test_a_report_comes_back_from_its_json(tmp_path, report):
    path = tmp_path / "bench.json"
    write_text(path, to_json(report))
    assert read_report(path) == report


def test_values_that_are_not_finite_are_null(report):
    strange = dataclasses.replace(report, duration_s=float("nan"))
    assert json.loads(to_json(strange))["duration_s"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not JSON", "is not a report of bench"),
        ("[]", "is not a report of bench"),
        ('{"version": 1}', "is not a report of bench"),
        ('{"machine": 7}', "is not a report of bench"),
        (None, "cannot be read"),
    ],
)
def test_another_file_is_rejected(tmp_path, text, message):
    path = tmp_path / "bench.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_report(path)


def test_another_version_is_rejected(tmp_path, report):
    path = tmp_path / "bench.json"
    write_text(path, to_json(dataclasses.replace(report, version=99)))
    with pytest.raises(ConfigurationError, match="has version 99"):
        read_report(path)


def test_the_tables_show_figures_targets_and_reasons(report):
    text = tables(report)
    assert "**20** (target 15: reached)" in text
    assert "0.8 s (1.25/s)" in text
    assert "0.25 s (4/s, 3 found)" in text
    assert "- 2 faces, reference network: windows, one batch: skipped: too large" in text
    assert "- 640x360, dlib: this detector needs dlib" in text
    assert "- topics: skipped: rclpy is not installed" in text
    assert "| 8 | no ROS | 22.5 | 60 | 45 | 25.0 % | 8 (9) | 20 / 40 / 60 | with the faces | 0.75 |" in text
    assert "0.5 ms per face" in text
    assert "Soak" not in text


def test_a_missed_target_is_reported(report):
    slow = dataclasses.replace(report.scoring[0].ratios[0], value=14.9)
    comparison = dataclasses.replace(report.scoring[0], ratios=(slow,))
    assert "**14.9** (target 15: missed)" in tables(dataclasses.replace(report, scoring=(comparison,)))


def test_all_rows_of_a_table_are_as_long_as_the_heading(report):
    for block in tables(report).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_a_quick_run_is_marked(report):
    assert "A quick run" in tables(dataclasses.replace(report, quick=True))
    assert "A quick run" not in tables(report)


@pytest.mark.parametrize(("load", "provisional"), [(0.2, False), (2.5, True)])
def test_a_busy_machine_makes_figures_provisional(report, load, provisional):
    busy = dataclasses.replace(report, machine=dataclasses.replace(MACHINE, load=load))
    assert ("provisional" in tables(busy)) == provisional


def test_the_document_is_filled_between_its_markers_repeatedly(tmp_path, report):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    fill(path, report)
    first = path.read_text()
    assert first.startswith(f"before\n{BEGIN}\n")
    assert first.endswith(f"{END}\nafter\n")
    assert "old" not in first
    assert "Some CPU" in first
    fill(path, report)
    assert path.read_text() == first


@pytest.mark.parametrize("text", ["no marks", f"{BEGIN} only", f"{END} before {BEGIN}"])
def test_a_document_without_markers_is_rejected(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="has no lines"):
        check_document(path)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (1234.5, "1234"), (12.345, "12.3"), (0.00001234, "0.00001"), (15.0, "15"), (-2.0, "-2")],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize("parts", [None, ("scoring",), ("detector", "growth"), ()])
def test_the_measured_parts_are_plotted(tmp_path, report, parts):
    if parts is not None:
        names = ("scoring", "detector", "pipeline", "growth", "limits")
        report = dataclasses.replace(report, **{name: None for name in names if name not in parts})
    path = tmp_path / "bench.png"
    write_figure(path, report)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > (20_000 if parts != () else 1_000)


def test_a_figure_that_cannot_be_written_is_an_error(tmp_path, report):
    with pytest.raises(OutputError, match="cannot be written"):
        write_figure(tmp_path / "missing" / "bench.png", report)
