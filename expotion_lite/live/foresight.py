"""A phase-locked pulse: it tells from the turns of a movement when the next ones will come, and how sure that is.

Music that only reacts is always late. The beat of a person who moves steadily can be foreseen, as a musician does who
plays along: a phase-locked loop holds a period and a phase, and each turn pulls both towards itself by a part of its
error (Best 2007, Phase-Locked Loops; Large and Jones 1999, "The dynamics of attending").
"""

from __future__ import annotations

import numpy as np

PHASE_GAIN, PERIOD_GAIN = 0.45, 0.2  # shares of a turn's error by which phase and period are corrected
SHORTEST_S, LONGEST_S = 0.25, 2.2  # seconds; a period is within these
_IN_LOCK = 0.18  # of a period; a turn that is farther from the expected time does not fit
_ALIKE = 0.12  # relative difference of two intervals that are of one period
_GAIN, _LOSS = 0.4, 0.55  # of certainty: the share that is left to 1 that a fitting turn adds; what another one leaves
_MISSED = 0.5  # what a turn that does not come leaves of the certainty
_SETTLED_S = 0.25  # seconds after its time by which a turn is known to have come or not


class PhaseLockedPulse:
    """A pulse that locks to turns.

    Attributes:
        period_s: seconds between two beats; None before the second turn.
        beat_s: time of one beat, seconds; the others are whole periods away.
        certainty: 0..1, how well the last turns came when they were expected. See `certainty_at` for later times.

    Example:
        >>> pulse = PhaseLockedPulse()
        >>> for time in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5):
        ...     pulse.turn(time)
        >>> pulse.beats(2.6, 4.1).round(2).tolist(), round(pulse.certainty, 2)
        ([3.0, 3.5, 4.0], 0.87)

    Notebook: notebooks/07_play_it
    """

    def __init__(self) -> None:
        self.period_s: float | None = None
        self.beat_s = 0.0
        self.certainty = 0.0
        self._turns: list[float] = []  # the last three

    def turn(self, time_s: float) -> None:
        """Take in a turn; turns come in the order of their times.

        Args:
            time_s: when it was, seconds.
        """
        self._turns = [*self._turns[-2:], time_s]
        if self.period_s is not None:
            self.certainty = self.certainty_at(time_s)
            beats = max(1, round((time_s - self.beat_s) / self.period_s))
            expected = self.beat_s + beats * self.period_s
            error = time_s - expected
            if abs(error) <= _IN_LOCK * self.period_s:
                self.beat_s = expected + PHASE_GAIN * error
                self.period_s = float(np.clip(self.period_s + PERIOD_GAIN * error / beats, SHORTEST_S, LONGEST_S))
                self.certainty += _GAIN * (1 - self.certainty) / beats
                return
            self.certainty *= _LOSS
        self._lock_anew()

    def _lock_anew(self) -> None:
        """Take over the period of the last two intervals if they are alike, or that of the first one."""
        intervals = np.diff(self._turns)
        if len(intervals) == 0:
            return
        alike = len(intervals) == 2 and abs(intervals[1] - intervals[0]) <= _ALIKE * intervals.mean()
        if not alike and self.period_s is not None:
            return
        period = float(intervals.mean() if alike else intervals[-1])
        if SHORTEST_S <= period <= LONGEST_S:
            self.period_s, self.beat_s = period, self._turns[-1]
            self.certainty = max(self.certainty, _GAIN) if alike else 0.0

    def certainty_at(self, now_s: float) -> float:
        """Return the certainty at a time, 0..1: it falls with every beat whose turn did not come."""
        if self.period_s is None:
            return 0.0
        missed = max(0, int((now_s - _SETTLED_S - self.beat_s) / self.period_s - _IN_LOCK))
        return self.certainty * _MISSED**missed

    def beats(self, start_s: float, end_s: float) -> np.ndarray:
        """Return the foreseen beats from one time to another, (N,) seconds; empty before the first two turns."""
        if self.period_s is None:
            return np.zeros(0)
        first = int(np.ceil((start_s - self.beat_s) / self.period_s))
        last = int(np.ceil((end_s - self.beat_s) / self.period_s))
        return self.beat_s + self.period_s * np.arange(first, last)
