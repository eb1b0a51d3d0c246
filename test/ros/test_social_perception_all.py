from __future__ import annotations

import pytest

from social_perception.ros.nodes import social_perception_all
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode

PIPELINE = {FaceTrackerNode, SmileIntensityNode, GroupAffectNode}


@pytest.mark.parametrize(
    ("arguments", "views"),
    [
        ([], {AffectMarkersNode}),
        (["--markers", "true", "--overlay", "True"], {AffectMarkersNode, AffectOverlayNode}),
        (["--markers", "false"], set()),
        (["--markers", "false", "--overlay", "true"], {AffectOverlayNode}),
        (["--overlay", "false", "--ros-args", "-p", "use_sim_time:=true"], {AffectMarkersNode}),
        (["--overlay", "false", "--markers", "FALSE"], set()),
    ],
)
def test_views_can_be_disabled(arguments, views, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(social_perception_all, "run", lambda nodes, args: asked.append((nodes, args)) or 0)
    assert social_perception_all.main(arguments) == 0
    ((nodes, args),) = asked
    assert {getattr(node, "func", node) for node in nodes} == PIPELINE | views
    assert args == arguments, "ROS sees all of them"


def test_a_wrong_option_is_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        social_perception_all.main(["--markers", "perhaps"])
    assert "perhaps" in capsys.readouterr().err
