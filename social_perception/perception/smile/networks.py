"""The smile network: alignment, a small CNN per face crop, a GRU over time and an ordinal head.

Shapes: N faces, T frames, F features, H hidden units, K = 3 thresholds between the four levels.

The alignment finds five points of the face and turns it upright, to a fixed size and place (a spatial
transformer after M. Jaderberg et al., 2015, whose points are trained on landmarks). Eyes and nose alone
define the transformation: a smile moves the mouth, and the movement has to stay visible.

The head is ordinal: a score per face and frame is compared with three increasing thresholds, so P(level > 0)
>= P(level > 1) >= P(level > 2) holds by construction (rank-consistent logits after W. Cao, V. Mirjalili and
S. Raschka, "Rank consistent ordinal regression for neural networks", 2020). The distances of the thresholds
may differ from face to face, because the intensity of a smile shows elsewhere in the face than its presence.

The scores are the sum of a single-frame score and a contribution of the memory, so that the first frame of a
face is already scored well and later frames refine the score.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from social_perception.core.types import CROP_SIZE_PX

THRESHOLDS = 3
"""Thresholds between Neutral, Low, Medium and High."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in the luma, ITU-R BT.601."""

SIDE = CROP_SIZE_PX
POINTS = 5
EYES_DISTANCE, NOSE_DEPTH, CENTER_Y = 0.76, 0.48, -0.12
"""Distance of the eyes, of the nose's tip below them, and height of the center between both, in an upright
face in [-1, 1]: from the brows to the chin.
"""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The sizes of a :class:`SmileNetwork`; they are stored with its weights."""

    channels: tuple[int, int, int, int] = (16, 24, 48, 112)
    features: int = 128
    hidden: int = 128
    mouth: int = 32


def to_input(crops: Tensor) -> Tensor:
    """Crops (..., 96, 96, 3) uint8 -> (..., 3, 96, 96) float in [-1, 1]."""
    return crops.movedim(-1, -3).float().div_(127.5).sub_(1.0)


def level_probabilities(logits: Tensor) -> Tensor:
    """Logits (..., 3 or more) of P(level > k) -> (..., 4) of Neutral, Low, Medium, High; they sum to 1."""
    above = torch.sigmoid(logits[..., :THRESHOLDS])
    return torch.cat([1.0 - above[..., :1], above[..., :-1] - above[..., 1:], above[..., -1:]], dim=-1)


def intensity(logits: Tensor) -> Tensor:
    """Logits (..., 3 or more) of P(level > k) -> (...) intensity in [0, 1].

    It is 1/6, 1/2 and 5/6 where P(level > 0), P(level > 1) and P(level > 2) are 0.5, linear in the logits
    between these, and approaches 0 and 1 outside. The expected level would be a staircase: it hardly changes
    where one level is certain.
    """
    first, second, third = logits[..., :THRESHOLDS].unbind(dim=-1)
    below = torch.sigmoid(first.clamp(max=0.0)) / 3  # 0 to 1/6
    low = (first / (first - second).clamp_min(1e-6)).clamp(0.0, 1.0) / 3  # the step from 1/6 to 1/2
    medium = (second / (second - third).clamp_min(1e-6)).clamp(0.0, 1.0) / 3
    high = (torch.sigmoid(third.clamp(min=0.0)) - 0.5) / 3  # 0 to 1/6
    return below + low + medium + high


class Residual(nn.Module):
    """Two 3x3 convolutions with a skip connection: (N, C, h, w) -> (N, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Convolution(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.second(self.first(x))) + x, inplace=True)


class Convolution(nn.Module):
    """3x3 convolution, batch normalization, ReLU: (N, C_in, h, w) -> (N, C_out, h / stride, w / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        # In place: halves the number of large allocations.
        return functional.relu(self.norm(self.convolution(x)), inplace=True)


def upright_transform(points: Tensor) -> Tensor:
    """Return the similarity transformations (N, 2, 3) from the upright face to a crop with points (N, 5, 2).

    The line between the eyes defines the rotation. A turned head shortens the distance of the eyes and
    shifts the nose sideways, so the scale is averaged over the distances between the eyes and down to the
    nose, and the center lies between eyes and nose.
    """
    left, right, nose = points[:, 0], points[:, 1], points[:, 2]
    middle = (left + right) / 2
    distance = torch.linalg.vector_norm(right - left, dim=1, keepdim=True).clamp_min(1e-3)
    across = (right - left) / distance  # (N, 2), unit vector to the right of the image
    down = torch.stack([-across[:, 1], across[:, 0]], dim=1)
    height = ((nose - middle) * down).sum(dim=1, keepdim=True)
    # The limits only matter where there is no face.
    scale = ((distance / EYES_DISTANCE + height / NOSE_DEPTH) / 2).clamp(0.4, 1.6)
    across, down = across * scale, down * scale
    origin = (middle + nose) / 2 - CENTER_Y * down
    return torch.stack([across, down, origin], dim=2)


class Aligner(nn.Module):
    """Finds five points in gray crops (N, 1, 96, 96) and samples the upright faces (N, 1, 96, 96)."""

    pixels: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(  # multiply-adds
            nn.AvgPool2d(2),  # (N, 1, 96, 96) -> (N, 1, 48, 48)
            Convolution(1, 12, 2),  # -> (N, 12, 24, 24)    0.1 M
            Convolution(12, 24, 2),  # -> (N, 24, 12, 12)   0.4 M
            Convolution(24, 24),  #                         0.7 M
            Convolution(24, 48, 2),  # -> (N, 48, 6, 6)     0.4 M
            Convolution(48, 48),  #                         0.7 M
            nn.Flatten(),
            nn.Linear(48 * 36, 64),  #                      0.1 M
            nn.ReLU(),
            nn.Linear(64, 2 * POINTS),
        )
        # Centers of the pixels in [-1, 1], (96 * 96, 3): x, y, 1.
        place = (torch.arange(SIDE) * 2 + 1) / SIDE - 1
        y, x = torch.meshgrid(place, place, indexing="ij")
        pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(-1, 3)
        self.register_buffer("pixels", pixels, persistent=False)

    def points(self, gray: Tensor) -> Tensor:
        """Find the points (N, 5, 2), x and y in [-1, 1] of the crop: eyes, nose, corners of the mouth."""
        return self.layers(standardize(gray)).view(-1, POINTS, 2)

    def transforms(self, gray: Tensor) -> Tensor:
        """Return the transformations (N, 2, 3) from the upright faces to the crops, in [-1, 1]."""
        return upright_transform(self.points(gray))

    def forward(self, gray: Tensor) -> Tensor:
        """Return the upright faces; what is outside the crop repeats its border."""
        grid = self.pixels @ self.transforms(gray).transpose(1, 2)  # (N, 96 * 96, 2)
        return functional.grid_sample(
            gray, grid.view(-1, SIDE, SIDE, 2), padding_mode="border", align_corners=False
        )


def standardize(gray: Tensor) -> Tensor:
    """Subtract the mean of each crop (N, 1, h, w) and divide by its contrast."""
    gray = gray - gray.mean(dim=(1, 2, 3), keepdim=True)
    # Equals torch.std_mean, in an eighth of its time.
    squares = gray.square().sum(dim=(1, 2, 3), keepdim=True)
    deviation = (squares / (gray.shape[2] * gray.shape[3] - 1)).sqrt()
    return gray / (deviation + 0.05)


class FaceEncoder(nn.Module):
    """Encodes face crops (N, 3, 96, 96) in [-1, 1] to features (N, F)."""

    luma: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        a, b, c, d = config.channels
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.aligner = Aligner()
        self.layers = nn.Sequential(  # multiply-adds of the default sizes
            Convolution(1, a, 2),  # (N, 1, 96, 96) -> (N, a, 48, 48)    0.3 M
            Convolution(a, b, 2),  # -> (N, b, 24, 24)                   2.0 M
            Residual(b),  #                                              6.0 M
            Convolution(b, c, 2),  # -> (N, c, 12, 12)                   1.5 M
            Residual(c),  #                                              6.0 M
            Convolution(c, d, 2),  # -> (N, d, 6, 6)                     2.0 M
            Residual(d),  #                                             10.6 M
            nn.AvgPool2d(2),  # -> (N, d, 3, 3): keeps the position of the mouth
            nn.Flatten(),
        )
        self.project = nn.Linear(9 * d, config.features)

    def train(self, mode: bool = True) -> FaceEncoder:
        """Set the training mode, except of the alignment, which is trained before on its own."""
        super().train(mode)
        self.aligner.eval()
        return self

    def forward(self, crops: Tensor) -> Tensor:
        return self.features(self.maps(crops))

    def maps(self, crops: Tensor) -> Tensor:
        """Return what the convolutions see in 3x3 parts of the upright face, (N, 9 d)."""
        return self.encode(self.aligner(self.gray(crops)))

    def encode(self, upright: Tensor) -> Tensor:
        """Encode upright faces (N, 1, 96, 96) to maps (N, 9 d)."""
        return self.layers(standardize(upright))

    def features(self, maps: Tensor) -> Tensor:
        """Project the maps (N, 9 d) to features (N, F)."""
        return functional.relu(self.project(maps))

    def gray(self, crops: Tensor) -> Tensor:
        """Return the luma: (N, 3, 96, 96) -> (N, 1, 96, 96). A smile is a shape: color depends on the
        camera.
        """
        return torch.tensordot(crops, self.luma.flatten(), dims=([1], [0])).unsqueeze(1)


class OrdinalHead(nn.Module):
    """Converts scores (..., 3) to logits (..., 3) of P(level > k), non-increasing in k.

    The first score is compared with the first threshold; the other two change the distances to the second and
    third threshold, which stay positive.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor(0.0))
        self.gaps = nn.Parameter(torch.full((THRESHOLDS - 1,), 1.5))

    def forward(self, scores: Tensor) -> Tensor:
        lowest = scores[..., :1] - self.first
        steps = functional.softplus(self.gaps + scores[..., 1:])
        return torch.cat([lowest, lowest - steps.cumsum(dim=-1)], dim=-1)


class SmileNetwork(nn.Module):
    """Maps face crops over time to logits of P(level > k); streaming and windowed use agree."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        self.encoder = FaceEncoder(config)
        self.memory = nn.GRU(config.features, config.hidden, batch_first=True)
        self.score_now = nn.Linear(config.features, THRESHOLDS)
        self.score_memory = nn.Linear(config.hidden, THRESHOLDS, bias=False)
        with torch.no_grad():  # the distances of the thresholds are initially equal for all faces
            self.score_now.weight[1:] = 0.0
            self.score_now.bias[1:] = 0.0
        nn.init.zeros_(self.score_memory.weight)  # before its training the memory has no effect
        self.head = OrdinalHead()
        # From the maps: the features of a smile hardly differ between half a face and a whole one.
        last = nn.Linear(config.mouth, 1)
        nn.init.zeros_(last.weight)  # before its training every mouth is visible
        nn.init.constant_(last.bias, 3.0)
        self.mouth_visible = nn.Sequential(nn.Linear(9 * config.channels[-1], config.mouth), nn.ReLU(), last)

    def forward(self, crops: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score a window.

        Args:
            crops: (N, T, 3, 96, 96) in [-1, 1]; see :func:`to_input`.
            state: (N, H), from the previous window; None for new faces.

        Returns:
            Logits (N, T, 4), of P(level > k) and of a visible mouth, and the new state (N, H).
        """
        maps = self.encoder.maps(crops.flatten(0, 1)).unflatten(0, crops.shape[:2])
        return self.score_maps(maps, state)

    def score_maps(self, maps: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score the encoder's maps (N, T, 9 d) as :meth:`forward` does crops."""
        logits, state = self.over_time(self.encoder.features(maps), state)
        return torch.cat([logits, self.mouth_visible(maps)], dim=-1), state

    def step(self, crops: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Score one frame: crops (N, 3, 96, 96), state (N, H) -> logits (N, 4), new state (N, H)."""
        logits, state = self.forward(crops.unsqueeze(1), state)
        return logits[:, 0], state

    def over_time(self, features: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score features (N, T, F): logits of P(level > k), (N, T, 3), and the new state (N, H)."""
        output, last = self.memory(features, None if state is None else state.unsqueeze(0))  # (N, T, H)
        scores = self.score_now(features) + self.score_memory(output)  # (N, T, 3)
        return self.head(scores), last[0]

    def still(self, crops: Tensor) -> Tensor:
        """Score single images (N, 3, 96, 96) without previous state: logits (N, 4)."""
        return self.forward(crops.unsqueeze(1))[0][:, 0]

    def initial_state(self, faces: int) -> Tensor:
        """Return the state (N, H) of new faces."""
        return self.score_now.weight.new_zeros(faces, self.config.hidden)
