"""`equime evaluate`: measure, compare with a reference set, hand over to the report.

The report always goes to DIR; where the tables go is said in `equime.annotation.run`.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from equime.annotation.choice import choose
from equime.annotation.measurement import Measurement
from equime.annotation.run import Options, measure_set
from equime.errors import InputError
from equime.evaluation_framework.evaluation import Evaluation
from equime.progress import Progress, Silent

__all__ = ["Options", "default_folder", "evaluate"]


def evaluate(
    path: str | Path,
    out: str | Path | None = None,
    *,
    options: Options | None = None,
    against: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure clips, and compare them with a reference set.

    Args:
        path: an equime data set, a video, a folder of videos, or frame folders of a corpus.
        out: DIR, for the tables of anything but a data set, and for the report; may be None for a data set.
        options: how to measure.
        against: a reference set of the same kinds; measured too, its tables in itself or in ``DIR/reference``.
        progress: is told how it goes.

    Raises:
        InputError: nothing to measure, an unknown metric, or no DIR for a folder that is not equime's.
        WorkError: the disk refuses, or another process evaluates the same.
    """
    options, progress = options or Options(), progress or Silent()
    choice = choose(options.metrics)
    own = measure_set(Path(path), None if out is None else Path(out), choice, options, progress)
    if against is None:
        return _evaluation(own)
    if Path(against).resolve() == Path(path).resolve():
        raise InputError(f"{against}: is the set itself; give another one as --against")
    folder = (Path(out) if out is not None else default_folder(Path(path))) / "reference"
    reference = measure_set(Path(against), folder, choice, options, progress)
    return _compared(own, reference, str(against))


def default_folder(path: Path) -> Path:
    """Where the report of a data set goes when nobody says."""
    return path / "reports" / "evaluation"


def _evaluation(measured: Measurement) -> Evaluation:
    return Evaluation(**{field.name: getattr(measured, field.name) for field in fields(measured)})


def _compared(own: Measurement, reference: Measurement, path: str) -> Evaluation:
    from equime.evaluation_framework.comparison import compare_sets  # noqa: PLC0415

    comparison = compare_sets(own.clips, reference.clips)
    return replace(_evaluation(own), comparison=comparison, reference_path=path)
