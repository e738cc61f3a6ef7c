"""What lies in a tree of flow folders, and whether it is what it should be; see `equime.corpora.flow_folders`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from equime.coded import THREE, CodedClip, Finding
from equime.errors import InputError, MissingError
from equime.frame_folders import is_image

TRAIN: Final = "u_train"
TEST: Final = "u_test"
CLASSES: Final = {str(i): name for i, name in enumerate(THREE)}
SIZE_PX: Final = 28
LAYOUT: Final = "<subject>/{u_train,u_test}/{0,1,2}/<name>.png (sub01/u_test/1/sub01_EP02_01f.png)"

_SHOWN: Final = 20
_SYSTEM_FILES: Final = frozenset({"thumbs.db", "desktop.ini"})

Sample = tuple[str, str]
"""Class folder and file name: what identifies a sample in a u_train folder."""


@dataclass(frozen=True)
class Tree:
    """What lies under one subject's folder.

    Attributes:
        folder: the subject's.
        test: samples in u_test.
        train: samples in u_train; None where there is no such folder.
        other: folders beside 0, 1, 2 as ``u_test/3``, with the number of pictures in each.
        strays: files that are no pictures, relative to the subject's folder.
    """

    folder: Path
    test: frozenset[Sample]
    train: frozenset[Sample] | None
    other: dict[str, int]
    strays: tuple[str, ...]

    @property
    def twice(self) -> frozenset[str]:
        """File names that lie in more than one class of u_test."""
        seen = Counter(name for _, name in self.test)
        return frozenset(name for name, count in seen.items() if count > 1)


def subjects(root: Path) -> list[Path]:
    """Folders of subjects directly below root, by name; none where there is no such folder."""
    if not root.is_dir():
        return []
    return [root / name for name in _names(root) if _is_subject(root / name)]


def refuse_wrong_level(root: Path) -> None:
    """Check that root is the folder that holds the subjects' folders.

    Raises:
        MissingError: no such folder.
        InputError: it is above or below; the message names the right one.
    """
    if not root.is_dir():
        raise MissingError(f"{root}: no such folder; give the folder that holds the subjects' folders")
    if subjects(root):
        return
    for place in (root, *root.absolute().parents[:3]):
        if _is_subject(place):
            raise InputError(f"{root}: too low, this is part of one subject; give {place.absolute().parent}")
    below = [root / name for name in _names(root) if (root / name).is_dir()]
    right = [folder for folder in below if subjects(folder)]
    if right:
        choices = " or ".join(str(folder) for folder in right[:5])
        raise InputError(f"{root}: too high, it holds no subject's folder itself; give {choices}")
    raise InputError(
        f"{root}: no flow folders there; expected {LAYOUT} below it, found "
        f"{', '.join(_names(root)[:5]) or 'nothing'}"
    )


def tree_of(folder: Path) -> Tree:
    """List one subject's folder."""
    other: dict[str, int] = {}
    strays: list[str] = []
    found: dict[str, frozenset[Sample]] = {}
    for part in (TRAIN, TEST):
        if (folder / part).is_dir():
            found[part] = _samples(folder, part, other, strays)
    return Tree(folder, found.get(TEST, frozenset()), found.get(TRAIN), other, tuple(strays))


def tree_findings(trees: Sequence[Tree]) -> list[Finding]:
    """What is wrong inside the subjects' u_test folders."""
    twice = [f"{tree.folder.name}/{name}" for tree in trees for name in sorted(tree.twice)]
    unknown = [(f"{t.folder.name}/{at}", n) for t in trees for at, n in t.other.items()]
    strays = [f"{tree.folder.name}/{place}" for tree in trees for place in tree.strays]
    empty = [tree.folder.name for tree in trees if not tree.test]
    return _those_with_clips(
        _finding(
            "two_classes",
            "pictures of one name in two class folders of one subject's u_test: their class is unknown and they are "
            "left out; delete the wrong one of each",
            twice,
            dropped=True,
        ),
        _finding(
            "unknown_class",
            "class folders other than 0 (negative), 1 (positive), 2 (surprise): their pictures are left out; rename "
            "the folders if they are one of these",
            [at for at, _ in unknown],
            n=sum(n for _, n in unknown),
            dropped=True,
        ),
        _finding("not_a_picture", "files that are no pictures; they were left alone", strays, dropped=True),
        _finding(
            "empty_subject",
            "subjects without a picture in u_test: they have no sample; fill the folder or delete the subject",
            empty,
            dropped=True,
        ),
    )


def train_findings(trees: Sequence[Tree]) -> list[Finding]:
    """Whether every u_train is the union of the other subjects' u_test, by class and file name."""
    holders = Counter(sample for tree in trees for sample in tree.test)
    leaks, surplus, lacking, without = [], [], [], []
    for tree in trees:
        at = f"{tree.folder.name}/{TRAIN}"
        if tree.train is None:
            without.append(tree.folder.name)
            continue
        others = {sample for sample, n in holders.items() if n > (sample in tree.test)}
        own = tree.test - others
        leaks += [f"{at}/{label}/{file}" for label, file in sorted(tree.train & own)]
        surplus += [f"{at}/{label}/{file}" for label, file in sorted(tree.train - others - own)]
        lacking += [f"{at}/{label}/{file}" for label, file in sorted(others - tree.train)]
    if len(without) == len(trees):
        return []
    ours = "equime reads u_test alone and is not affected; scripts that read u_train are"
    return _those_with_clips(
        _finding(
            "own_sample_in_train",
            f"u_train of a subject holds that subject's own test samples (a leak): {ours}",
            leaks,
        ),
        _finding(
            "surplus_in_train",
            f"u_train holds pictures that are in no u_test under that name and class: {ours}",
            surplus,
        ),
        _finding("lacking_in_train", f"u_train lacks pictures of other subjects' u_test: {ours}", lacking),
        _finding("no_train", f"subjects without a u_train folder, which others have: {ours}", without),
    )


def form_findings(root: Path, clips: Sequence[CodedClip]) -> list[Finding]:
    """Pictures of another size, or grey: read from their headers. Damaged ones show when they are read."""
    from PIL import Image  # noqa: PLC0415

    sizes: Counter[tuple[int, int]] = Counter()
    other, grey = [], []
    for clip in clips:
        try:
            with Image.open(root / clip.file) as picture:
                size, bands = picture.size, len(picture.getbands())
        except (OSError, Image.DecompressionBombError):
            continue
        if size != (SIZE_PX, SIZE_PX):
            sizes[size] += 1
            other.append(f"{clip.subject_id}/{clip.name}")
        if bands == 1:
            grey.append(f"{clip.subject_id}/{clip.name}")
    listed = ", ".join(f"{n} of {w}x{h}" for (w, h), n in sizes.most_common(5))
    return _those_with_clips(
        _finding(
            "other_size",
            f"pictures that are not {SIZE_PX}x{SIZE_PX} ({listed}): they are kept, and resized for models of "
            f"{SIZE_PX} px",
            other,
        ),
        _finding(
            "one_channel",
            "pictures with one channel: flow folders have three (u, v, strain); compute the flow again",
            grey,
        ),
    )


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))


def _is_subject(folder: Path) -> bool:
    return (folder / TEST).is_dir() or (folder / TRAIN).is_dir()


def _samples(subject: Path, part: str, other: dict[str, int], strays: list[str]) -> frozenset[Sample]:
    """Samples of one part; what else lies in u_test is added to the last two."""
    samples: set[Sample] = set()
    for name in _names(subject / part):
        place = subject / part / name
        if not place.is_dir():
            strays += [f"{part}/{name}"] if name.lower() not in _SYSTEM_FILES and part == TEST else []
        elif name not in CLASSES:
            if part == TEST:
                other[f"{part}/{name}"] = sum(map(is_image, _names(place)))
        else:
            files = _names(place)
            samples.update((name, file) for file in files if is_image(file))
            if part == TEST:
                rest = (f for f in files if not is_image(f) and f.lower() not in _SYSTEM_FILES)
                strays += [f"{part}/{name}/{file}" for file in rest]
    return frozenset(samples)


def _finding(
    code: str, message: str, names: Sequence[str], *, n: int | None = None, dropped: bool = False
) -> Finding:
    n = len(names) if n is None else n
    return Finding(code=code, message=message, clips=tuple(names[:_SHOWN]), n=n, dropped=dropped)


def _those_with_clips(*findings: Finding) -> list[Finding]:
    return [finding for finding in findings if finding.clips]
