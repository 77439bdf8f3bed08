"""`python -m bin.commands`: what bin/runner starts."""

from __future__ import annotations

import sys

from bin.commands.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
