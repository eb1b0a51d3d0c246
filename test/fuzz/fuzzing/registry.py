"""The targets by name, and where each stands; its module is imported when it is used."""

from __future__ import annotations

import importlib

from fuzzing.target import Target

MODULES = {
    "image_file": "pictures",
    "animation": "pictures",
    "label_table": "configs",
    "ros_image": "pictures",
    "depth_image": "pictures",
    "camera_info": "pictures",
    "detector_weights": "weights",
    "smile_weights": "weights",
    "social_mae_weights": "weights",
    "laughter_weights": "weights",
    "scene_weights": "weights",
    "vgaf_labels": "configs",
    "shard_file": "shards",
    "shard_index": "shards",
    "impressions": "shards",
    "tcp_messages": "streams",
    "tcp_source": "streams",
    "tcp_address": "streams",
    "elan_reader": "elan",
    "elan_writer": "elan",
    "bag_mcap": "bags",
    "bag_scan": "bags",
    "bag_db3": "bags",
    "bag_ros1": "bags",
    "bag_metadata": "bags",
    "bag_message": "bags",
    "bag_foreign": "bags",
    "bag_packed": "bags",
    "video_file": "videos",
    "sound_file": "sounds",
    "audio_messages": "sounds",
    "live_sound": "sounds",
    "web_request": "webpage",
    "web_wish": "webpage",
    "settings": "configs",
    "command_line": "configs",
    "training_yaml": "configs",
    "manifest": "configs",
    "tracker": "faces",
    "scorer": "faces",
    "group": "people",
    "dynamics": "people",
    "web_state": "people",
    "face_messages": "exchange",
    "group_messages": "exchange",
    "scene_messages": "exchange",
}
"""Target to module; those with ROS messages among them need the package to be built."""

PROPERTIES = frozenset({
    "camera_info", "tcp_address", "elan_writer", "settings", "tracker", "scorer", "group", "dynamics",
    "web_state", "face_messages", "group_messages", "scene_messages", "live_sound",
})  # fmt: skip
"""Those that are tests of hypothesis; the others take bytes."""

_INSTRUMENTED = {
    "pictures": ("PIL",),
    "bags": ("rosbags.rosbag1", "rosbags.rosbag2"),
    "elan": ("pympi",),
    "configs": ("yaml",),
}


def instrumented(name: str) -> list[str]:
    """The packages whose branches guide the search for a target; native code is not seen."""
    return ["social_perception", *_INSTRUMENTED.get(MODULES[name], ())]


def load(name: str) -> Target:
    """The target of this name."""
    target: Target = importlib.import_module(f"fuzzing.{MODULES[name]}").TARGETS[name]
    return target
