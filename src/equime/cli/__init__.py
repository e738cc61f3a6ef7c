"""The command line. Results go to standard output, progress and errors to standard error.

Exit codes: 0 ok, 1 work failed, 2 usage or input, 3 something missing that can be installed, 130 Ctrl-C.
"""

from equime.cli.app import main

__all__ = ["main"]
