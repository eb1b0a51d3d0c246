"""Temporal dynamics of facial expressions: the amounts of an ``Expression`` (see ``morph``) over time.

Smiles: in spontaneous smiles the onset of the lip corner movement takes 0.3 to 0.7 s, whatever the
occasion, and the offset is slower; the duration of the apex varies widely (K. Schmidt, J. Cohn and
Y. Tian, "Signal characteristics of spontaneous facial expressions", Biological Psychology 65, 2003;
K. Schmidt, Z. Ambadar, J. Cohn and L. Reed, "Movement differences between deliberate and spontaneous
facial expressions", Journal of Nonverbal Behavior 30, 2006). Speed within a movement
follows the minimum-jerk profile of other movements ( T. Flash and N. Hogan, Journal of Neuroscience 5, 1985).

Talking: the mouth opens and closes 2 to 7 times per second (C. Chandrasekaran et al., "The natural
statistics of audiovisual speech", PLoS Computational Biology 5, 2009).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from social_perception.research.training.morph import Expression

Times = npt.NDArray[np.float64]

ONSET_S, APEX_S, OFFSET_S = (0.3, 0.7), (0.3, 2.5), (0.4, 1.2)
"""Shortest and longest duration of each phase of a smile."""
SYLLABLES_HZ = (2.0, 7.0)
FRAME_RATES_HZ = (15.0, 30.0)
"""Frame rates of the simulated cameras."""
FROWN_SHARE = 0.15
"""Share of the episodes in which the lip corners go down instead of up."""

BROWS = ([0, 1], [0], [1])
"""Indices of the raised brows: both, or one of them."""


@dataclass(frozen=True, slots=True)
class SmileEpisode:
    """Onset, apex and offset of one smile; ``start_s`` is the start of the onset."""

    start_s: float
    onset_s: float
    apex_s: float
    offset_s: float
    amount: float

    def at(self, times_s: Times) -> Times:
        """Return the amount at each time, (T,)."""
        elapsed_s = times_s - self.start_s
        rise = _minimum_jerk(elapsed_s / self.onset_s)
        fall = _minimum_jerk((elapsed_s - self.onset_s - self.apex_s) / self.offset_s)
        return self.amount * (rise - fall)


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """Consecutive syllables from time 0 on, with the jaw opening and lip rounding of each."""

    rate_hz: float
    phase: float  # phase of the syllable at time 0
    jaw: npt.NDArray[np.float64]
    pucker: npt.NDArray[np.float64]

    def at(self, times_s: Times) -> tuple[Times, Times]:
        """Return the amounts of jaw and pucker at each time, (T,) each; both are 0 between syllables."""
        phase = self.rate_hz * times_s + self.phase
        syllable = np.floor(phase).astype(int) % len(self.jaw)
        open_ = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
        return self.jaw[syllable] * open_, self.pucker[syllable] * open_


def sample_smile(rng: np.random.Generator, duration_s: float) -> SmileEpisode:
    """Sample a smile that overlaps the ``duration_s`` seconds from time 0 on."""
    onset_s, apex_s, offset_s = (float(rng.uniform(*phase)) for phase in (ONSET_S, APEX_S, OFFSET_S))
    down = rng.random() < FROWN_SHARE
    amount = -rng.uniform(0.15, 0.5) if down else rng.uniform(0.3, 1.0)
    margin = 0.2 * duration_s
    start_s = rng.uniform(margin - onset_s - apex_s - offset_s, duration_s - margin)
    return SmileEpisode(float(start_s), onset_s, apex_s, offset_s, float(amount))


def sample_speech(rng: np.random.Generator) -> Speech:
    """Sample the syllables of a talking person."""
    rounded = np.where(rng.random(16) < 0.3, rng.uniform(0.3, 1.0, 16), 0.0)
    return Speech(float(rng.uniform(*SYLLABLES_HZ)), float(rng.random()), rng.uniform(0.1, 1.0, 16), rounded)


def sample_expressions(
    rng: np.random.Generator, length: int, *, smiles: bool, talks: bool
) -> tuple[Expression, ...]:
    """Sample an expression per frame over ``length`` frames.

    Args:
        rng: source of randomness.
        length: number of frames.
        smiles: whether a part of a smile (or of a frown) is shown.
        talks: whether the face talks.
    """
    times_s = np.arange(length) / rng.uniform(*FRAME_RATES_HZ)
    duration_s = float(times_s[-1])
    smile = sample_smile(rng, duration_s).at(times_s) if smiles else np.zeros(length)
    jaw, pucker = sample_speech(rng).at(times_s) if talks else (np.zeros(length),) * 2
    brows = np.zeros((2, length))
    if talks and rng.random() < 0.3:  # speakers raise one or both brows for emphasis
        raised = replace(sample_smile(rng, duration_s), amount=rng.uniform(0.3, 1.0)).at(times_s)
        brows[BROWS[rng.integers(len(BROWS))]] = raised
    parting, teeth = float(rng.random()), float(rng.random())
    return tuple(
        Expression(
            smile=float(smile[frame]),
            jaw=float(jaw[frame]),
            pucker=float(pucker[frame]),
            brow_left=float(brows[0, frame]),
            brow_right=float(brows[1, frame]),
            parting=parting,
            teeth=teeth,
        )
        for frame in range(length)
    )


def _minimum_jerk(fraction: Times) -> Times:
    """Return the position (0 to 1) at fractions of a movement's duration; the speed is 0 at both ends."""
    x = np.clip(fraction, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x**2)
