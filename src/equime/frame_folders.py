"""Folders of numbered images, and what the paths of the known corpora say of a clip.

A frame folder directly holds two or more images whose names share a prefix and an ending and differ in the
number before the ending (``img46.jpg``, ``reg_img46.jpg``, ``006_05562.jpg``, ``175.jpg``). They are ordered by
that number. Any other image in the folder is a stray and is left alone.

The corpora's layouts are those of their releases: CASME II (Yan et al. 2014), SAMM (Davison et al. 2018), SMIC
(Li et al. 2013), MMEW (Ben et al. 2022), CAS(ME)^3 (Li et al. 2023).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from equime.action_units import EMOTIONS

IMAGE_ENDINGS: Final = frozenset({"jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp", "pgm", "ppm"})

CORPUS_EMOTIONS: Final = (*EMOTIONS, "negative", "positive", "others", "repression")
"""Names of folders that are taken for an emotion: equime's, and the coarse or further classes of the corpora."""

_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>[0-9]+)\.(?P<ending>[^.]+)", re.DOTALL)


@dataclass(frozen=True)
class Series:
    """Numbered images of one folder.

    Attributes:
        prefix: what their names start with; "" where they are numbers only.
        ending: lower case, without the dot.
        names: of the files, by number.
        numbers: of the files, ascending; a number twice where two files share it (``1.jpg``, ``01.jpg``).
    """

    prefix: str
    ending: str
    names: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def pattern(self) -> str:
        """The names with ``#`` for the number."""
        return f"{self.prefix}#.{self.ending}"

    def missing(self) -> list[tuple[int, int]]:
        """Runs of numbers that are not there, (first, last) of each."""
        pairs = zip(self.numbers, self.numbers[1:], strict=False)
        return [(a + 1, b - 1) for a, b in pairs if b > a + 1]


def is_image(name: str) -> bool:
    """Whether a file's name ends like an image's."""
    return name.rpartition(".")[2].lower() in IMAGE_ENDINGS and not name.startswith(".")


def series_in(names: Iterable[str]) -> list[Series]:
    """Every series of two or more images among the names of one folder, the longest first."""
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name) if is_image(name) else None
        if match:
            key = match["prefix"], match["ending"].lower()
            groups.setdefault(key, []).append((int(match["number"]), name))
    found = []
    for (prefix, ending), members in groups.items():
        if len(members) > 1:
            numbers, ordered = zip(*sorted(members), strict=True)
            found.append(Series(prefix, ending, ordered, numbers))
    return sorted(found, key=lambda s: (-len(s.names), s.pattern))


def spelled(runs: Sequence[tuple[int, int]], at_most: int = 5) -> str:
    """Runs of numbers for a person: "47, 50 to 53 and 2 more runs"."""
    shown = [str(a) if a == b else f"{a} to {b}" for a, b in runs[:at_most]]
    left = len(runs) - len(shown)
    return ", ".join(shown) + (f" and {left} more run{'s' * (left > 1)}" if left else "")


@dataclass(frozen=True)
class Labels:
    """What a path says of a clip; None for what it does not say."""

    subject_id: str | None = None
    emotion: str | None = None
    fps: float | None = None


_EMOTION = "|".join(CORPUS_EMOTIONS)
_CORPORA: Final = (
    # CASME II: sub01/EP02_01f/img46.jpg, cropped: reg_img46.jpg
    (200.0, r"(?P<subject>sub\d\d)/EP\d+_\d+f?/(reg_)?img\d+\.\w+"),
    # SAMM: 006/006_1_2/006_05562.jpg
    (200.0, r"(?P<subject>\d{3})/(?P=subject)_\d+_\d+/(?P=subject)_\d+\.\w+"),
    # SMIC: HS/s01/micro/negative/s1_ne_01/image090823.jpg; the other two cameras run at 25 fps
    (100.0, r"HS/(?P<subject>s\d+)/([^/]+/)*s\d+_[a-z]+_\d+/(reg_)?image\d+\.\w+"),
    (25.0, r"(VIS|NIR)/(?P<subject>s\d+)/([^/]+/)*s\d+_[a-z]+_\d+/(reg_)?image\d+\.\w+"),
    # MMEW: Micro_Expression/happiness/<clip>/1.jpg; the clip's name starts with the subject (S01-12-001)
    (90.0, rf"Micro_Expression/({_EMOTION})/((?P<subject>S\d+)-\d+-\d+|[^/]+)/\d+\.\w+"),
    # CAS(ME)^3, part A: spNO.1/a/color/175.jpg
    (30.0, r"(?P<subject>spNO\.\d+)/[^/]+/color/\d+\.\w+"),
)
_LAYOUTS: Final = tuple((fps, re.compile(rf"(?:.*/){tail}", re.DOTALL | re.ASCII)) for fps, tail in _CORPORA)

_SUBJECT_FOLDER = re.compile(r"sub[0-9]+|spNO\.[0-9]+|s[0-9]+", re.IGNORECASE)
_SUBJECT_IN_NAME = (
    re.compile(r"[mfu]_(?P<subject>.+)_[0-9]{3,}"),  # equime, EquiME
    re.compile(r"(?P<subject>sub[0-9]{4})_[0-9]+"),  # DFME
    re.compile(r"(?P<subject>s[0-9]+)_(ne|po|sur)_[0-9]+"),  # SMIC
    re.compile(r"(?P<subject>[0-9]{3})_[0-9]_[0-9]{1,2}"),  # SAMM
)


def labels(folders: Sequence[str], name: str, whole: str = "", first_image: str = "") -> Labels:
    """Subject, emotion and frame rate, as far as the path says them.

    * ``whole`` in a corpus' layout: its subject, and its frame rate.
    * else the subject is the outermost folder called ``sub<n>``, ``s<n>`` or ``spNO.<n>``, or is part of the
      clip's name as equime (``<m|f|u>_<subject>_<seq>``), DFME, SMIC or SAMM write it. No other name is taken
      for a subject.
    * the emotion is the innermost folder called as one of `CORPUS_EMOTIONS`, in any case.

    Args:
        folders: names of the folders between the place that was asked for and the clip, outermost first.
        name: of the clip: a folder, or a file without its ending.
        whole: absolute path of a frame folder, forward slashes; "" for a video.
        first_image: name of its first image.
    """
    emotions = [f.lower() for f in folders if f.lower() in CORPUS_EMOTIONS]
    emotion = emotions[-1] if emotions else None
    matches = ((fps, layout.fullmatch(f"{whole}/{first_image}")) for fps, layout in _LAYOUTS)
    corpus = next(((fps, match) for fps, match in matches if match), None) if whole else None
    if corpus and corpus[1]["subject"]:
        return Labels(corpus[1]["subject"], emotion, corpus[0])
    return Labels(_subject(folders, name), emotion, corpus[0] if corpus else None)


def _subject(folders: Sequence[str], name: str) -> str | None:
    for folder in folders:
        if _SUBJECT_FOLDER.fullmatch(folder):
            return folder
    for pattern in _SUBJECT_IN_NAME:
        match = pattern.fullmatch(name)
        if match:
            return match["subject"]
    return None
