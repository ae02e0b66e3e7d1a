"""Entry point of `python -m expotion_lite.evaluation`: the report on how well music follows a person."""

import sys

from .following import main

if __name__ == "__main__":
    sys.exit(main())
