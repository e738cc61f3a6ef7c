"""corpus: list, read, show, join, export; and fit-priors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import print_json, warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from equime.coded import CodedClip, CodedSet, Finding

FAILED: Final = 1
LISTS: Final = ("meb", "megc")

Key = Annotated[str | None, typer.Option("--as", help="Key of the corpus; default: found out.")]
CodedOut = Annotated[Path, typer.Argument(help="Folder of the set of coded clips.")]
MegcFile = Annotated[
    Path | None,
    typer.Option("--megc", help="List of the MEGC 2019 composite: keep its clips, take its classes."),
]

commands = typer.Typer(help="Corpora that you have a licence for: list, read, show, join, export.")
app.add_typer(commands, name="corpus")


@commands.command("list")
def list_(as_json: o.Json = False) -> None:
    """What equime reads: key, title, layout, tables, licence."""
    from equime.corpora.detect import corpus  # noqa: PLC0415
    from equime.registry import CORPORA  # noqa: PLC0415

    abouts = [corpus(key).about for key in CORPORA]
    if as_json:
        print_json(abouts)
        return
    for about in abouts:
        print(f"{about.key}: {about.title}\n  frames: {about.layout}")
        print(f"  table: {about.tables[0] if about.tables else 'none'}")
        print(f"  {about.source}\n  licence: {about.licence}")


@commands.command()
def read(
    root: Annotated[Path, typer.Argument(help="Folder of your copy of the corpus.")],
    out: CodedOut,
    key: Key = None,
    table: Annotated[Path | None, typer.Option(help="Coding table, where it is not in ROOT.")] = None,
    megc: MegcFile = None,
    as_json: o.Json = False,
) -> int:
    """Read a corpus: its table, its frames (which stay where they are), and what is wrong with either."""
    from equime.coded import write_set  # noqa: PLC0415
    from equime.corpora import megc as composite  # noqa: PLC0415
    from equime.corpora.detect import open_corpus  # noqa: PLC0415

    _refuse_inside(out, root)
    data = open_corpus(root, key, table)
    if megc is not None:
        data = composite.select([data], megc)
    if not data.clips:
        warn(f"error: {root}: not one usable clip")
        return FAILED
    write_set(data, out)
    _print(data, as_json)
    return 0


@commands.command()
def show(out: CodedOut, as_json: o.Json = False) -> None:
    """What a set holds, and what was found when it was read."""
    from equime.coded import read_set  # noqa: PLC0415

    _print(read_set(out), as_json)


@commands.command()
def join(
    out: CodedOut,
    sets: Annotated[list[Path], typer.Argument(help="Sets that `equime corpus read` wrote.")],
    megc: MegcFile = None,
    as_json: o.Json = False,
) -> None:
    """One set of several, for example of SMIC, CASME II and SAMM the MEGC 2019 composite (--megc)."""
    from equime.coded import read_set, write_set  # noqa: PLC0415
    from equime.corpora import megc as composite  # noqa: PLC0415

    read_sets = [read_set(path) for path in sets]
    data = composite.joined(read_sets) if megc is None else composite.select(read_sets, megc)
    write_set(data, out)
    _print(data, as_json)


@commands.command()
def export(
    out: CodedOut,
    table: Annotated[Path, typer.Argument(help="File to write: .xlsx or .csv (miex: .txt).")],
    key: Annotated[str, typer.Option("--as", help="Key of a corpus, meb or megc.")],
) -> None:
    """Write a set's coding as a corpus' own table, as MEB's normalised one or as the composite's list."""
    from equime.coded import read_set  # noqa: PLC0415
    from equime.corpora.detect import corpus  # noqa: PLC0415
    from equime.corpora.meb import write_meb  # noqa: PLC0415
    from equime.corpora.megc import write_list  # noqa: PLC0415
    from equime.errors import InputError  # noqa: PLC0415
    from equime.registry import CORPORA  # noqa: PLC0415

    if key not in LISTS and key not in CORPORA and ":" not in key:
        raise InputError(f"--as {key}: not known; use one of {', '.join((*CORPORA, *LISTS))}")
    clips = read_set(out).clips
    if key == "meb":
        write_meb(clips, table)
    elif key == "megc":
        _print_findings(write_list(clips, table))
    else:
        corpus(key).export(clips, table)
    print(f"{table}: {len(clips)} clips as {key}")


@app.command("fit-priors")
def fit_priors_(
    tables: Annotated[
        list[Path],
        typer.Argument(help="Coding tables, sets of coded clips, or equime data sets.", metavar="TABLE..."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Priors file to write (JSON).")],
    key: Key = None,
    about: Annotated[
        str | None, typer.Option(help="Where the clips are from; default: from the tables.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Fit the causal model's priors to coding tables; `equime generate --priors` takes the file."""
    from equime.errors import InputError  # noqa: PLC0415
    from equime.generation_pipeline.fit_priors import fit_priors  # noqa: PLC0415

    if out.is_dir():
        raise InputError(f"--out {out}: is a folder; give a file, for example {out / 'priors.json'}")
    sets = [_coded(table, key) for table in tables]
    clips = [clip for data in sets for clip in data.clips]
    fitted = fit_priors(clips, about or _about(clips))
    fitted.write(out)
    findings = [finding for data in sets for finding in data.info.findings] + list(fitted.findings)
    emotions = fitted.data["au_sets_per_emotion"]
    if as_json:
        print_json({"file": str(out), "n_clips": len(clips), "emotions": {e: p["n_clips"] for e, p in emotions.items()},
                    "digest": fitted.priors.digest, "findings": findings})  # fmt: skip
        return
    print(f"{out}: priors of {len(clips)} clips, digest {fitted.priors.digest}")
    for emotion, part in emotions.items():
        print(f"  {emotion}: {part['n_clips']} clips, {len(part['sets'])} AU sets seen more than once")
    print(f"use: equime generate FACES OUT --priors {out} --emotions {','.join(emotions)}")
    _print_findings(findings)


def _coded(table: Path, key: str | None) -> CodedSet:
    """Clips of a coding table, a written set or a data set."""
    from equime.coded import is_set, of_dataset, read_set  # noqa: PLC0415
    from equime.corpora.detect import open_corpus, open_table  # noqa: PLC0415

    if not table.is_dir():
        return open_table(table, key)
    if is_set(table):
        return read_set(table)
    return of_dataset(table) if (table / "dataset.json").is_file() else open_corpus(table, key)


def _about(clips: Sequence[CodedClip]) -> str:
    counts = _counts(clip.corpus for clip in clips)
    listed = ", ".join(f"{corpus} ({n} clips)" for corpus, n in counts.items())
    return f"Aggregate statistics of coded micro-expressions, fitted by equime to {listed}. Counts only; no clip is named."


def _refuse_inside(out: Path, root: Path) -> None:
    from equime.errors import InputError  # noqa: PLC0415

    if root.exists() and out.resolve() == root.resolve():
        raise InputError(f"{out}: is the corpus itself; give another folder for the set")


def _counts(values: Iterable[Any]) -> dict[str, int]:
    from collections import Counter  # noqa: PLC0415

    found = Counter(str(value) if value is not None else "none" for value in values)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _summary(data: CodedSet) -> dict[str, Any]:
    clips = data.clips
    return {
        "corpus": data.info.corpus,
        "root": str(data.root),
        "licence": data.info.licence,
        "synthetic": data.info.synthetic,
        "n_clips": len(clips),
        "n_subjects": len({clip.person for clip in clips}),
        "corpora": _counts(clip.corpus for clip in clips),
        "classes": _counts(clip.label for clip in clips),
        "emotions": _counts(clip.emotion for clip in clips),
        "expressions": _counts(clip.expression for clip in clips),
        "kinds": _counts(clip.kind for clip in clips),
        "n_with_apex": sum(clip.apex is not None for clip in clips),
        "n_with_aus": sum(clip.aus is not None for clip in clips),
        "findings": data.info.findings,
    }


def _print(data: CodedSet, as_json: bool) -> None:
    found = _summary(data)
    if as_json:
        print_json(found)
        return
    print(
        f"{found['corpus']}: {found['n_clips']} clips of {found['n_subjects']} subjects, in {found['root']}"
    )
    for name in ("corpora", "classes", "emotions", "expressions", "kinds"):
        print(f"  {name}: " + ", ".join(f"{key} {n}" for key, n in found[name].items()))
    print(f"  with apex: {found['n_with_apex']}, with AU coding: {found['n_with_aus']}")
    print(f"  licence: {found['licence']}")
    _print_findings(data.info.findings)


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        left = ", left out" if finding.dropped else ""
        print(f"finding {finding.code} ({finding.n}{left}): {finding.message}")
        if len(finding.clips) > 1:
            shown = finding.clips[:5]
            more = f" and {finding.n - len(shown)} more" if finding.n > len(shown) else ""
            print(f"  {', '.join(shown)}{more}")
