"""The pinhole camera model: projection between pixels and meters.

Source: R. Hartley, A. Zisserman, "Multiple View Geometry in Computer Vision", 2nd ed. 2004, section
6.1. The optical frame is that of REP 103: x to the right, y down, z forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from social_perception.core.types import Position


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """Focal lengths and principal point in px, without distortion."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        for name in ("fx", "fy"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, got {value}")
        for name in ("cx", "cy"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")

    @classmethod
    def from_field_of_view(cls, width_px: int, height_px: int, horizontal_deg: float) -> Intrinsics:
        """Compute the intrinsics from the horizontal field of view in degrees, with square pixels.

        Raises:
            ValueError: the angle is not in (0, 180).
        """
        if not 0.0 < horizontal_deg < 180.0:
            raise ValueError(f"horizontal_deg must be in (0, 180), got {horizontal_deg}")
        focal_px = 0.5 * width_px / math.tan(math.radians(horizontal_deg) / 2)
        return cls(focal_px, focal_px, width_px / 2, height_px / 2)

    def position(self, x_px: float, y_px: float, depth_m: float) -> Position:
        """Deproject a pixel with a depth (z) in m to a point in the optical frame."""
        return Position((x_px - self.cx) / self.fx * depth_m, (y_px - self.cy) / self.fy * depth_m, depth_m)

    def pixel(self, position: Position) -> tuple[float, float]:
        """Project a point in front of the camera to a pixel (x, y)."""
        return (
            self.cx + self.fx * position.x / position.z,
            self.cy + self.fy * position.y / position.z,
        )
