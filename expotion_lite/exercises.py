"""What stands at the end of an exercise's cell in the lessons."""

from __future__ import annotations

from collections.abc import Callable

from .errors import ExpotionError


def check(answer: object, reached: Callable[[], bool]) -> None:
    """Say whether an exercise's target is reached.

    Args:
        answer: what was worked out, or a tuple of it; where dots (`...`) are left, only that is said.
        reached: asked whether it is right.

    Raises:
        AssertionError: the target is not reached, or the answer has another form.

    Example:
        >>> answer = ...
        >>> check(answer, lambda: answer == 42)
        Not tried yet: put your answer in the place of the dots, and run this cell again.
        >>> answer = 42
        >>> check(answer, lambda: answer == 42)
        The target is reached.

    Notebook: notebooks/00_start_here
    """
    if any(part is ... for part in (answer if isinstance(answer, tuple) else (answer,))):
        print("Not tried yet: put your answer in the place of the dots, and run this cell again.")
        return
    try:
        right = reached()
    except ExpotionError as error:
        raise AssertionError(f"Not there yet: {error}") from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise AssertionError(f"This answer has another form than is asked for beside the dots ({error}).") from error
    if not right:
        raise AssertionError("Not there yet: this answer misses the target that stands above the cell.")
    print("The target is reached.")
