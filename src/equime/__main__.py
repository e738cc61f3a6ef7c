"""``python -m equime``."""

from equime.cli import main

main()
