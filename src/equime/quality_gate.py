"""Which clips of a Dataset passed its quality gate: the marks that `equime filter` left, for whoever reads.

The marks are a table like any other (``tables/quality_gate.parquet``, keyed by ``clip_id``); no clip and no
record is touched. Exporters and training read `Dataset.selected`, which leaves out what failed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from equime.errors import WorkError

TABLE: Final = "quality_gate"
PATH: Final = f"tables/{TABLE}.parquet"
MARK_ONLY_KEY: Final = b"equime.mark_only"
"""Schema metadata: b"1" where failed clips stay in the exports, marked."""


class Marks:
    """The marks of one Dataset.

    Attributes:
        passes: clip_id to whether the clip passed; clips that were not judged are missing.
        mark_only: whether failed clips stay in exports.
    """

    def __init__(self, passes: dict[str, bool], mark_only: bool) -> None:
        self.passes, self.mark_only = passes, mark_only

    def leaves_out(self, clip_id: str) -> bool:
        """Whether exporters and training leave the clip out by default. A clip not judged stays in."""
        return not self.mark_only and self.passes.get(clip_id) is False


def read_marks(root: Path) -> Marks | None:
    """The marks of a Dataset; None where no gate was applied.

    Raises:
        WorkError: the table cannot be read.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415

    path = root / PATH
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path, columns=["clip_id", "passes"])
    except Exception as error:
        raise WorkError(f"{path}: unreadable ({error}); delete it and run `equime filter` again") from error
    passes = dict(zip(table["clip_id"].to_pylist(), table["passes"].to_pylist(), strict=True))
    return Marks(passes, (table.schema.metadata or {}).get(MARK_ONLY_KEY) == b"1")
