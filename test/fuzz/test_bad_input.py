"""A few hundred bad inputs for each target; ``test/fuzz/run.py`` tries all it can."""

from __future__ import annotations

import logging

import pytest
from fuzzing import registry
from fuzzing.mutate import bred
from fuzzing.target import Target, try_input

INPUTS = {
    "video_file": 60,
    "sound_file": 60,
    "bag_metadata": 20,
    "training_yaml": 50,
    "scene_weights": 20,
    "tcp_source": 10,
    "bag_mcap": 60,
    "bag_packed": 60,
    "bag_message": 60,
    "bag_db3": 80,
    "bag_ros1": 80,
    "smile_weights": 100,
}
"""For the slow ones; the others get 200."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What is reported of each bad file would fill pages."""
    caplog.set_level(logging.CRITICAL, "social_perception")


def close(target: Target) -> None:
    getattr(target.run, "close", lambda: None)()


@pytest.mark.parametrize("name", sorted(registry.MODULES.keys() - registry.PROPERTIES))
@pytest.mark.filterwarnings("ignore")
def test_bad_input_is_refused_or_taken_as_promised(name: str) -> None:
    target = registry.load(name)
    seeds = target.seeds()
    try:
        taken = [try_input(target, data) for data in bred(seeds, INPUTS.get(name, 200), target.max_bytes)]
    finally:
        close(target)
    # Seeds that are all refused would show nothing of what lies behind the first check.
    assert any(taken[: len(seeds)])


@pytest.mark.parametrize("name", sorted(registry.PROPERTIES))
@pytest.mark.filterwarnings("ignore")
def test_property_holds(name: str) -> None:
    check = registry.load(name).check
    assert check is not None
    check()
