"""A node around one step of the pipeline, or around all of them: its parameters are the step's settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from std_msgs.msg import Header

from social_perception.core.config import PipelineConfig
from social_perception.ros.support.intra_process import IntraProcess, ResultPublisher
from social_perception.ros.support.qos import RESULT_QOS
from social_perception.ros.support.resources import DeviceInfo
from social_perception.ros.support.stage import Stage


class PipelineStep(Protocol):
    """What the steps of :mod:`social_perception.perception.pipeline` have in common."""

    def configure(self, config: PipelineConfig) -> None:
        """Apply the dynamic settings, between two frames."""

    def reset(self) -> None:
        """Forget what was seen."""


Step = TypeVar("Step", bound=PipelineStep)


class StepNode(Stage, Generic[Step]):
    """Builds a step and its publishers when it is configured, and releases them when it is cleaned up.

    Args:
        name: of the node.
        kinds: configuration dataclasses whose settings become parameters, those of the step among them.
        make: builds the step.
        intra_process: the topics within this process; None: no other node shares it.
        node_options: passed on to rclpy.
    """

    def __init__(
        self,
        name: str,
        kinds: Sequence[type],
        make: Callable[[PipelineConfig], Step],
        intra_process: IntraProcess | None = None,
        **node_options: Any,
    ) -> None:
        self._kinds, self._make = kinds, make
        self.intra_process = IntraProcess() if intra_process is None else intra_process
        self._step: Step | None = None
        self._made: list[Any] = []
        self._results: list[ResultPublisher[Any]] = []
        super().__init__(name, kinds, **node_options)
        self.reconfigure()

    @property
    def step(self) -> Step:
        """The step; there is one from configure to cleanup."""
        assert self._step is not None
        return self._step

    def load(self) -> None:
        self._applied = self._config
        self._step = self._make(self._config)

    def open(self) -> None:
        for each in self._results:
            each.advertise()

    def close(self) -> None:
        for each in self._results:
            each.withdraw()

    def unload(self) -> None:
        while self._results:
            self._results.pop().withdraw()
        while self._made:
            self.destroy_lifecycle_publisher(self._made.pop())
        # Background detection has a thread; the other steps have nothing to close.
        close = getattr(self._step, "close", None)
        self._step = None
        if close is not None:
            close()

    def reconfigure(self) -> None:
        kinds: dict[str, Any] = {
            each.name: each.default_factory for each in dataclasses.fields(PipelineConfig)
        }
        given = {name: self.parameters[kind] for name, kind in kinds.items() if kind in self._kinds}
        self._config = PipelineConfig(**given)

    def restart(self) -> None:
        self.step.reset()

    def apply_parameters(self) -> None:
        """Apply parameters that have changed to the step; to be called between two frames."""
        if self._config is not self._applied:
            self._applied = self._config
            self.step.configure(self._applied)

    def make_publisher(self, kind: type, topic: str) -> Any:
        """A publisher of results, which is destroyed at cleanup; to be called from ``load``."""
        self._made.append(self.create_lifecycle_publisher(kind, topic, RESULT_QOS))
        return self._made[-1]

    def make_result_publisher(
        self, kind: type, topic: str, build: Callable[[Header, Any], Any]
    ) -> ResultPublisher[Any]:
        """One that nodes of this process need no message of; to be called from ``load``."""
        publisher = self.make_publisher(kind, topic)
        self._results.append(ResultPublisher(self, publisher, build, self.intra_process))
        return self._results[-1]


def device_of_smiles(estimation: Any) -> DeviceInfo:
    """What an estimation step computes smiles with; the CPU where that is unknown."""
    estimators = getattr(estimation, "estimators", {})
    return DeviceInfo.of(getattr(estimators.get("smile"), "scorer", None))
