"""Controls for the frames of music that are drawn next, from what was seen up to now.

A frame of music is drawn almost half a second before it is heard. What the person does by then is not known yet.
So there are two ways for a movement into the music:

- A beat that is foreseen (`foresight.PhaseLockedPulse`) stands where it will be heard as it comes.
- Every other event stands a fixed delay after the movement. A fixed delay keeps the rhythm of the gestures.

`beat` moves the border between the two, as it does for recordings (`controls.events.find_person_events`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..controls.channels import Controls
from ..controls.events import Events, event_curve, find_movements
from .foresight import PhaseLockedPulse
from .perception import MEMORY_S, Recent

PAST_S, AHEAD_S = 2.6, 0.5  # seconds of controls before and after the frames that are drawn
_SETTLED_S = 0.12  # seconds after which a turn is believed: its motion has gone back a little
_LATE_S = 0.03  # turns are found this much after the beat
_APART_S = 0.2  # two reports of one arrival are nearer
_KEPT_S = MEMORY_S + 1.0  # seconds that arrivals are remembered: longer than they are seen
_TOO_LATE_S = 0.3  # an event that would be heard this much later than planned is left out
_UNSURE, _SURE = 0.3, 0.6  # certainties of a pulse that counts not at all, and in full
_LEAST_STRENGTH = 0.12  # weaker events are left out
_ABSENT = ("face_missing", "motion_missing")


@dataclass
class _Arrival:
    """An arrival that was seen: its time, its strength, and whether the frames for it are drawn."""

    seen_s: float
    strength: float
    done: bool = False


class Timeline:
    """Controls on the clock of the music, with beats that are foreseen and events that follow after a delay.

    Args:
        channels: that the adapter reads.
        frame_rate: in Hz.
        delay_s: seconds from a movement to the event in the music, where it was not foreseen.
        beat: from gestures (0) to a steady beat (1).

    Attributes:
        beat: may be changed at any time.
        pulse: the pulse that is foreseen.
        activity: 0..1, of the person in the last half second.
    """

    def __init__(self, channels: tuple[str, ...], frame_rate: float, delay_s: float, beat: float = 0.5) -> None:
        self.beat, self.pulse, self.activity = beat, PhaseLockedPulse(), 0.0
        self._channels, self._frame_rate, self._delay_s = channels, frame_rate, delay_s
        self._recent: Recent | None = None
        self._last_turn_s = -np.inf
        self._strengths: list[float] = []  # of the last turns
        self._arrivals: list[_Arrival] = []  # of the last seconds
        self._played: list[tuple[float, float]] = []  # times and strengths of the events in frames that are drawn

    def look(self, recent: Recent | None) -> None:
        """Take in what was seen up to now; None for nothing new."""
        if recent is None:
            return
        self._recent = recent
        found = find_movements(recent.controls.values, recent.controls.channels, self._frame_rate)
        self.activity = float(found.activity[-round(self._frame_rate / 2) :].max())
        for time, strength in _at(found.turns, recent.start_s):
            if self._last_turn_s + _APART_S < time < recent.end_s - _SETTLED_S:
                self.pulse.turn(time)
                self._last_turn_s = time
                self._strengths = [*self._strengths[-7:], strength]
        for time, strength in _at(found.arrivals, recent.start_s):
            known = next((each for each in self._arrivals if abs(each.seen_s - time) < _APART_S), None)
            if known is None:
                self._arrivals.append(_Arrival(time, strength))
            elif not known.done:
                known.seen_s, known.strength = time, strength
        self._arrivals = [each for each in self._arrivals if each.seen_s > recent.end_s - _KEPT_S]

    def sureness(self, now_s: float) -> float:
        """Return how much the foreseen pulse counts at a time, 0..1, with `beat` taken in."""
        certainty = (self.pulse.certainty_at(now_s) - _UNSURE) / (_SURE - _UNSURE)
        if self.pulse.period_s is None or (certainty <= 0 and self.beat < 1):
            return 0.0
        return float(np.clip(np.clip(certainty, 0, 1) + 2 * self.beat - 1, 0, 1))

    def controls(self, now_s: float, heard_s: float, n: int) -> tuple[Controls, int]:
        """Return controls around the n frames that are drawn next.

        Args:
            now_s: the present.
            heard_s: when the first of these frames will be heard.
            n: number of frames.

        Returns:
            Controls from `PAST_S` before to `AHEAD_S` after these frames, and the number of frames before them.
        """
        before, after = round(PAST_S * self._frame_rate), round(AHEAD_S * self._frame_rate)
        step = 1 / self._frame_rate
        start_s = heard_s - before * step
        events = [*self._played, *self._coming(now_s, heard_s, heard_s + (n + after) * step)]
        times, strengths = np.array(events, float).reshape(-1, 2).T
        values = self._seen(start_s + (np.arange(before + n + after) + 0.5) * step - self._delay_s)
        if "event" in self._channels:
            curve = event_curve(Events(times - start_s, strengths), len(values), self._frame_rate)
            values[:, self._channels.index("event")] = curve
        end_s = heard_s + n * step
        self._played = [event for event in events if start_s - 1.0 < event[0] < end_s]
        for each in self._arrivals:
            each.done = each.done or each.seen_s + self._delay_s < end_s
        return Controls(values, self._channels, self._frame_rate, np.ones(len(values), bool)), before

    def _coming(self, now_s: float, start_s: float, end_s: float) -> list[tuple[float, float]]:
        """Return the events that will be heard from one time to another, as times and strengths."""
        sure = self.sureness(now_s)
        last = max((time for time, _ in self._played), default=-np.inf)
        coming = []
        if sure > 0:
            strength = sure * float(np.median(self._strengths))
            beats = self.pulse.beats(start_s + _LATE_S, end_s + _LATE_S) - _LATE_S
            coming += [(float(beat), strength) for beat in beats if beat > last + _APART_S]
        for each in self._arrivals:
            heard_s = each.seen_s + self._delay_s
            if not each.done and start_s - _TOO_LATE_S < heard_s < end_s:
                coming.append((max(heard_s, start_s + 0.5 / self._frame_rate), each.strength * (1 - sure)))
        return [(time, strength) for time, strength in coming if strength > _LEAST_STRENGTH]

    def _seen(self, times: np.ndarray) -> np.ndarray:
        """Return the channels as they were seen at times (T,), (T, C): the last value after the end."""
        values = np.zeros((len(times), len(self._channels)), np.float32)
        if self._recent is None:
            values[:, [i for i, name in enumerate(self._channels) if name in _ABSENT]] = 1.0
            return values
        seen = self._recent.controls
        frames = ((times - self._recent.start_s) * self._frame_rate).astype(int).clip(0, len(seen.values) - 1)
        return np.asarray(seen.select(self._channels).values[frames], np.float32)


def _at(events: Events, start_s: float) -> list[tuple[float, float]]:
    """Return times, counted from `start_s`, and strengths of events."""
    return [(start_s + float(time), float(weight)) for time, weight in zip(events.times, events.strengths, strict=True)]
