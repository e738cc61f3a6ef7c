"""The measurement tables of a data set, joined by clip for an audit; what cannot be joined is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from equime.errors import WorkError
from equime.evaluation_framework.audit.data import Finding

if TYPE_CHECKING:
    import pandas as pd

KEYS: Final = ("clip_id", "input_digest", "annotator_version", "notes")
NOTES: Final = (
    "no_face", "frames_without_face", "several_faces", "grey_picture", "little_skin", "not_skin_coloured",
)  # fmt: skip
"""Notes of annotators that limit what is known of who is in a clip."""

_MEANINGS: Final = {
    "no_face": "no face was found in the frames that were looked at, so nothing was measured; look at the clips",
    "frames_without_face": "some of the frames that were looked at show no face; look at the clips",
    "several_faces": "several faces were found; the largest was measured; look at the clips",
    "grey_picture": "grey pictures, which have no skin colour; skin tone is unknown there",
    "little_skin": "too little skin was visible for a skin tone; it is unknown there",
    "not_skin_coloured": "the colours are not those of skin (an illustration, coloured light); skin tone is unknown there",
}


def table_names(root: Path) -> list[str]:
    """Names of the tables that lie in a data set."""
    return sorted(path.stem for path in (root / "tables").glob("*.parquet"))


def read_table(
    root: Path, name: str, digests: Mapping[str, str], findings: list[Finding]
) -> pd.DataFrame | None:
    """A table, one row per clip of the data set that it has a current row of; None where there is no table.

    Args:
        root: the data set.
        name: of the table.
        digests: clip_id to the digest of its present content.
        findings: gets what was left out: rows of clips that are not in the data set, rows of another content.

    Raises:
        WorkError: the file cannot be read.
    """
    import pandas as pd  # noqa: PLC0415

    path = root / "tables" / f"{name}.parquet"
    if not path.is_file():
        return None
    try:
        table: pd.DataFrame = pd.read_parquet(path)
    except Exception as error:
        raise WorkError(f"{path}: unreadable table ({error}); delete it and make it again") from error
    if "clip_id" not in table:
        raise WorkError(f"{path}: has no column clip_id; delete it and make it again")
    known = table["clip_id"].isin(list(digests))
    if n := int((~known).sum()):
        text = f"tables/{name}.parquet has rows of clips that are not in the data set; they were left out"
        findings.append(Finding(code="unknown_clip", message=text, n=n))
    table = table[known]
    if "input_digest" in table:
        fresh = table["input_digest"] == table["clip_id"].map(dict(digests))
        if n := int((~fresh).sum()):
            text = f"tables/{name}.parquet has rows of clips whose file has changed since; measure them again"
            findings.append(Finding(code="stale_row", message=text, n=n))
        table = table[fresh]
    findings += _notes(table, name)
    return table.drop_duplicates("clip_id", keep="last").drop(
        columns=[key for key in KEYS[1:] if key in table]
    )


def _notes(table: pd.DataFrame, name: str) -> Iterator[Finding]:
    """What an annotator noted of clips, counted."""
    import json  # noqa: PLC0415

    if "notes" not in table:
        return
    counts = Counter(
        code for text in table["notes"] if text and text != "[]" for code in {c for c, _ in json.loads(text)}
    )
    for code in NOTES:
        if counts[code]:
            yield Finding(code=code, message=f"{name}: {_MEANINGS[code]}", n=counts[code])
