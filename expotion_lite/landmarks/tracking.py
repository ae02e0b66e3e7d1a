"""Choice of one person in a video, and tracking of their face and body from frame to frame.

MediaPipe's VIDEO mode tracks the person that it found first, even if others are in the picture. So each follower here
runs two landmarkers. A scout in IMAGE mode finds everybody in single pictures, and the follower chooses one of them.
A tracker in VIDEO mode is then started on that person alone. It is restarted when it loses the person, when the person
leaves its window of the picture, or when it turns out to track somebody else.

`FaceFollower` follows the largest face, `BodyFollower` the body that belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TypeAlias

import numpy as np

from .landmarker import Box, Landmarker, Person, muted
from .model_files import ModelKind

Window: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom; whole pixels inside the picture

LOST_AFTER_S = 1.0  # a person who is not seen for longer is given up, and another one may be chosen
SEARCH_EVERY_S = 1.0  # interval between searches of the whole picture for somebody larger
TILES_EVERY_S = 0.25  # smallest interval between searches for small faces in parts of the picture
TAKEOVER_SIZE = 1.5  # somebody this many times as large, in two searches in a row, is followed instead
GREY = 128  # fills what the tracker must not see


class _Tracker:
    """Landmarker in VIDEO mode that tracks one person inside a window of the picture."""

    def __init__(self, kind: ModelKind, model: Path) -> None:
        self._landmarker = Landmarker(kind, model, 1, video=True)
        self._prints = kind == "pose"  # the pose model prints a message when it first finds a body
        self.window: Window = (0, 0, 1, 1)
        self.holding = False

    def follow(self, image: np.ndarray, time_s: float) -> Person | None:
        """Return the person in the next picture; None if they are lost."""
        left, top, right, bottom = self.window
        found = self._landmarker.find(image[top:bottom, left:right], time_s)
        self.holding = bool(found)
        return found[0].moved(left, top) if found else None

    def start(self, image: np.ndarray, time_s: float, window: Box, keep: Box, hide: Sequence[Box]) -> Person | None:
        """Search for the person in `window`; if there are others to `hide`, cover everything but `keep` in grey."""
        self.release(time_s)
        self.window = clip(window, image)
        if hide:
            image = _cover(image, keep, hide)
        with muted() if self._prints else nullcontext():
            self._prints = False
            return self.follow(image, time_s)

    def release(self, time_s: float) -> None:
        """Forget the person: VIDEO mode does so when it is given an empty picture."""
        if self.holding:
            self._landmarker.find(np.full((32, 32, 3), GREY, np.uint8), time_s)
        self.holding = False

    def close(self) -> None:
        self._landmarker.close()


def clip(box: Box, image: np.ndarray) -> Window:
    """Round a box to whole pixels inside the picture, at least one pixel large."""
    height, width = image.shape[:2]
    left, top = int(np.clip(box[0], 0, width - 1)), int(np.clip(box[1], 0, height - 1))
    return left, top, int(np.clip(np.ceil(box[2]), left + 1, width)), int(np.clip(np.ceil(box[3]), top + 1, height))


def _cover(image: np.ndarray, keep: Box, hide: Sequence[Box]) -> np.ndarray:
    """Return a copy of the picture that is grey outside the box `keep` and inside the boxes `hide`."""
    shown = np.full_like(image, GREY)
    left, top, right, bottom = clip(keep, image)
    shown[top:bottom, left:right] = image[top:bottom, left:right]
    for left, top, right, bottom in (clip(box, image) for box in hide):
        shown[top:bottom, left:right] = GREY
    return shown


def _full_window(image: np.ndarray) -> Window:
    return 0, 0, image.shape[1], image.shape[0]


def _tiles(image: np.ndarray, parts: int) -> Iterator[Window]:
    """Yield squares that cover the picture and overlap by half or more; `parts` of them fit its shorter side."""
    height, width = image.shape[:2]
    side = max(1, min(height, width) // parts)
    for top in np.linspace(0, height - side, max(1, int(np.ceil(2 * height / side)) - 1)).astype(int).tolist():
        for left in np.linspace(0, width - side, max(1, int(np.ceil(2 * width / side)) - 1)).astype(int).tolist():
            yield left, top, left + side, top + side


def _inside(box: Box, window: Window, image: np.ndarray) -> bool:
    """Return whether `window` contains all of `box` that lies in the picture."""
    left, top, right, bottom = clip(box, image)
    return left >= window[0] and top >= window[1] and right <= window[2] and bottom <= window[3]


def _largest(people: Sequence[Person]) -> Person | None:
    return max(people, key=lambda person: person.size, default=None)


def _nearest(people: Sequence[Person], head: np.ndarray, reach: float) -> Person | None:
    """Return the person whose head is nearest to `head`; None if nobody is within `reach` pixels."""
    ranked = sorted(people, key=lambda person: float(np.linalg.norm(person.head - head)))
    return ranked[0] if ranked and np.linalg.norm(ranked[0].head - head) <= reach else None


def _others(people: Sequence[Person], chosen: Person) -> list[Person]:
    """Return the people other than `chosen`, who is recognised by the place of the head."""
    same = _nearest(people, chosen.head, 0.5 * chosen.size)
    return [person for person in people if person is not same]


class FaceFollower:
    """Chooses the largest face in a video and follows it.

    Args:
        model: MediaPipe's face model.
        max_people: the most people to choose from in one picture.
    """

    def __init__(self, model: Path, max_people: int) -> None:
        self._scout = Landmarker("face", model, max_people, video=False)
        self._tracker = _Tracker("face", model)
        self._last: tuple[Person, float] | None = None  # the face as last seen, and when
        self._others: list[Person] = []
        self._next_search_s = self._next_tiles_s = 0.0
        self._takeover_votes = 0  # searches in a row that found somebody much larger

    def step(self, image: np.ndarray, time_s: float) -> tuple[Person | None, list[Person]]:
        """Find the followed face in the next picture.

        Args:
            image: (h, w, 3) uint8 RGB.
            time_s: seconds.

        Returns:
            The face (None if it is not seen), and the other faces as last seen.
        """
        face = self._tracker.follow(image, time_s) if self._tracker.holding else None
        search_due = time_s >= self._next_search_s
        larger = self._find_larger(image, time_s, face) if face is not None and search_due else None
        if larger is not None:
            face = self._start(image, time_s, larger)
        elif face is None:
            face = self._choose(image, time_s)
        elif not _inside(face.around(0.9, 0.9, 0.9, 0.9), self._tracker.window, image):
            face = self._start(image, time_s, face)
        if face is not None:
            self._last = face, time_s
        return face, self._others

    def _find_larger(self, image: np.ndarray, time_s: float, face: Person) -> Person | None:
        """Search the picture; return somebody much larger than `face` if two searches in a row found one."""
        self._next_search_s = time_s + SEARCH_EVERY_S
        people = self._search(image, time_s)
        self._others = _others(people, face)
        largest = _largest(self._others)
        if largest is None or largest.size <= TAKEOVER_SIZE * face.size:
            self._takeover_votes = 0
            return None
        self._takeover_votes += 1
        if self._takeover_votes < 2:
            return None
        self._others, self._takeover_votes = _others(people, largest), 0
        return largest

    def _choose(self, image: np.ndarray, time_s: float) -> Person | None:
        """Return the lost face if it is back near its last place; after `LOST_AFTER_S`, return the largest face."""
        if self._last is not None and time_s - self._last[1] <= LOST_AFTER_S:
            before, lost_s = self._last[0], time_s - self._last[1]
            side = 2.5 + 2 * lost_s
            people = self._find_in(image, before.around(side, side, side, side))
            face = _nearest(people, before.head, before.size * (1 + 2 * lost_s))
        else:
            people = self._search(image, time_s)
            face = _largest(people)
        if face is None:
            return None
        self._others, self._takeover_votes = _others(people, face), 0
        self._next_search_s = time_s + SEARCH_EVERY_S
        return self._start(image, time_s, face)

    def _start(self, image: np.ndarray, time_s: float, face: Person) -> Person:
        """Start the tracker on `face`, in the full picture if the face is alone and large, else in a window of it."""
        alone = not self._others and face.size > 0.2 * max(image.shape[:2])
        window = _full_window(image) if alone else face.around(2.5, 2.5, 2.5, 2.5)
        hide = [other.around(0.7, 0.7, 0.7, 0.7) for other in self._others]
        found = self._tracker.start(image, time_s, window, face.around(1, 1, 1, 1), hide)
        if found is not None and _nearest([found], face.head, 0.5 * face.size) is None:
            self._tracker.release(time_s)
            found = None
        return found or face

    def _search(self, image: np.ndarray, time_s: float) -> list[Person]:
        """Search the full picture, then smaller and smaller tiles of it, because the detector misses small faces."""
        people = self._scout.find(image)
        if people or time_s < self._next_tiles_s:
            return people
        self._next_tiles_s = time_s + TILES_EVERY_S
        for parts in (1, 2):
            for tile in _tiles(image, parts):
                for face in self._find_in(image, tile):
                    if not any(_nearest([face], other.head, 0.5 * other.size) for other in people):
                        people.append(face)
            if people:
                break
        return people

    def _find_in(self, image: np.ndarray, box: Box) -> list[Person]:
        """Search the part of the picture inside a box."""
        left, top, right, bottom = clip(box, image)
        return [face.moved(left, top) for face in self._scout.find(image[top:bottom, left:right])]

    def close(self) -> None:
        """Free the models."""
        self._scout.close()
        self._tracker.close()


class BodyFollower:
    """Follows the body that belongs to the followed face, or the last body while no face is seen.

    Args:
        model: MediaPipe's pose model.
        max_people: the most people to choose from in one picture.
    """

    def __init__(self, model: Path, max_people: int) -> None:
        self._tracker = _Tracker("pose", model)
        self._scout: Landmarker | None = None  # made when first needed: most videos show a face in every frame
        self._scout_options = model, max_people
        self._last: tuple[Person, float] | None = None  # the face, or else the body, as last seen, and when

    def step(self, image: np.ndarray, time_s: float, face: Person | None, others: Sequence[Person]) -> Person | None:
        """Find the followed body in the next picture.

        Args:
            image: (h, w, 3) uint8 RGB.
            time_s: seconds.
            face: the followed face in this picture, None if it is not seen.
            others: faces of other people, who are hidden from the tracker.

        Returns:
            The body, None if it is not seen.
        """
        if face is not None:
            self._last = face, time_s
        body = self._tracker.follow(image, time_s) if self._tracker.holding else None
        left_window = face is not None and not _inside(_reach(face, 3.5), self._tracker.window, image)
        if body is None or left_window or self._matching([body], time_s) is None:
            if face is not None:
                body = self._find_below(image, time_s, face, others)
            else:
                body = self._find_alone(image, time_s)
        if body is not None and face is None:
            self._last = body, time_s
        return body

    def _matching(self, bodies: Sequence[Person], time_s: float) -> Person | None:
        """Return the body whose head is where the person's was last seen; after `LOST_AFTER_S`, the largest body."""
        if self._last is None or time_s - self._last[1] > LOST_AFTER_S:
            return _largest(bodies)
        before, seen_s = self._last
        return _nearest(bodies, before.head, before.size * (0.75 + 2 * (time_s - seen_s)))

    def _find_below(self, image: np.ndarray, time_s: float, face: Person, others: Sequence[Person]) -> Person | None:
        """Start the tracker on the body below `face`, with the faces of others hidden."""
        reach = clip(_reach(face, 5.0), image)
        large = (reach[2] - reach[0]) * (reach[3] - reach[1]) > 0.5 * image.shape[0] * image.shape[1]
        hide = [other.around(0.7, 0.7, 0.7, 0.7) for other in others]
        lane = (face.head[0] - 2.5 * face.size, 0, face.head[0] + 2.5 * face.size, image.shape[0])
        body = self._tracker.start(image, time_s, _full_window(image) if large else reach, lane, hide)
        if body is not None and self._matching([body], time_s) is None:
            self._tracker.release(time_s)
            return None
        return body

    def _find_alone(self, image: np.ndarray, time_s: float) -> Person | None:
        """Start the tracker on the body that was followed before, without a face to go by."""
        self._scout = self._scout or Landmarker("pose", *self._scout_options, video=False)
        bodies = self._scout.find(image)
        chosen = self._matching(bodies, time_s)
        if chosen is None:
            self._tracker.release(time_s)
            return None
        hide = [other.around(1, 1, 1, 1) for other in _others(bodies, chosen)]
        body = self._tracker.start(image, time_s, _full_window(image), chosen.around(2.5, 5, 2.5, 9), hide)
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
    """Return the box that contains a person's arms and trunk, `sizes` head sizes to either side."""
    return face.around(sizes, 0.9 * sizes, sizes, 1.6 * sizes)
