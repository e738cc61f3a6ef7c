"""`equime audit`: read a data set, work out every part, hand over to the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from equime.errors import InputError
from equime.evaluation_framework.audit.agreement import agreement
from equime.evaluation_framework.audit.association import associations
from equime.evaluation_framework.audit.data import MIN_GROUP_SUBJECTS, AuditData
from equime.evaluation_framework.audit.label_noise import label_noise, unknown_error
from equime.evaluation_framework.audit.load import load
from equime.evaluation_framework.audit.model_audit import audit_predictions
from equime.evaluation_framework.audit.parity import parity
from equime.evaluation_framework.audit.predictions import Predictions, read_predictions
from equime.evaluation_framework.audit.records import Audit
from equime.evaluation_framework.audit.representation import intersections, load_targets, representation
from equime.evaluation_framework.audit.skin_strip import skin
from equime.progress import Progress, Silent

MIN_RESAMPLES = 100


@dataclass(frozen=True)
class Options:
    """How to test.

    Attributes:
        n_permutations: of the people's group labels, per test.
        n_boot: resamples of people, per interval.
        seed: of both; the same seed gives the same audit.
        level: of the intervals.
    """

    n_permutations: int = 2000
    n_boot: int = 1000
    seed: int = 0
    level: float = 0.95


def default_folder(path: Path) -> Path:
    """Where the report goes when nobody says."""
    return path / "reports" / "audit"


def audit(
    path: str | Path,
    *,
    predictions: Sequence[str | Path] = (),
    targets: str | Path | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Audit a data set, and recognisers by their predictions on it.

    Args:
        path: a data set of equime; its tables are read, nothing is measured.
        predictions: files with a prediction per clip, see `equime.evaluation_framework.audit.predictions`.
        targets: TOML file of target shares, see `representation.load_targets`.
        options: how to test.
        progress: is told how it goes.

    Raises:
        InputError: no data set, a file that cannot be used, or too few resamples.
        WorkError: a record or table that cannot be read.
    """
    options, progress = options or Options(), progress or Silent()
    if min(options.n_permutations, options.n_boot) < MIN_RESAMPLES:
        raise InputError(
            f"permutations and resamples must be {MIN_RESAMPLES} or more; 2000 and 1000 are usual"
        )
    progress.start("audit", 5 + len(predictions), 0)
    data = load(Path(path))
    # Whatever may be wrong with a file is said before anything is worked out.
    wanted = None if targets is None else load_targets(Path(targets))
    given = [read_predictions(Path(file), data.clips) for file in predictions]
    progress.advance()
    return _audit(data, given, wanted, options, progress)


def _audit(
    data: AuditData,
    predictions: Sequence[Predictions],
    targets: dict[str, dict[str, float]] | None,
    options: Options,
    progress: Progress,
) -> Audit:
    tests = {
        "n_permutations": options.n_permutations, "n_boot": options.n_boot,
        "seed": options.seed,
    }  # fmt: skip
    who = representation(data, targets, seed=options.seed, level=options.level)
    crossed = intersections(data)
    progress.advance()
    found = associations(data, **tests, level=options.level)
    progress.advance()
    noise = label_noise(data, found, seed=options.seed)
    progress.advance()
    moved = parity(data, **tests, level=options.level)
    progress.advance()
    models = []
    for own in predictions:
        models.append(audit_predictions(own, data, **tests, level=options.level))
        progress.advance()
    return Audit(
        path=data.path,
        n_clips=len(data.clips),
        n_subjects=int(data.clips["subject_id"].nunique()),
        n_selected=data.n_selected,
        renderers=data.renderers,
        models=data.models,
        licences=data.licences,
        emotions=dict(sorted(Counter(data.clips["emotion"]).items())),
        findings=(*data.findings, *unknown_error(data)),
        representation=who,
        intersections=crossed,
        associations=found,
        label_noise=noise,
        parity=moved,
        agreement=agreement(data, n_boot=options.n_boot, seed=options.seed, level=options.level),
        model_audits=tuple(models),
        skin=skin(data),
        min_group_subjects=MIN_GROUP_SUBJECTS,
        n_permutations=options.n_permutations,
        n_boot=options.n_boot,
        level=options.level,
        seed=options.seed,
        provenance=data.provenance,
    )
