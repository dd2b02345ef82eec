"""It fails the second time, as commands that fill an empty database do."""

import sys
from pathlib import Path

seeded = Path.home() / "seeded"
if seeded.exists():
    sys.exit("seeded already")
seeded.touch()
