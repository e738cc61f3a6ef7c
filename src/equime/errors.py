"""Errors a user can act on, and the exit code each one ends a command with.

Every message names the object (file, option, record), the value that was wrong, what is allowed, and the
next step. Exit codes: 0 ok, 1 work failed, 2 usage or input, 3 something missing that can be installed or
downloaded.
"""

from __future__ import annotations


class EquimeError(Exception):
    """Base of every error that equime raises on purpose."""

    exit_code = 1


class InputError(EquimeError, ValueError):
    """An option, file or record that the user gave is wrong."""

    exit_code = 2


class WorkError(EquimeError, RuntimeError):
    """The input was fine and the work failed: full disk, broken file, another process."""

    exit_code = 1


class MissingError(EquimeError, LookupError):
    """Something that can be installed or downloaded is not there."""

    exit_code = 3
