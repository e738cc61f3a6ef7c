"""Miniature copies of MMEW, CAS(ME)^2, CAS(ME)^3, 4DME, DFME, MiE-X and flow folders; see `miniatures`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openpyxl import load_workbook
from PIL import Image

from tests.corpora.miniatures import Cells, frames, sheet

MMEW_HEADER = (
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "remarks",
)  # fmt: skip
MMEW_ROWS: list[Cells] = [
    (1, "S01-91-001", 1, 4, 9, "6+12L", "happiness", None),
    (1, "S01-92-001", 1, 3, 6, "R10", "disgust", "low light"),
    (30, "S30-97-001", 1, 5, 8, 18, "others", None),
]

CASME_SQUARED_ROWS: list[Cells] = [
    (1, "anger1_1", 5, 8, 12, "4+7", "negative", "macro-expression", "anger"),
    (1, "anger1_2", 14, 16, 18, 38, "others", "micro-expression", "sadness"),
    (2, "happy4_1", 3, 6, 0, "12", "positive", "macro-expression", "happiness"),
]

CASME3_HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
CASME3_ROWS: list[Cells] = [
    ("spNO.901", "b", 3, 6, 9, 4, "III", "disgust"),
    ("spNO.901", "b", 11, 13, 15, "26+25", "II", "surprise"),
    ("spNO.902", "j", 2, 4, 8, "L2+L1", "VII", "happy"),
]
CASME3_ALL_HEADER = (
    "Subject",
    "Filename",
    "Onset",
    "Apex",
    "Offset",
    "AU",
    "Expression type",
    "Objective class",
)
CASME3_ALL_ROWS: list[Cells] = [
    ("spNO.901", "B", 3, 6, 9, 4, "Micro-expression", "III"),
    ("spNO.902", "j", 2, 9, 19, "12", "Macro-expression", "I"),
]
CASME3_C_HEADER = ("sub", "count", "onset", "offset", "au", "emotion")
CASME3_C_ROWS: list[Cells] = [(1, 1, 3, 9, "4,7", "negative"), (1, 2, 11, 14, "12", "positive")]

FOURDME_HEADER = (
    "sub_ID", "fold", "fold_name", "Onset", "Apex", "Offset", "Total", "eye blink", "Positive", "Negative", "Surprise",
    "Repression", "Others", "AUs", "AU1", "AU4", "AU7", "AU12", "Emotion",
)  # fmt: skip
FOURDME_ROWS: list[Cells] = [
    ("091", 1, "091_1_1", 5, 8, 12, 8, None, None, 1, None, None, None, "AU4+AU7(k)", 0, 1, 1, 0, "Negative"),
    ("092", 1, "092_2_1", 1, 3, 6, 6, 1, 1, None, None, None, None, "AU12", 0, 0, 0, 1, "Positive"),
]

DFME_HEADER = (
    "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU",
)  # fmt: skip
DFME_ROWS: list[Cells] = [
    ("sub9003", "sub9003_01", 0, 4, 9, "happiness", 0, 200, "6+12"),
    ("sub9003", "sub9003_02", 0, 6, 11, "contempt", 6, 500, "R14+AD38"),
]
DFME_TEST_ROWS: list[Cells] = [("sub9004", "sub9004_01", 0, 3, 7, None, None, 300, None)]

MIEX = {"900001_mmew_0": "negative", "900001_mmew_1": "positive", "900002_prior_2": "surprise"}

FLOW = {
    "sub01": {"0": ["sub01_EP19_05f ", "sub01_EP09f "], "1": ["sub01_EP02_01f "]},
    "006": {"0": ["006_006_1_2 ", "006_006_5_10 "], "2": ["006_006_3_5 "]},
    "s01": {"0": ["s01_s01_ne_01 "], "1": ["s01_s01_po_01 "], "2": ["s01_s01_sur_01 "]},
}
"""Names as in the public folders: a space before the ending, no folder for a class without samples."""


def flow_picture(path: Path, size: int = 28, mode: str = "RGB") -> None:
    """A black picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size, size)).save(path)


def flow_folders(root: Path) -> Path:
    """Three subjects of three corpora."""
    for subject, classes in FLOW.items():
        for label, names in classes.items():
            for name in names:
                flow_picture(root / subject / "u_test" / label / f"{name}.png")
                for other in FLOW.keys() - {subject}:
                    flow_picture(root / other / "u_train" / label / f"{name}.png")
    return root


def mmew(root: Path, rows: Sequence[Cells] = tuple(MMEW_ROWS)) -> Path:
    """MMEW; folders are the emotions."""
    sheet(root / "MMEW_Micro_Exp.xlsx", [MMEW_HEADER, *rows])
    for _, clip, onset, _, offset, _, emotion, *_ in rows:
        frames(root / "Micro_Expression" / emotion / clip, range(onset, offset + 1), "{}.jpg")
    return root


def casme_squared(root: Path, rows: Sequence[Cells] = tuple(CASME_SQUARED_ROWS), names: bool = True) -> Path:
    """CAS(ME)^2: no header, two sheets of names, 20 frames per video and a video without an expression."""
    file = sheet(root / "CAS(ME)^2code_final.xlsx", rows, "CASFEcode_final")
    if names:
        book = load_workbook(file)
        for title, lines in (
            ("naming rule1", [(15, "s15", 1), (16, "s16", 2)]),
            ("naming rule2", [("0401", "anger1"), ("0507", "happy4")]),
        ):
            page = book.create_sheet(title)
            for line in lines:
                page.append(line)
        book.save(file)
    for video in ("s15/15_0401girlcrashing", "s15/15_0102eatingworms", "s16/16_0507climbingthewall"):
        frames(root / "rawpic" / video, range(1, 21), "img{}.jpg")
    return root


def casme3(root: Path, rows: Sequence[Cells] = tuple(CASME3_ROWS)) -> Path:
    """CAS(ME)^3, part A, the table with emotions; 20 frames per video."""
    sheet(root / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", [CASME3_HEADER, *rows], "label")
    for place in {f"{row[0]}/{row[1]}" for row in rows}:
        frames(root / "part_A" / place / "color", range(1, 21), "{}.jpg")
    return root


def casme3_c(root: Path) -> Path:
    """CAS(ME)^3, part C: one video per person."""
    sheet(root / "CAS(ME)3_part_C_ME.xlsx", [CASME3_C_HEADER, *CASME3_C_ROWS])
    frames(root / "part_C" / "01" / "a" / "color", range(1, 21), "{}.jpg")
    return root


def fourdme(root: Path, rows: Sequence[Cells] = tuple(FOURDME_ROWS)) -> Path:
    """4DME, grey videos."""
    sheet(root / "4DME_Labelling_Micro_release v1.xlsx", [FOURDME_HEADER, *rows])
    for subject, _, clip, onset, _, offset, *_ in rows:
        frames(root / "gray_micro" / subject / clip, range(onset, offset + 1), "{:03d}.jpg")
    return root


def dfme(root: Path) -> Path:
    """DFME: a training and a test list."""
    for name, rows in (("train", DFME_ROWS), ("testA", DFME_TEST_ROWS)):
        sheet(root / f"DFME_{name}.xlsx", [DFME_HEADER, *rows])
        for _, clip, onset, _, offset, *_ in rows:
            frames(root / name / clip, range(onset, offset + 1), "{}.jpg")
    return root


def miex(root: Path) -> Path:
    """MiE-X as EquiME has it, pairs 0 and 1 that differ."""
    for name in MIEX:
        frames(root / name, [0], "{}.png")
        flow_picture(root / name / "1.png", 6)
    return root
