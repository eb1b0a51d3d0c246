"""A test of launch_testing: replay.launch.py on a clip. Run by test_launch_testing.py, or by hand:

launch_test test/launch/replay_clip.py source:=CLIP
"""

from __future__ import annotations

import time
import unittest
from pathlib import Path

import launch_testing.actions
import launch_testing.asserts
import rclpy
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from social_perception.msg import GroupAffect

from launch import LaunchDescription

NAMESPACE = "/replay_test"
REPLAY = Path(__file__).parents[2] / "launch" / "replay.launch.py"
TIMEOUT_S = 90.0


def generate_test_description() -> LaunchDescription:
    arguments = {
        "source": LaunchConfiguration("source"),
        "loop": "true",
        "namespace": NAMESPACE,
        "image_topic": f"{NAMESPACE}/camera/image_raw",
        "device": "cpu",
    }
    replay = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(REPLAY)), launch_arguments=arguments.items()
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument("source", description="the clip"),
            DeclareLaunchArgument("people", default_value="1", description="in the clip"),
            replay,
            launch_testing.actions.ReadyToTest(),
        ]
    )


class TestWhileItPlays(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        rclpy.init()
        cls.node = rclpy.create_node("replay_test")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.node.destroy_node()
        rclpy.shutdown()

    def test_group_affect_tells_the_size_of_the_group(self, test_args) -> None:
        received: list[GroupAffect] = []
        self.node.create_subscription(GroupAffect, f"{NAMESPACE}/group_affect", received.append, 10)
        requested = int(test_args.get("people", 1))
        deadline = time.monotonic() + TIMEOUT_S
        while not any(group.group_size == requested and not group.stale for group in received):
            assert time.monotonic() < deadline, f"{len(received)} messages, none with {requested} people"
            rclpy.spin_once(self.node, timeout_sec=0.1)
        known = next(group for group in received if group.group_size == requested)
        assert known.header.frame_id == "camera_color_optical_frame"
        assert len(known.face_ids) == requested


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    def test_every_process_ends_with_0_on_ctrl_c(self, proc_info) -> None:
        launch_testing.asserts.assertExitCodes(proc_info, allowable_exit_codes=[0])
        assert len(proc_info.process_names()) == 3
