"""Composes synthetic scenes of groups: cut-out faces that move before a background, with sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from social_perception.perception.hearing.mel import BANDS
from social_perception.perception.scene.estimator import SOUND_FRAMES
from social_perception.perception.scene.reduction import INPUT_PX, LONG_SIDE_PX, GrayArray, to_input
from social_perception.research.training.laughter_mixing import FLOOR, at_level
from social_perception.research.training.scene_drawing import (
    FloatArray,
    Light,
    draw_background,
    map_of,
    paste,
    place_people,
)
from social_perception.research.training.scene_material import EmotionalSounds, Material
from social_perception.research.training.scene_plans import Plan, SoundKind


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One example.

    ``images`` is the network's input, (F, h, w) uint8; ``places`` (F, 3, h / 4, w / 4) the map of faces by
    emotion; ``mel`` (300, 64); ``faces`` are the indices of the cut-outs that can be seen.
    """

    plan: Plan
    images: GrayArray
    places: FloatArray
    mel: FloatArray
    faces: tuple[int, ...]


class SceneComposer:
    """Composes scenes from the material of one part of the data.

    Args:
        material: faces, sounds and backgrounds.
        image_px: long side of the reduced images.
        gap_s: time between the images of a scene.
    """

    def __init__(self, material: Material, image_px: int = LONG_SIDE_PX, gap_s: float = 0.4) -> None:
        self._material, self._image_px, self._gap_s = material, image_px, gap_s

    def compose(self, plan: Plan, size: tuple[int, int], frames: int, draw: np.random.Generator) -> Scene:
        """Draw a scene of a number of images on a canvas (H, W); equal generators give equal scenes."""
        canvas = draw_background(self._material.backgrounds, size, draw)
        people = place_people(plan, canvas.shape, self._material.cutouts, draw)
        mel = mix_sound(plan, self._material.sounds, draw)
        light = Light(plan.kind, canvas.shape, self._image_px, draw)
        scale = INPUT_PX / max(size)
        images, places = [], []
        for frame in range(frames):
            shown = canvas.copy()
            moved = [each.after(frame * self._gap_s) for each in people]
            for person in moved:
                paste(shown, person, self._material.cutouts.images[person.cutout])
            images.append(to_input(light(shown, draw)))
            places.append(map_of(moved, self._material.cutouts.emotion, images[-1].shape, scale))
        faces = () if plan.faces is None else tuple(person.cutout for person in people)
        return Scene(plan, np.stack(images), np.stack(places), mel, faces)


def mix_sound(plan: Plan, sounds: EmotionalSounds, draw: np.random.Generator) -> FloatArray:
    """Log-mel frames (300, 64) of a scene; the powers of independent sounds add up."""
    power = np.zeros((SOUND_FRAMES, BANDS), np.float32)
    if plan.sound_kind is SoundKind.NOTHING:
        return np.full_like(power, np.log(FLOOR))
    level = 10 ** draw.uniform(-4.5, -0.5)
    if plan.sound_kind is SoundKind.BURSTS:
        of_emotion = np.flatnonzero(sounds.emotion == plan.sound)
        for _ in range(1 if draw.random() < 0.4 else int(draw.integers(2, 7))):
            _add(
                power,
                sounds.bursts.mel[int(draw.choice(of_emotion))],
                level * 10 ** draw.uniform(-0.6, 0),
                draw,
            )
    speaks = plan.sound_kind is SoundKind.BACKGROUND and draw.random() < 0.6
    if speaks or draw.random() < 0.25:
        speech = sounds.speech.mel[int(draw.integers(len(sounds.speech)))]
        first = int(draw.integers(0, max(1, len(speech) - 200)))
        _add(power, speech[first:], level if speaks else level * 10 ** draw.uniform(-2, -0.3), draw)
    if draw.random() < 0.35:
        other = sounds.others.mel[int(draw.integers(len(sounds.others)))]
        _add(power, other[:SOUND_FRAMES], level * 10 ** draw.uniform(-2.5, -0.2), draw)
    power *= 10 ** np.interp(np.arange(BANDS), np.linspace(0, BANDS - 1, 6), draw.normal(0, 0.3, 6))
    if draw.random() < 0.8:
        noise = draw.chisquare(4, power.shape).astype(np.float32) / 4
        power += np.float32(10 ** draw.uniform(-7.5, -4.5)) * noise
    return np.log(power + FLOOR, dtype=np.float32)


def _add(power: FloatArray, mel: npt.NDArray[np.float16], level: float, draw: np.random.Generator) -> None:
    """Add a recording from a random time on; it may have begun before."""
    start = int(draw.integers(-len(mel) // 3, max(1, SOUND_FRAMES - 2 * len(mel) // 3)))
    part = np.exp(mel[max(0, -start) :].astype(np.float32))[: SOUND_FRAMES - max(0, start)]
    # As of a larger or a smaller person.
    part = np.roll(part, int(draw.integers(-2, 3)), axis=1)
    if len(part):
        power[max(0, start) : max(0, start) + len(part)] += at_level(part, level)
