"""What people write: settings, command lines, YAML for training, and the manifest of results."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fuzzing.target import PROPERTY, Target, may_refuse, of_property, promise
from social_perception.cli import main as entry
from social_perception.cli.corpus import outcome_of_earlier
from social_perception.cli.manifest import MANIFEST, Manifest, Origin, read_manifest, write_manifest
from social_perception.cli.options import pipeline_settings
from social_perception.cli.result_folder import FIGURES, Job
from social_perception.core import config, settings
from social_perception.research.tables import read_table
from social_perception.research.training.reference_settings import ReferenceSettings, reference_settings
from social_perception.research.training.scene_datasets import read_vgaf
from social_perception.research.training.settings import TrainSettings, read_yaml, train_settings

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz_configs_")
_PLACE = Path(_FOLDER.name)
_PARSER = entry._parser()

KINDS = [
    kind
    for kind in vars(config).values()
    if isinstance(kind, type)
    and dataclasses.is_dataclass(kind)
    and kind.__name__.endswith("Config")
    and settings.settings_of(kind)
]
_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=4)
)
_HUGE = st.sampled_from([10**400, -(10**4000), 1e308, float("nan"), float("inf")])
_SINGLE = _SCALARS | _HUGE
VALUES = _SINGLE | st.lists(_SINGLE, max_size=3) | st.dictionaries(st.text(max_size=5), _SINGLE, max_size=3)


@st.composite
def mappings(draw: Any) -> tuple[Any, dict[str, Any]]:
    """A kind of configuration and some values for it."""
    kind = draw(st.sampled_from(KINDS))
    names = [item.name for item in settings.settings_of(kind)]
    return kind, draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=5), VALUES, max_size=3))


@PROPERTY
@given(mappings())
@may_refuse
def check_settings(pair: tuple[Any, dict[str, Any]]) -> None:
    kind, values = pair
    made = settings.from_mapping(kind, values)
    for item in settings.settings_of(kind):
        item.check(getattr(made, item.name))
    hash(made)


def _command_line(data: bytes) -> None:
    words = data.decode("utf-8", "surrogateescape").split("\n")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            options = _PARSER.parse_args(words)
    except SystemExit as end:
        promise(end.code in (0, 2), f"exit status {end.code}")
        return
    promise(callable(options.run), "nothing to run")
    pipeline_settings(options)


def _command_lines() -> list[bytes]:
    lines = [
        "live\n--source\nsample\n--web\n8080",
        "annotate\na.mp4\n--output\nout\n--jobs\n2",
        "score\ndir\n--output\ns.csv",
        "detect\ndir\n--output\nb.csv\n--backend\nhog",
        "train\nc.yaml",
        "bench\n--json\nb.json",
        "doctor",
        "--version",
        "live\n--min-face-px\n40\n--detection-threshold\n-1e400",
        "live\n--detection-interval\n" + "9" * 5000,
        "live\n--min-iou\nnan\n--duration\ninf",
        "send\nsample\ntcp://h:1",
        "--help",
        "live\n--id-prefix\nab",
        "evaluate",
    ]
    return [line.encode() for line in lines]


_READ = ((train_settings, TrainSettings), (reference_settings, ReferenceSettings))


def _yaml(data: bytes) -> None:
    path = _PLACE / "train.yaml"
    path.write_bytes(data)
    values = read_yaml(path)
    read, kind = _READ["network" in values]
    settings = read(values)
    check_types(settings, kind())


def check_types(settings: Any, default: Any) -> None:
    """Check that each setting is of the type of its default."""
    for item in dataclasses.fields(settings):
        value, usual = getattr(settings, item.name), getattr(default, item.name)
        if dataclasses.is_dataclass(usual):
            check_types(value, usual)
        elif item.name != "devices":
            kinds = (int, float) if isinstance(usual, float) else type(usual)
            right = isinstance(value, kinds) and isinstance(value, bool) == isinstance(usual, bool)
            promise(right, f"{item.name} is {value!r}")
            if isinstance(usual, tuple) and usual:
                kinds = (int, float) if isinstance(usual[0], float) else type(usual[0])
                promise(all(isinstance(each, kinds) for each in value), f"{item.name} is {value!r}")


def _yamls() -> list[bytes]:
    texts = [
        "seed: 3\nsets: [muxspace]\npretrain: {epochs: 2, learning_rate: 1e-3}\nmemory: {length: 5}\n",
        "network: reference\nvideos: {folder: v, shares: [0.8, 0.1, 0.1]}\nbatch: 8\nat_once: 4\n",
        "network: reference\nsizes: {channels: [1, 2, 3, 4, 5]}\n",
        "teacher: {channels: [1, 2, 3, 4], trust: 0.5}\nthreads: 1\n",
        "teacher: 5\n",
        "sets: 7\n",
        "pretrain: [1]\n",
        "5: 6\nx: 7\n",
        "seed: many\n",
        "a: !!timestamp x\n",
        "a: !!bool x\n",
        "a: !!int ''\n",
        "[" * 500,
        "a: &a [*a]\nseed: *a\n",
        "? [1]\n: 2\n",
        "network: reference\nvideos: {shares: [a, b, c]}\n",
        "network: reference\nbatch: x\n",
        "network: reference\nvideos: [1]\n",
        "seed: 0x" + "f" * 6000 + "\n",
        "a: 2001-99-99\n",
        "!!python/object/apply:os.system [ls]\n",
        "pretrain: {1: 2, a: 3}\n",
        "- 1\n",
    ]
    return [text.encode() for text in texts]


_VIDEO = _PLACE / "video.mp4"
_VIDEO.write_bytes(b"video")
_ORIGIN = Origin({"a": 1}, {"smile": "0"})
_RESULTS = {"frames": 3, "faces": 1, "duration_s": 0.1, "mean_intensity": None, "seconds": 0.5}


def _manifest(data: bytes) -> None:
    (_PLACE / MANIFEST).write_bytes(data)
    found = read_manifest(_PLACE)
    if found is not None:
        found.is_valid(_PLACE, _VIDEO, _ORIGIN)
    earlier = outcome_of_earlier(Job(0, _VIDEO, _PLACE), _ORIGIN)
    if earlier is not None:
        numbers = [getattr(earlier, name) for name in FIGURES]
        promise(all(isinstance(each, (int, float)) for each in numbers), f"an outcome of {numbers}")


def _manifests() -> list[bytes]:
    made = Manifest.of(_VIDEO, "mark", _ORIGIN, ("video.mp4",), _RESULTS)
    write_manifest(_PLACE, made)
    good = (_PLACE / MANIFEST).read_bytes()
    fields = json.loads(good)
    changes: list[dict[str, Any]] = [
        {"outputs": [5]},
        {"outputs": ["a\0b"]},
        {"outputs": ["x" * 300]},
        {"outputs": "abc"},
        {"results": 5},
        {"results": {}},
        {"results": {**_RESULTS, "frames": "x"}},
        {"results": {**_RESULTS, "mean_intensity": {}}},
        {"settings": [1]},
        {"modified_ns": "x"},
        {"outputs": []},
        {"bytes": None},
        {"results": None},
    ]
    return [good, b"[" * 5000, b"5", b"", *(json.dumps({**fields, **each}).encode() for each in changes)]


def _tables() -> list[bytes]:
    plain = 'name,level,age\nJörg.png,2,34.5\n"b, c.png",,\n'
    other = plain.replace(",", ";")
    return [plain.encode(each) for each in ("utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-32")] + [
        other.encode(), b"sep=;\r\n" + other.encode("cp1252"), plain.replace(",", "\t").encode(),
        b"name\n", b",\n1",
    ]  # fmt: skip


def _table(data: bytes) -> None:
    path = _PLACE / "labels.csv"
    path.write_bytes(data)
    for options in ({"dtype": str, "keep_default_na": False, "na_values": [""]}, {}):
        table = read_table(path, ["name"], **options)
        promise("name" in table, f"the columns {list(table)}")


def _vgaf(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Train").mkdir()
        (folder / "Train" / "1_1.mp4").touch()
        (folder / "Train_labels.txt").write_bytes(data)
        groups = read_vgaf(folder, "train")
    promise(bool(groups) and all(group.label in range(3) for group in groups), f"{groups}")
    promise({group.path.parent.name for group in groups} == {"Train"}, "a file elsewhere")


TARGETS = {
    "label_table": Target("a table with the column name, or SourceError", _table, _tables),
    "vgaf_labels": Target(
        "videos of the folder with a class, or SourceError",
        _vgaf,
        lambda: [b"Vid_name Label\n1_1 1\n1_2 3\n", b"Vid_name Label\n../Train/1_1 2\n"],
    ),
    "settings": of_property("a configuration in its ranges, or ConfigurationError", check_settings),
    "command_line": Target("options, or exit status 2 (0: help)", _command_line, _command_lines),
    "training_yaml": Target(
        "settings of the right types, or ConfigurationError", _yaml, _yamls, max_bytes=8192
    ),
    "manifest": Target("an outcome in numbers, or none", _manifest, _manifests, max_bytes=8192),
}
