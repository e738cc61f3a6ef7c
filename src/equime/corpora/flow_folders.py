"""Flow folders: onset-apex flow as small pictures, in the tree that STSTNet's and HTNet's scripts walk.

``<root>/<subject>/{u_train,u_test}/{0,1,2}/<name>.png``: RGB = (u, v, optical strain), each channel min-max scaled
per sample, 28x28; class folders 0 negative, 1 positive, 2 surprise. ``u_test`` of a subject holds that subject's
samples and ``u_train`` everybody else's, so that every sample lies there once per subject. The set is read from the
``u_test`` folders; that each ``u_train`` is what it should be is checked by name and class, without opening pictures.

In the public folders of the MEGC 2019 composite (442 samples, 68 subjects) a file is called ``<subject>_<clip> .png``
(``sub01_EP02_01f .png``, ``006_006_1_2 .png``, ``s01_s01_ne_01 .png``), with a space before the ending. The corpus
of each subject is told from these names, so that results can be given per corpus.

Sources: Liong et al. 2019 (STSTNet, FG); Wang et al. 2024 (HTNet, Neurocomputing); See et al. 2019 (MEGC 2019).
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from equime.coded import FORMAT_VERSION, CodedClip, CodedInfo, CodedSet, coded_id
from equime.corpora.corpus import About
from equime.corpora.flow_tree import (
    CLASSES,
    LAYOUT,
    TEST,
    TRAIN,
    Tree,
    form_findings,
    refuse_wrong_level,
    subjects,
    train_findings,
    tree_findings,
    tree_of,
)
from equime.errors import InputError, MissingError
from equime.provenance import provenance
from equime.records import disk_guard

UNKNOWN: Final = "flow"
UNKNOWN_FPS: Final = 1.0
"""Frame rate of samples of an unknown corpus. A flow picture has no time; nothing that reads one uses its rate."""

SYNTHETIC: Final = "SYNTHETIC.txt"
"""File at the root of a tree that holds generated clips: pictures of flow do not show it."""

SYNTHETIC_TEXT: Final = (
    "Some or all of these samples were computed from generated clips, not from recordings of people.\n"
)

_SUBJECTS: Final = {"casme2": r"sub\d{2}", "samm": r"\d{3}", "smic": r"s\d{1,2}", "casme3": r"spNO\.\d+"}
_CLIPS: Final = {
    "casme2": r"EP\d+(_\d+)*f?",
    "samm": r"\d{3}_\d+_\d+",
    "smic": r"s\d{1,2}_(ne|po|sur)_\d+",
    "casme3": r"[a-z]\d*(_.*)?",
}
_FPS: Final = {"casme2": 200.0, "samm": 200.0, "smic": 100.0, "casme3": 30.0}


def corpus_of_subject(name: str, clips: Iterable[str] = ()) -> str:
    """Corpus that a subject belongs to: "casme2", "samm", "smic", "casme3", or `UNKNOWN`.

    Args:
        name: of the subject's folder (``sub01``, ``006``, ``s01``, ``spNO.1``).
        clips: names of its samples, without the ending. Where they do not look like the corpus' they count more than
            the folder's name: a number such as ``006`` may be anybody's.
    """
    corpus = next((key for key, pattern in _SUBJECTS.items() if re.fullmatch(pattern, name)), UNKNOWN)
    if corpus != UNKNOWN and all(_clip_name(corpus, name, clip) for clip in clips):
        return corpus
    return UNKNOWN


def _clip_name(corpus: str, subject: str, stem: str) -> str | None:
    """The clip's name in its corpus, where the file's name holds one."""
    for candidate in (stem.removeprefix(f"{subject}_"), stem):
        if re.fullmatch(_CLIPS[corpus], candidate):
            return re.sub(r"^s0(?=\d_)", "s", candidate) if corpus == "smic" else candidate
    return None


class FlowFolders:
    """Flow folders of any data in the tree above."""

    about = About(
        key="flow_folders",
        title="Flow folders (STSTNet, HTNet)",
        source=(
            "Liong et al. 2019 (STSTNet, FG), github.com/christy1206/STSTNet; Wang et al. 2024 (HTNet, "
            "Neurocomputing), github.com/wangzhifengharrison/HTNet"
        ),
        licence="that of the corpora the flow was computed from: research only, not to be passed on",
        fps=UNKNOWN_FPS,
        tables=(),
        layout=LAYOUT,
    )

    def recognises(self, root: Path) -> bool:
        """Whether a folder with u_test or u_train lies in it."""
        return bool(subjects(root))

    def is_table(self, columns: Sequence[str]) -> bool:
        """Never: flow folders have no table."""
        return False

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        """The samples of all u_test folders, in the order of subject, class and name.

        Raises:
            MissingError: no such folder, or no sample.
            InputError: root is above or below the subjects' folders (the message names the right one); a table.
        """
        if table is not None:
            raise InputError(f"{table}: flow folders have no coding table; leave the option out")
        refuse_wrong_level(root)
        trees = [tree_of(folder) for folder in subjects(root)]
        clips = [clip for tree in trees for clip in _clips(tree)]
        if not clips:
            raise MissingError(f"{root}: no picture in any {TEST}/0, {TEST}/1 or {TEST}/2; expected {LAYOUT}")
        findings = (*tree_findings(trees), *train_findings(trees), *form_findings(root, clips))
        info = CodedInfo(
            format_version=FORMAT_VERSION, corpus=self.about.key, root=str(root.resolve()),
            licence=self.about.licence, synthetic=(root / SYNTHETIC).is_file(), findings=findings,
            provenance=provenance(),
        )  # fmt: skip
        return CodedSet(info, root.resolve(), tuple(clips))

    def read_table(self, table: Path) -> CodedSet:
        """Raises InputError: flow folders have no table."""
        raise InputError(f"{table}: flow folders have no coding table; give their root folder instead")

    def export(self, clips: Sequence[CodedClip], path: Path) -> None:
        """Raises InputError: rows hold no flow; `write_flow_folders` writes the tree from arrays."""
        raise InputError(
            f"{path}: {len(clips)} coded rows hold no flow, so they cannot become flow folders; compute the flow of "
            "their frames and give it to write_flow_folders, or choose another table format"
        )


def _clips(tree: Tree) -> list[CodedClip]:
    """The subject's samples, without those that lie in two classes."""
    subject = tree.folder.name
    corpus = corpus_of_subject(subject, (Path(file).stem.strip() for _, file in tree.test))
    person = subject.removeprefix("sub") if corpus == "casme2" else subject
    clips = []
    for label, file in sorted(tree.test):
        if file not in tree.twice:
            stem = Path(file).stem.strip()
            known = _clip_name(corpus, subject, stem) if corpus != UNKNOWN else None
            name = known or stem.removeprefix(f"{subject}_")
            clips.append(
                CodedClip(
                    clip_id=coded_id(corpus, person, name), corpus=corpus, subject_id=person, name=name,
                    file=f"{subject}/{TEST}/{label}/{file}", kind="flow", fps=_FPS.get(corpus, UNKNOWN_FPS),
                    emotion=CLASSES[label], label=CLASSES[label],
                )
            )  # fmt: skip
    return clips


def write_flow_folders(
    out: Path, clips: Sequence[CodedClip], arrays: NDArray[np.uint8], *, synthetic: bool = False
) -> None:
    """Write flow as a tree of flow folders, for STSTNet's and HTNet's own scripts.

    Every sample is written once, into its subject's u_test, and linked into the u_train of all others (copied where
    the disk has no hard links). The tree appears under its name when it is complete.

    Args:
        out: root of the new tree; must not exist, or be empty.
        clips: one per sample; each needs a label. Where two corpora use one subject's name, the corpus is put before it.
        arrays: (N, H, W, 3) u, v, strain as 8-bit RGB.
        synthetic: whether any of them was generated; a file in the tree then says so to whoever reads it.

    Raises:
        InputError: clips without a label, arrays of another shape, clips that cannot be told apart, or an out that
            holds something.
        WorkError: full disk or no write permission.
    """
    _refuse_unwritable(out, clips, arrays)
    folders = _folders_of(clips)
    names = _files_of(clips, folders)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    with disk_guard(out):
        try:
            _write_tree(partial, clips, folders, names, arrays)
            if synthetic:
                (partial / SYNTHETIC).write_text(SYNTHETIC_TEXT, "utf-8")
            if out.is_dir():
                out.rmdir()
            partial.replace(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _refuse_unwritable(out: Path, clips: Sequence[CodedClip], arrays: NDArray[np.uint8]) -> None:
    if arrays.dtype != np.uint8 or arrays.ndim != 4 or arrays.shape[3] != 3 or len(arrays) != len(clips):
        raise InputError(
            f"flow of {len(clips)} clips must be uint8 of shape ({len(clips)}, H, W, 3); it is {arrays.dtype} of "
            f"shape {arrays.shape}"
        )
    without = [clip.name for clip in clips if clip.label not in CLASSES.values()]
    if without:
        raise InputError(
            f"{len(without)} of {len(clips)} clips have no class (negative, positive, surprise), for example "
            f"{', '.join(without[:5])}; leave them out"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: holds something already; give a new folder")


def _folders_of(clips: Sequence[CodedClip]) -> list[str]:
    """The subject's folder of every clip."""
    owners: dict[str, set[str]] = {}
    for clip in clips:
        owners.setdefault(clip.subject_id, set()).add(clip.corpus)
    named = (f"{c.corpus}_{c.subject_id}" if len(owners[c.subject_id]) > 1 else _folder_of(c) for c in clips)
    return [re.sub(r"[/\\]", "-", name) for name in named]


def _folder_of(clip: CodedClip) -> str:
    """CASME II's subject 01 has the folder sub01."""
    return (
        f"sub{clip.subject_id}" if clip.corpus == "casme2" and clip.subject_id.isdigit() else clip.subject_id
    )


def _files_of(clips: Sequence[CodedClip], folders: Sequence[str]) -> list[str]:
    """File name of every clip: ``<subject>_<name>.png``, with the onset where one name holds several clips."""
    n_named = Counter(zip(folders, (clip.name for clip in clips), strict=True))
    files = []
    for clip, folder in zip(clips, folders, strict=True):
        onset = f"_{clip.onset}" if n_named[folder, clip.name] > 1 else ""
        files.append(f"{folder}_" + re.sub(r"[/\\]", "-", f"{clip.name}{onset}.png"))
    again = [file for file, n in Counter(files).items() if n > 1]
    if again:
        raise InputError(
            f"{len(again)} clips have the same subject, name and onset as another ({', '.join(again[:5])}); "
            "leave one of each out"
        )
    return files


def _write_tree(
    root: Path,
    clips: Sequence[CodedClip],
    folders: Sequence[str],
    names: Sequence[str],
    arrays: NDArray[np.uint8],
) -> None:
    from PIL import Image  # noqa: PLC0415

    number = {name: label for label, name in CLASSES.items()}
    everybody = sorted(set(folders))
    for subject in everybody:
        for part in (TRAIN, TEST):
            for label in CLASSES:
                (root / subject / part / label).mkdir(parents=True)
    for clip, subject, name, array in zip(clips, folders, names, arrays, strict=True):
        place = f"{number[clip.label or '']}/{name}"
        file = root / subject / TEST / place
        Image.fromarray(array).save(file)
        for other in everybody:
            if other != subject:
                _link(file, root / other / TRAIN / place)


def _link(file: Path, copy: Path) -> None:
    try:
        copy.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, copy)
