"""Follow one person's face and body through a video with MediaPipe's landmarkers.

A landmarker in VIDEO mode follows whom it found first, even where several people are in the picture. So a second one,
which looks at single pictures, says who is there; the choice is made here, and the first one is started on that person
only. It is restarted when the person is lost, leaves the part of the picture that is looked at, or turns out to be
somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from .landmarker import Box, Landmarker, Person, muted

PATIENCE_S = 1.0  # so long a lost person is waited for before another one is taken
LOOK_S = 1.0  # so often the whole picture is searched for somebody larger
TILES_S = 0.25  # at most so often small faces are searched for in parts of the picture
MUCH_LARGER = 1.5  # times as large: somebody else has to be, twice in a row, to be followed instead
GREY = 128


class _Tracker:
    """Follows one person inside a window of the picture."""

    def __init__(self, kind: str, model: Path) -> None:
        self._landmarker = Landmarker(kind, model, 1, video=True)
        self._quiet = kind == "pose"  # its first look at a body prints a note of its own
        self.window: tuple[int, int, int, int] = (0, 0, 1, 1)
        self.holding = False

    def follow(self, image: np.ndarray, time_s: float) -> Person | None:
        """Return the person in the next picture; None if lost."""
        left, top, right, bottom = self.window
        found = self._landmarker.find(image[top:bottom, left:right], time_s)
        self.holding = bool(found)
        return found[0].moved(left, top) if found else None

    def start(self, image: np.ndarray, time_s: float, window: Box, keep: Box, hide: Sequence[Box]) -> Person | None:
        """Look for the person anew: in `window`, with only `keep` to be seen if there are others to `hide`."""
        self.release(time_s)
        self.window = clip(window, image)
        if hide:
            image = _covered(image, keep, hide)
        with muted() if self._quiet else nullcontext():
            self._quiet = False
            return self.follow(image, time_s)

    def release(self, time_s: float) -> None:
        """Let go of the person: an empty picture makes VIDEO mode forget."""
        if self.holding:
            self._landmarker.find(np.full((32, 32, 3), GREY, np.uint8), time_s)
        self.holding = False

    def close(self) -> None:
        self._landmarker.close()


def clip(box: Box, image: np.ndarray) -> tuple[int, int, int, int]:
    """Return whole pixels of a box, inside the picture and at least one pixel large."""
    height, width = image.shape[:2]
    left, top = int(np.clip(box[0], 0, width - 1)), int(np.clip(box[1], 0, height - 1))
    return left, top, int(np.clip(np.ceil(box[2]), left + 1, width)), int(np.clip(np.ceil(box[3]), top + 1, height))


def _covered(image: np.ndarray, keep: Box, hide: Sequence[Box]) -> np.ndarray:
    """Return the picture in grey, but for `keep` less `hide`."""
    shown = np.full_like(image, GREY)
    left, top, right, bottom = clip(keep, image)
    shown[top:bottom, left:right] = image[top:bottom, left:right]
    for left, top, right, bottom in (clip(box, image) for box in hide):
        shown[top:bottom, left:right] = GREY
    return shown


def _whole(image: np.ndarray) -> Box:
    return 0, 0, image.shape[1], image.shape[0]


def _tiles(image: np.ndarray, parts: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield squares that cover the picture and overlap by half or more; `parts` of them fit its shorter side."""
    height, width = image.shape[:2]
    side = max(1, min(height, width) // parts)
    for top in np.linspace(0, height - side, max(1, int(np.ceil(2 * height / side)) - 1)).astype(int).tolist():
        for left in np.linspace(0, width - side, max(1, int(np.ceil(2 * width / side)) - 1)).astype(int).tolist():
            yield left, top, left + side, top + side


def _inside(box: Box, window: tuple[int, int, int, int], image: np.ndarray) -> bool:
    """Return whether `window` holds all of `box` that is in the picture."""
    left, top, right, bottom = clip(box, image)
    return left >= window[0] and top >= window[1] and right <= window[2] and bottom <= window[3]


def _largest(people: Sequence[Person]) -> Person | None:
    return max(people, key=lambda person: person.size, default=None)


def _nearest(people: Sequence[Person], head: np.ndarray, reach: float) -> Person | None:
    """Return the person whose head is nearest to `head`, None if nobody is within `reach` pixels."""
    ranked = sorted(people, key=lambda person: float(np.linalg.norm(person.head - head)))
    return ranked[0] if ranked and np.linalg.norm(ranked[0].head - head) <= reach else None


def _others(people: Sequence[Person], chosen: Person) -> list[Person]:
    """Return the people who are not `chosen`."""
    same = _nearest(people, chosen.head, 0.5 * chosen.size)
    return [person for person in people if person is not same]


class FaceFollower:
    """Chooses the largest face and follows it."""

    def __init__(self, model: Path, max_people: int) -> None:
        self._scout = Landmarker("face", model, max_people, video=False)
        self._tracker = _Tracker("face", model)
        self._last: tuple[Person, float] | None = None  # the face as last seen, and when
        self._others: list[Person] = []
        self._next_look_s = self._next_tiles_s = 0.0
        self._outgrown = 0

    def step(self, image: np.ndarray, time_s: float) -> tuple[Person | None, list[Person]]:
        """Return the followed face in the next picture (None if it is not seen), and the other faces as last seen."""
        face = self._tracker.follow(image, time_s) if self._tracker.holding else None
        rival = self._rival(image, time_s, face) if face is not None and time_s >= self._next_look_s else None
        if rival is not None:
            face = self._start(image, time_s, rival)
        elif face is None:
            face = self._choose(image, time_s)
        elif not _inside(face.around(0.9, 0.9, 0.9, 0.9), self._tracker.window, image):
            face = self._start(image, time_s, face)
        if face is not None:
            self._last = face, time_s
        return face, self._others

    def _rival(self, image: np.ndarray, time_s: float, face: Person) -> Person | None:
        """Look around; return somebody who is much larger than `face` for the second time in a row, if anybody is."""
        self._next_look_s = time_s + LOOK_S
        people = self._look(image, time_s)
        self._others = _others(people, face)
        rival = _largest(self._others)
        larger = rival is not None and rival.size > MUCH_LARGER * face.size
        self._outgrown = self._outgrown + 1 if larger else 0
        if self._outgrown < 2:
            return None
        self._others, self._outgrown = _others(people, rival), 0
        return rival

    def _choose(self, image: np.ndarray, time_s: float) -> Person | None:
        """Return the face that was lost if it is back, or the largest one if it was lost for long."""
        if self._last is not None and time_s - self._last[1] <= PATIENCE_S:
            before, gone_s = self._last[0], time_s - self._last[1]
            side = 2.5 + 2 * gone_s
            people = self._find_in(image, before.around(side, side, side, side))
            face = _nearest(people, before.head, before.size * (1 + 2 * gone_s))
        else:
            people = self._look(image, time_s)
            face = _largest(people)
        if face is None:
            return None
        self._others, self._outgrown, self._next_look_s = _others(people, face), 0, time_s + LOOK_S
        return self._start(image, time_s, face)

    def _start(self, image: np.ndarray, time_s: float, face: Person) -> Person:
        """Start the tracker on `face`: in the whole picture if it is alone and large there, else in a part of it."""
        alone = not self._others and face.size > 0.2 * max(image.shape[:2])
        window = _whole(image) if alone else face.around(2.5, 2.5, 2.5, 2.5)
        hide = [other.around(0.7, 0.7, 0.7, 0.7) for other in self._others]
        found = self._tracker.start(image, time_s, window, face.around(1, 1, 1, 1), hide)
        if found is not None and _nearest([found], face.head, 0.5 * face.size) is None:
            self._tracker.release(time_s)
            found = None
        return found or face

    def _look(self, image: np.ndarray, time_s: float) -> list[Person]:
        """Search the whole picture, then smaller and smaller parts of it: the detector overlooks small faces."""
        people = self._scout.find(image)
        if people or time_s < self._next_tiles_s:
            return people
        self._next_tiles_s = time_s + TILES_S
        for parts in (1, 2):
            for tile in _tiles(image, parts):
                for face in self._find_in(image, tile):
                    if not any(_nearest([face], other.head, 0.5 * other.size) for other in people):
                        people.append(face)
            if people:
                break
        return people

    def _find_in(self, image: np.ndarray, box: Box) -> list[Person]:
        left, top, right, bottom = clip(box, image)
        return [face.moved(left, top) for face in self._scout.find(image[top:bottom, left:right])]

    def close(self) -> None:
        """Free the models."""
        self._scout.close()
        self._tracker.close()


class BodyFollower:
    """Follows the body that belongs to the followed face; where no face is seen, the body of last time."""

    def __init__(self, model: Path, max_people: int) -> None:
        self._tracker = _Tracker("pose", model)
        self._scout: Landmarker | None = None  # most videos always show a face, and never need it
        self._scouting = model, max_people
        self._last: tuple[Person, float] | None = None  # the face, or else the body, as last seen, and when

    def step(self, image: np.ndarray, time_s: float, face: Person | None, others: Sequence[Person]) -> Person | None:
        """Return the body in the next picture, None if it is not seen."""
        if face is not None:
            self._last = face, time_s
        body = self._tracker.follow(image, time_s) if self._tracker.holding else None
        left_window = face is not None and not _inside(_reach(face, 3.5), self._tracker.window, image)
        if body is None or left_window or self._theirs([body], time_s) is None:
            body = self._with_face(image, time_s, face, others) if face is not None else self._alone(image, time_s)
        if body is not None and face is None:
            self._last = body, time_s
        return body

    def _theirs(self, bodies: Sequence[Person], time_s: float) -> Person | None:
        """Return the body whose head is where the followed person's was seen last; after a while, the largest."""
        if self._last is None or time_s - self._last[1] > PATIENCE_S:
            return _largest(bodies)
        before, seen_s = self._last
        return _nearest(bodies, before.head, before.size * (0.75 + 2 * (time_s - seen_s)))

    def _with_face(self, image: np.ndarray, time_s: float, face: Person, others: Sequence[Person]) -> Person | None:
        reach = clip(_reach(face, 5.0), image)
        large = (reach[2] - reach[0]) * (reach[3] - reach[1]) > 0.5 * image.shape[0] * image.shape[1]
        hide = [other.around(0.7, 0.7, 0.7, 0.7) for other in others]
        lane = (face.head[0] - 2.5 * face.size, 0, face.head[0] + 2.5 * face.size, image.shape[0])
        body = self._tracker.start(image, time_s, _whole(image) if large else reach, lane, hide)
        if body is not None and self._theirs([body], time_s) is None:
            self._tracker.release(time_s)
            return None
        return body

    def _alone(self, image: np.ndarray, time_s: float) -> Person | None:
        self._scout = self._scout or Landmarker("pose", *self._scouting, video=False)
        bodies = self._scout.find(image)
        chosen = self._theirs(bodies, time_s)
        if chosen is None:
            self._tracker.release(time_s)
            return None
        hide = [other.around(1, 1, 1, 1) for other in _others(bodies, chosen)]
        body = self._tracker.start(image, time_s, _whole(image), chosen.around(2.5, 5, 2.5, 9), hide)
        if body is None or _nearest([body], chosen.head, chosen.size) is None:
            self._tracker.release(time_s)
            return chosen
        return body

    def close(self) -> None:
        """Free the models."""
        if self._scout is not None:
            self._scout.close()
        self._tracker.close()


def _reach(face: Person, sizes: float) -> Box:
    """Return the box that a person's arms and trunk stay in, `sizes` heads to either side."""
    return face.around(sizes, 0.9 * sizes, sizes, 1.6 * sizes)
