"""Invalid values through the parameter services, for every parameter of every node."""

from __future__ import annotations

import math

import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters

from social_perception.ros.nodes.affect_dashboard import AffectDashboardNode
from social_perception.ros.nodes.affect_markers import AffectMarkersNode
from social_perception.ros.nodes.affect_overlay import AffectOverlayNode
from social_perception.ros.nodes.face_tracker import FaceTrackerNode
from social_perception.ros.nodes.group_affect import GroupAffectNode
from social_perception.ros.nodes.smile_intensity import SmileIntensityNode
from social_perception.ros.nodes.sound_events import SoundEventsNode

pytestmark = [pytest.mark.ros]

KINDS = [
    AffectDashboardNode,
    AffectMarkersNode,
    AffectOverlayNode,
    FaceTrackerNode,
    GroupAffectNode,
    SmileIntensityNode,
    SoundEventsNode,
]

VALUES = {
    "NaN": ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=math.nan),
    "inf": ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=math.inf),
    "-1e308": ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=-1e308),
    "2**63 - 1": ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=2**63 - 1),
    "a text": ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="\x00 or '; rm"),
    "a long text": ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="9" * 1_000_000),
    "bytes": ParameterValue(type=ParameterType.PARAMETER_BYTE_ARRAY, byte_array_value=[b"\x01"] * 9),
    "numbers": ParameterValue(type=ParameterType.PARAMETER_DOUBLE_ARRAY, double_array_value=[math.nan] * 9),
    "nothing": ParameterValue(type=ParameterType.PARAMETER_NOT_SET),
}


@pytest.mark.parametrize("kind", KINDS)
def test_invalid_parameters_are_rejected_with_the_reason(kind, ros) -> None:
    node = ros.create(kind)
    client = ros.node.create_client(SetParameters, f"{node.get_name()}/set_parameters")
    ros.until(client.service_is_ready, "the parameters' service")
    names = sorted(node.parameters._settings)
    before = {name: node.get_parameter(name).value for name in names}
    for what, value in VALUES.items():
        requested = [Parameter(name=name, value=value) for name in names]
        answer = client.call_async(SetParameters.Request(parameters=requested))
        ros.until(answer.done, f"an answer to {what}")
        for name, result in zip(names, answer.result().results):
            assert not result.successful, f"{name} = {what}"
            assert result.reason, f"{name} = {what} is refused without a reason"
    assert {name: node.get_parameter(name).value for name in names} == before
