"""Miniature copies of the corpora in their published layouts: invented rows, frames of a few pixels.

Nothing here is taken from a corpus but the names of files, sheets and columns.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from openpyxl import Workbook
from PIL import Image

Cells = Sequence[Any]

CASME2_HEADER = (
    "Subject",
    "Filename",
    None,
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    None,
    "Action Units",
    "Estimated Emotion",
)
CASME2_ROWS: list[Cells] = [
    (1, "EP90_01f", None, 46, 50, 54, None, "4+L10", "disgust"),
    (1, "EP90_02", None, 20, "/", 26, None, 12, "happiness"),
    (2, "EP91_01", None, 101, 104, 110, None, "1+2", "surprise"),
    (26, "EP92_07f", None, 5, 7, 9, None, "15 or 17", "others"),
]

CASME_HEADER = (
    "Subject",
    "Filename",
    None,
    "OnsetF",
    "ApexF1",
    "ApexF2",
    "OffsetF",
    None,
    "AU",
    "Emotion",
)
CASME_ROWS: list[Cells] = [
    (1, "EP01_95", None, 12, 15, 0, 18, None, "4", "tense"),
    (7, "EP03_97", None, 101, 104, 106, 110, None, "12+L14", "happiness"),
]

SAMM_HEADER = (
    "Subject",
    "Filename",
    "Inducement Code",
    "Onset Frame",
    "Apex Frame",
    "Offset Frame",
    "Duration",
    "Micro",
    "Action Units",
    "Estimated Emotion",
    "Objective Classes",
    "Notes",
)
SAMM_ROWS: list[Cells] = [
    ("006", "006_8_1", 8, 5562, 5565, 5570, 9, "Micro - 1/2", "R12B", "Happiness", 1, None),
    (38, "038_9_4", 9, 120, -1, 128, 9, "Micro", "L14A+R14A", "Contempt", 7, "Eyes closed"),
    ("038", "038_9_5", 9, 300, 304, 309, 10, "Micro", "4 or 7", "Other", 7, None),
]

SAMM_LONG_HEADER = (
    "Subject",
    "Filename",
    "Inducement Code",
    "Onset",
    "Apex",
    "Offset",
    "Duration",
    "Type",
    "Action Units",
    "Notes",
)
SAMM_LONG_ROWS: list[Cells] = [
    ("006", "006_1_1", 1, 3, 6, 9, 7, "Micro - 1/2", "12A", None),
    (6, "006_1_2", 1, 12, 15, 0, -1, "Macro", "6+12", "goes on"),
    ("007", "007_2_1", 2, 2, -1, 8, 7, "Macro", "4", None),
]

SMIC_CLIPS = {
    "s01/micro/negative/s1_ne_01": (90823, 90829),
    "s01/micro/positive/s1_po_03": (101, 108),
    "s12/micro/surprise/s12_sur_02": (1000, 1004),
}


@functools.cache
def picture(ending: str) -> bytes:
    """A grey image of 6 by 6 px."""
    pixels = np.random.default_rng(0).integers(0, 255, (6, 6), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, {"jpg": "JPEG", "bmp": "BMP", "png": "PNG"}[ending])
    return out.getvalue()


def frames(folder: Path, numbers: Iterable[int], pattern: str = "img{}.jpg") -> Path:
    """Numbered images."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / pattern.format(number)).write_bytes(picture(pattern.rpartition(".")[2]))
    return folder


def sheet(path: Path, rows: Iterable[Cells], title: str = "Sheet1", preamble: int = 0) -> Path:
    """An Excel file, ``preamble`` rows of text above the header."""
    book = Workbook()
    page = book.active
    page.title = title
    for i in range(preamble):
        page.append([f"remark {i}"])
    for row in rows:
        page.append(list(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def casme2(
    root: Path,
    rows: Sequence[Cells] = tuple(CASME2_ROWS),
    base: str = "CASME2_RAW_selected",
    name: str = "img{}.jpg",
) -> Path:
    """CASME II with frames from onset to offset."""
    sheet(root / "CASME2-coding-20140508.xlsx", [CASME2_HEADER, *rows])
    for subject, clip, _, onset, _, offset, *_ in rows:
        frames(root / base / f"sub{subject:02d}" / clip, range(onset, offset + 1), name)
    return root


def casme(root: Path, rows: Sequence[Cells] = tuple(CASME_ROWS)) -> Path:
    """CASME; its frames are called after the clip."""
    sheet(root / "casme.xlsx", [CASME_HEADER, *rows])
    for subject, clip, _, onset, _, _, offset, *_ in rows:
        folder = root / "CASME_raw_selected" / f"sub{subject:02d}" / clip
        frames(folder, range(onset, offset + 1), clip + "-{:03d}.jpg")
    return root


def samm(root: Path, rows: Sequence[Cells] = tuple(SAMM_ROWS)) -> Path:
    """SAMM; header in row 14."""
    sheet(root / "SAMM_Micro_FACS_Codes_v2.xlsx", [SAMM_HEADER, *rows], "MICRO_ONLY", preamble=13)
    for subject, clip, _, onset, _, offset, *_ in rows:
        number = str(subject).zfill(3)
        frames(root / "SAMM" / number / clip, range(onset, offset + 1), number + "_{:05d}.jpg")
    return root


def samm_long(root: Path, rows: Sequence[Cells] = tuple(SAMM_LONG_ROWS), n: int = 20) -> Path:
    """SAMM Long Videos; header in row 10, ``n`` frames per video."""
    sheet(root / "SAMM_LongVideos_V3_Release.xlsx", [SAMM_LONG_HEADER, *rows], preamble=9)
    for video in {"_".join(row[1].split("_")[:2]) for row in rows}:
        frames(root / "SAMM_longvideos" / video, range(1, n + 1), video + "_{:04d}.jpg")
    return root


def smic(root: Path, camera: str = "HS", name: str = "image{:06d}.jpg") -> Path:
    """SMIC; folders are the labels."""
    for place, (first, last) in SMIC_CLIPS.items():
        frames(root / "SMIC_all_raw" / camera / place, range(first, last + 1), name)
    return root


def codes(findings: Iterable[Any]) -> dict[str, int]:
    """Findings by code: number of clips."""
    return {finding.code: finding.n for finding in findings}
