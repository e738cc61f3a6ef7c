"""The data of an experiment: clips of every role that have a class, and what each model looks at of them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.baselines.experiment_config import Arm, Config
from equime.baselines.inputs import Input, Samples
from equime.baselines.results import DataInfo
from equime.baselines.splits import Who, examine, who_are
from equime.baselines.training import gathered
from equime.coded import CodedClip, CodedSet, Finding
from equime.errors import EquimeError, InputError
from equime.progress import Progress
from equime.seeding import canonical_json, content_id

_BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class Pool:
    """N clips of the roles of an arm, with one input.

    Attributes:
        clips: N.
        who: their identities.
        roles: (N,) role of each.
        x: (N, ...) the input.
        y: (N,) class, or (N, A) of 1, 0, -1.
        digest: of everything above.
        findings: of the features.
    """

    clips: tuple[CodedClip, ...]
    who: Who
    roles: NDArray[np.str_]
    x: NDArray[np.generic]
    y: NDArray[np.integer]
    digest: str
    findings: tuple[Finding, ...]


@dataclass
class Data:
    """Sets by role, reduced to the clips that have a class, and their features as they are asked for.

    Attributes:
        config: the experiment.
        sets: per role.
        infos, findings: for the results.
        workers, cache: of the features.
        inputs: all that the experiment's models look at.
        progress: told of the stage "features".
        scratch: folder for copies of large inputs.
    """

    config: Config
    sets: dict[str, tuple[CodedSet, ...]]
    infos: tuple[DataInfo, ...]
    findings: tuple[Finding, ...]
    workers: int | None = None
    cache: Path | None = None
    inputs: tuple[Input, ...] = ()
    progress: Progress | None = None
    scratch: Path | None = None
    _features: dict[tuple[str, int, str], tuple[Samples, tuple[Finding, ...]] | EquimeError] = field(
        default_factory=dict
    )

    def clips_of(self, arm: Arm) -> tuple[list[CodedClip], list[str]]:
        """Clips of an arm's roles that have a class, and the role of each."""
        pairs = [
            (clip, role)
            for role in dict.fromkeys((*arm.train, *arm.test))
            for data in self.sets[role]
            for clip in data.clips
        ]
        return [clip for clip, _ in pairs], [role for _, role in pairs]

    def pool(self, arm: Arm, wanted: Input) -> Pool:
        """Clips and input of an arm's roles.

        Raises:
            EquimeError: the input cannot be made of one of the sets.
        """
        found = [
            (role, *self._samples(role, i, wanted))
            for role in dict.fromkeys((*arm.train, *arm.test))
            for i in range(len(self.sets[role]))
        ]
        clips = tuple(clip for _, samples, _ in found for clip in samples.clips)
        roles = [role for role, samples, _ in found for _ in samples.clips]
        parts = [(samples.input(wanted), np.arange(len(samples))) for _, samples, _ in found if len(samples)]
        if not parts:
            raise InputError(
                f"no clip of {', '.join(arm.test)} has what {wanted.key} is made of; see the findings"
            )
        x = parts[0][0] if len(parts) == 1 else gathered(parts, self.scratch)
        return Pool(
            clips, who_are(clips, roles), np.array(roles, np.str_), x, labels_of(clips, self.config),
            digest=content_id([digest_of(clips), roles, _digest(x)]),
            findings=tuple(finding for _, _, findings in found for finding in findings),
        )  # fmt: skip

    def _samples(self, role: str, i: int, wanted: Input) -> tuple[Samples, tuple[Finding, ...]]:
        key = (role, i, wanted.key)
        if key not in self._features:
            try:
                self._features[key] = self._built(self.sets[role][i], wanted)
            except EquimeError as error:
                self._features[key] = error
        found = self._features[key]
        if isinstance(found, EquimeError):
            raise found
        return found

    def _built(self, data: CodedSet, wanted: Input) -> tuple[Samples, tuple[Finding, ...]]:
        """One input alone: a clip that cannot give another one is no loss here."""
        return self._build(data, [wanted])

    def make_features(self) -> None:
        """All inputs of every set from one pass over its frames, into the cache; `pool` then finds them there.

        A set that cannot give one of them says so when that one is asked for.
        """
        if len(self.inputs) < 2:
            return
        for data in (data for sets in self.sets.values() for data in sets):
            with contextlib.suppress(InputError):
                self._build(data, self.inputs)

    def _build(self, data: CodedSet, wanted: Sequence[Input]) -> tuple[Samples, tuple[Finding, ...]]:
        from equime.baselines.feature_options import FeatureOptions  # noqa: PLC0415
        from equime.baselines.features import build  # noqa: PLC0415

        options = FeatureOptions.of(dict(self.config.features))
        return build(
            data, wanted, options=options, cache=self.cache, workers=self.workers, progress=self.progress
        )


def labels_of(clips: Sequence[CodedClip], config: Config) -> NDArray[np.integer]:
    """(N,) class of each clip, -1 for none; or (N, A) AUs."""
    samples = Samples(tuple(clips))
    return samples.labels(config.classes) if config.head == "emotion" else samples.aus(config.aus)


def digest_of(clips: Sequence[CodedClip]) -> str:
    """Content id of coded clips."""
    return content_id([canonical_json(clip).decode() for clip in clips])


def _digest(x: NDArray[np.generic]) -> str:
    """Of an array's values, read in blocks."""
    digest = hashlib.blake2b(f"{x.dtype} {x.shape}".encode(), digest_size=16)
    rows = max(1, _BLOCK_BYTES // max(1, x[:1].nbytes))
    for start in range(0, len(x), rows):
        digest.update(np.ascontiguousarray(x[start : start + rows]).tobytes())
    return digest.hexdigest()


def gather(config: Config, sets: Mapping[str, Sequence[CodedSet]]) -> Data:
    """Leave out what has no class, and say so.

    Raises:
        InputError: a role in which no clip has a class.
    """
    kept: dict[str, tuple[CodedSet, ...]] = {}
    infos, findings = [], []
    for role, given in sets.items():
        some = []
        for data in given:
            has = _has_class(data.clips, config)
            used = data.only(clip for clip, yes in zip(data.clips, has, strict=True) if yes)
            some.append(used)
            infos.append(_info(role, data, used))
            findings += [_in_role(finding, role) for finding in data.info.findings]
        kept[role] = tuple(some)
        clips = [clip for data in given for clip in data.clips]
        findings += [_in_role(finding, role) for finding in _examined(clips, role, config)]
        if not any(data.clips for data in some):
            words = sorted({clip.emotion or "none" for clip in clips})
            raise InputError(
                f"role {role!r}: none of {len(clips)} clips has one of {', '.join(config.outputs)} (they are coded "
                f"{', '.join(words) or 'nothing'}); use --classes, or other data"
            )
    return Data(config, kept, tuple(infos), tuple(findings))


def _has_class(clips: Sequence[CodedClip], config: Config) -> NDArray[np.bool_]:
    labels = labels_of(clips, config)
    return np.asarray(labels >= 0 if config.head == "emotion" else (labels >= 0).any(1))


def _examined(clips: Sequence[CodedClip], role: str, config: Config) -> list[Finding]:
    who, labels = who_are(clips, [role] * len(clips)), labels_of(clips, config)
    if config.head == "emotion":
        return examine(clips, who, labels, config.classes)
    uncoded = np.all(labels < 0, axis=1)
    names = tuple(clip.name for clip, out in zip(clips, uncoded, strict=True) if out)
    found = []
    if names:
        message = "clips have no coding of Action Units and are left out"
        found.append(
            Finding(code="no_au_coding", message=message, clips=names[:20], n=len(names), dropped=True)
        )
    rare = [name for name, column in zip(config.outputs, labels.T, strict=True) if not (column == 1).any()]
    if rare:
        message = f"present in no clip, and left out of the means: {', '.join(rare)}"
        found.append(Finding(code="au_absent", message=message, n=len(rare)))
    return found


def _info(role: str, data: CodedSet, used: CodedSet) -> DataInfo:
    return DataInfo(
        role=role,
        root=str(data.root),
        corpus=data.info.corpus,
        licence=data.info.licence,
        synthetic=data.info.synthetic,
        n=len(data.clips),
        n_used=len(used.clips),
        n_subjects=len({clip.person for clip in used.clips}),
        digest=digest_of(data.clips),
    )


def _in_role(finding: Finding, role: str) -> Finding:
    return msgspec.structs.replace(finding, message=f"{role}: {finding.message}")
