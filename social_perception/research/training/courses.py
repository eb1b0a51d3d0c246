"""How expressions come and go: the amounts of an ``Expression`` (see ``morph``) over time.

Smiles: the lip corners of spontaneous smiles move for some 0.3 to 0.7 s in the onset, whatever the
occasion, and return more slowly; how long the apex lasts varies widely (K. Schmidt, J. Cohn and
Y. Tian, "Signal characteristics of spontaneous facial expressions", Biological Psychology 65, 2003;
K. Schmidt, Z. Ambadar, J. Cohn and L. Reed, "Movement differences between deliberate and spontaneous
facial expressions", Journal of Nonverbal Behavior 30, 2006). The speed within a movement rises and
falls as in other movements (minimum jerk: T. Flash and N. Hogan, Journal of Neuroscience 5, 1985).

Talking: the mouth opens and closes 2 to 7 times a second (C. Chandrasekaran et al., "The natural
statistics of audiovisual speech", PLoS Computational Biology 5, 2009).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from social_perception.research.training.morph import Expression

Times = npt.NDArray[np.float64]

ONSET_S, APEX_S, OFFSET_S = (0.3, 0.7), (0.3, 2.5), (0.4, 1.2)
"""Shortest and longest of each phase of a smile."""
SYLLABLES_HZ = (2.0, 7.0)
FRAME_RATES_HZ = (15.0, 30.0)
"""Of the cameras that sequences stand for."""
DOWN_SHARE = 0.15
"""Of the courses in which the lip corners go down instead of up."""

BROWS = ([0, 1], [0], [1])
"""Those that are raised: both, or one of them."""


@dataclass(frozen=True, slots=True)
class SmileCourse:
    """Onset, apex and offset of one smile; ``start_s`` is when the onset begins."""

    start_s: float
    onset_s: float
    apex_s: float
    offset_s: float
    amount: float

    def at(self, times_s: Times) -> Times:
        """The amount at each time, (T,)."""
        since = times_s - self.start_s
        rise = _minimum_jerk(since / self.onset_s)
        fall = _minimum_jerk((since - self.onset_s - self.apex_s) / self.offset_s)
        return self.amount * (rise - fall)


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """Syllables, one after the other from time 0 on: how wide the jaw opens and the lips round in each."""

    rate_hz: float
    phase: float  # of a syllable, at time 0
    jaw: npt.NDArray[np.float64]
    pucker: npt.NDArray[np.float64]

    def at(self, times_s: Times) -> tuple[Times, Times]:
        """The amounts of jaw and pucker at each time, (T,); between syllables both are 0."""
        turns = self.rate_hz * times_s + self.phase
        syllable = np.floor(turns).astype(int) % len(self.jaw)
        open_ = 0.5 - 0.5 * np.cos(2 * np.pi * turns)
        return self.jaw[syllable] * open_, self.pucker[syllable] * open_


def draw_smile(rng: np.random.Generator, shown_s: float) -> SmileCourse:
    """Draw a smile of which a part is seen in ``shown_s`` seconds from time 0 on."""
    onset_s, apex_s, offset_s = (float(rng.uniform(*phase)) for phase in (ONSET_S, APEX_S, OFFSET_S))
    down = rng.random() < DOWN_SHARE
    amount = -rng.uniform(0.15, 0.5) if down else rng.uniform(0.3, 1.0)
    margin = 0.2 * shown_s
    start_s = rng.uniform(margin - onset_s - apex_s - offset_s, shown_s - margin)
    return SmileCourse(float(start_s), onset_s, apex_s, offset_s, float(amount))


def draw_speech(rng: np.random.Generator) -> Speech:
    """Draw the syllables of somebody who talks."""
    rounded = np.where(rng.random(16) < 0.3, rng.uniform(0.3, 1.0, 16), 0.0)
    return Speech(float(rng.uniform(*SYLLABLES_HZ)), float(rng.random()), rng.uniform(0.1, 1.0, 16), rounded)


def draw_expressions(
    rng: np.random.Generator, length: int, *, smiles: bool, talks: bool
) -> tuple[Expression, ...]:
    """Draw what a face does over ``length`` frames: a part of a smile, of speech, of both, or nothing."""
    times_s = np.arange(length) / rng.uniform(*FRAME_RATES_HZ)
    shown_s = float(times_s[-1])
    smile = draw_smile(rng, shown_s).at(times_s) if smiles else np.zeros(length)
    jaw, pucker = draw_speech(rng).at(times_s) if talks else (np.zeros(length),) * 2
    brows = np.zeros((2, length))
    if talks and rng.random() < 0.3:  # one brow or both, as speakers do for emphasis
        raised = replace(draw_smile(rng, shown_s), amount=rng.uniform(0.3, 1.0)).at(times_s)
        brows[BROWS[rng.integers(len(BROWS))]] = raised
    parting, teeth = float(rng.random()), float(rng.random())
    return tuple(
        Expression(*map(float, amounts), parting=parting, teeth=teeth)
        for amounts in zip(smile, jaw, pucker, *brows)
    )


def _minimum_jerk(share: Times) -> Times:
    """From 0 to 1 over shares of a movement's time, with no speed at either end."""
    x = np.clip(share, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x**2)
