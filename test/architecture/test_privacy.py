"""Where pictures can leave the process is known, and nothing that leaves it joins two runs."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest

from social_perception.core.config import TrackingConfig
from social_perception.perception.tracking.ids import RandomIds
from social_perception.perception.tracking.tracker import Tracker

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "social_perception"

CALLS = {
    "imencode", "imwrite", "from_ndarray", "save", "savez", "savez_compressed", "memmap", "tofile", "to_file",
}  # fmt: skip
"""What makes a file, or the content of one, of an array."""

KNOWN = {
    # Requested by a command's own purpose or a flag; docs/privacy.md names each.
    "sinks/video.py": "annotate: the annotated video",
    "views/report/thumbnails.py": "annotate --thumbnails",
    "sinks/interfaces.py": "live --record-images",
    "views/web/hub.py": "live --web-picture, while a browser asks for it",
    "ros/nodes/affect_overlay.py": "the overlay, while somebody subscribes it",
    "sources/tcp_sender.py": "social-perception send",
    "research/training/video_faces.py": "train: the faces of the training videos",
    "research/training/clip_sequences.py": "train: the faces of the training clips",
    "research/training/talking.py": "train: the faces of the talking clips",
    "research/social_mae/clips.py": "train: the faces and the sound of the shards",
    "research/social_mae/shard_files.py": "train: the same",
    "research/evaluation/social_mae.py": "evaluate --output: restored faces of the development data",
    "research/social_mae/development.py": "train, evaluate: the same of the development data",
    "research/social_mae/rated.py": "evaluate: the faces of the rated stills",
    "ros/tools/robot_check/scene.py": "check_robot: its own scene, in a folder that goes with it",
    "ros/tools/robot_check/program.py": "check_robot: the same",
    # No pictures of people in front of a camera.
    "research/training/stills.py": "boxes of the training images",
    "research/training/augmentation.py": "a training image, compressed and decoded in memory",
    "research/evaluation/audit/changes.py": "a test picture, made worse and read again in memory",
    "perception/hearing/rows.py": "samples of sound, resampled in memory",
    "research/training/scene_drawing.py": "a synthetic scene, compressed and decoded in memory",
    "research/training/laughter_sounds.py": "log-mel frames of the training recordings",
    "sources/bag_sound.py": "samples of sound, decoded in memory",
    "sources/live_sound.py": "samples of sound, resampled in memory",
    "sinks/elan.py": "levels",
}


def calls_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {each.attr for each in called if isinstance(each, ast.Attribute)} & CALLS


def test_every_place_where_pictures_can_be_kept_or_sent_is_known() -> None:
    found = {str(path.relative_to(PACKAGE)): calls_of(path) for path in sorted(PACKAGE.rglob("*.py"))}
    found = {path: calls for path, calls in found.items() if calls}
    new = {path: calls for path, calls in found.items() if path not in KNOWN}
    assert not new, f"say here and in docs/privacy.md who asks for it: {new}"
    assert set(KNOWN) == set(found), "what is gone is taken away here, too"


PUBLISHING = {"create_publisher", "create_lifecycle_publisher", "make_publisher", "make_result_publisher"}


def publishers_of(kind: str) -> set[str]:
    """The modules that publish a kind of message."""
    return {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") in PUBLISHING
        and node.args
        and getattr(node.args[0], "id", "") == kind
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # A camera's stand-in, the bench's camera, the overlay, and faces that publish_cropped asks for.
        (
            "Image",
            {
                "ros/nodes/image_publisher.py",
                "ros/tools/benchmark.py",
                "ros/nodes/affect_overlay.py",
                "ros/nodes/ros4hri.py",
            },
        ),
        ("CompressedImage", {"ros/nodes/affect_overlay.py"}),
        ("TrackedFaceArray", {"ros/nodes/face_tracker.py", "ros/nodes/ros4hri_faces.py"}),
    ],
)
def test_who_publishes_pictures_is_known(kind: str, expected: set[str]) -> None:
    assert publishers_of(kind) - {"ros/tools/robot_check/camera.py"} == expected


def test_ids_of_two_runs_cannot_be_foretold() -> None:
    runs = []
    for _ in range(2):
        random.seed(1)
        new_id = Tracker(TrackingConfig())._new_id
        assert isinstance(new_id, RandomIds)
        runs.append({new_id() for _ in range(50)})
    assert len(runs[0] & runs[1]) <= 2, "26 ** 5 names: two the same are rare, most of them are a pattern"


FIELDS = {
    "TrackedFace": "id roi confidence position",
    "TrackedFaceArray": "header image_width image_height faces crops",
    "FaceAffect": "id roi confidence visible position intensity level probabilities observed_frames valid "
    "speaking laughing",
    "FaceAffectArray": "header image_width image_height faces",
    "GroupAffect": "header group_size valid_faces intensity mean_intensity dispersion smiling_fraction level "
    "trend synchrony window face_ids stale sound_level speech laughter speaking_count",
    "SoundEvent": "header speech laughter level bands",
    "SceneAffect": "header probabilities valence with_sound stale",
    "GroupDynamics": "header face_ids pairs synchrony laughing_ids laughing_lags window stale",
    "PairDynamics": "first second correlation lag zero_lag_correlation",
}


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "msg").glob("*.msg"))])
def test_no_message_has_room_for_what_a_person_looks_like(name: str) -> None:
    """Whoever adds a field has looked whether it would let somebody be recognised in another run."""
    lines = (line.split("#")[0].strip() for line in (ROOT / "msg" / f"{name}.msg").read_text().splitlines())
    fields = [line.split()[1] for line in lines if line and "=" not in line]
    assert fields == FIELDS[name].split()
