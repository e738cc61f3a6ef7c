"""``python -m equime.cli``."""

from equime.cli import main

main()
