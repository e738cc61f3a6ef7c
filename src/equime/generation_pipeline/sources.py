"""Where faces come from: a folder, one image, a table or CelebA-HQ."""

from __future__ import annotations

from pathlib import Path

from equime.types import Declared, Record, Rejection


class FaceSource(Record):
    """One image to look at, with what its source declares.

    Attributes:
        path: the image as recorded: relative to the faces root where inside, else absolute.
        file: absolute path to read now.
        subject_id: identity, as declared or derived from the file's name.
        declared: attributes that the source declares.
        licence: of the image; "unknown" where nobody said.
        source: name of the face source.
    """

    path: str
    file: str
    subject_id: str
    declared: Declared
    licence: str
    source: str


def find_faces(faces: Path, *, licence: str | None = None) -> tuple[list[FaceSource], list[Rejection]]:
    """Images of a source, sorted, and what was turned away before looking at pixels."""
    raise NotImplementedError
