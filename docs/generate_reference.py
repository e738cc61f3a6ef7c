"""Write ``docs/reference/*.md`` from the code, so that the reference cannot say something else than it.

    python docs/generate_reference.py [--check]

With ``--check`` nothing is written; the exit code is 1 where a page is out of date.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import typer.main
from metrics_page import metrics_page
from recogniser_pages import corpora_page, recognisers_page

from equime import action_units, clip_table, coded, dataset, locks, provenance, types, validation, video
from equime.attribute_extraction import au_reliability
from equime.baselines import experiment_config, keeping, shipped
from equime.cli import app as cli
from equime.evaluation_framework import rules
from equime.face import anatomy, muscles
from equime.generation_pipeline import (
    au_sets,
    caption_parser,
    confounders,
    design,
    estimate,
    gates,
    graph,
    interventions,
    mechanisms,
    pair_recipe,
    pair_sections,
    pipeline,
    priors,
    settings,
    trajectory,
    views,
)

FOLDER: Final = Path(__file__).parent / "reference"
GRAPH_PAGE: Final = Path(__file__).parent / "causal-model.md"
NOTE: Final = (
    "<!-- Written by docs/generate_reference.py from the code; do not edit. `make docs` writes it again. -->"
)

Rows = Iterable[Sequence[object]]


def table(head: Sequence[str], rows: Rows) -> str:
    """A Markdown table."""
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(_cell(value) for value in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


# Command line


def cli_page() -> str:
    """Every command with its arguments and options."""
    parts = [
        "# Command line",
        "Results go to standard output, progress and errors to standard error. `equime COMMAND --help` prints "
        "the same as this page. Exit codes: 0 ok, 1 work failed, 2 usage or input, 3 something missing that can "
        "be installed or downloaded, 130 stopped with Ctrl-C.",
    ]
    parts += [_command(name, command) for name, command in commands().items()]
    return "\n\n".join(parts)


def commands() -> dict[str, Any]:
    """Commands of `equime` by name, in the order of its help (whichever module was imported first here)."""
    cli._register()
    group: Any = typer.main.get_command(cli.app)
    found = {}
    for name, command in sorted(group.commands.items(), key=lambda item: _place(item[1])):
        inner = getattr(command, "commands", None)
        found |= {name: command} if inner is None else {f"{name} {sub}": c for sub, c in inner.items()}
    return found


def _place(command: Any) -> int:
    """Of the module that a command, or the first of a group, is from."""
    first = next(iter(getattr(command, "commands", {"": command}).values()))
    module = inspect.unwrap(first.callback).__module__
    return cli.MODULES.index(module.rpartition(".")[2])


def _command(name: str, command: Any) -> str:
    shown = [p for p in command.params if p.name != "help"]
    arguments = [p for p in shown if not p.opts[0].startswith("-")]
    hints = typing.get_type_hints(inspect.unwrap(command.callback))
    usage = " ".join(["equime", name, *(_usage(p) for p in arguments), "[OPTIONS]"])
    rows = [(_names(p), _kind(p, hints), _default(p), p.help or "") for p in shown]
    return "\n\n".join(
        [
            f"## equime {name}",
            inspect.cleandoc(command.help or ""),
            f"```\n{usage}\n```",
            table(("argument or option", "value", "default", "meaning"), rows).rstrip("\n"),
        ]
    )


def _usage(argument: Any) -> str:
    name = argument.name.upper()
    return name if argument.required else f"[{name}]"


def _names(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    return ", ".join(f"`{n if n.startswith('-') else n.upper()}`" for n in names)


def _kind(parameter: Any, hints: dict[str, Any]) -> str:
    text = str(hints.get(parameter.name, ""))
    if getattr(parameter, "is_flag", False):
        return "flag"
    for part, name in (("Path", "path"), ("int", "whole number"), ("float", "number")):
        if part in text:
            return name
    return "text, repeatable" if "list[" in text else "text"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    return "" if parameter.default is None or parameter.default is False else f"`{parameter.default}`"


# Records

RECORDS: Final[tuple[tuple[str, str, tuple[type[msgspec.Struct], ...]], ...]] = (
    ("Faces", "`faces.jsonl` and `rejected.jsonl`, one JSON object per line.",
     (types.Face, types.Declared, types.FaceQuality, types.Rejection)),
    ("Specs: what was intended", "`specs.jsonl`, one JSON object per line, in the order of the plan.",
     (types.ClipSpec, types.AuPeak, types.Phases, types.Blink, types.GazeShift, types.HeadWave, types.Camera)),
    ("Clips: what is there", "`clips.jsonl` (shards: `clips.<i>-of-<n>.jsonl`), `failures.jsonl` and `attempts.jsonl`.",
     (types.Clip, types.FrameTiming, types.Captions, types.Shown, types.Failure, types.Attempt)),
    ("The data set", "`dataset.json`.",
     (dataset.Info, settings.Settings, video.EncoderSettings, provenance.Provenance)),
    ("What commands print with `--json`", "`generate` and `demo` print a RunReport, `plan` a PlanReport, "
     "`status` a Status, `validate` a Report.",
     (pipeline.RunReport, estimate.PlanReport, dataset.Status, locks.Holder, validation.Report,
      validation.Problem)),
    ("The quality gate", "Rules of `equime filter`, and what it prints with `--json`.",
     (rules.Rule, rules.GateReport, rules.Broken)),
    ("Coded clips", "A set of coded clips: `coded.json` (CodedInfo) and `coded.jsonl`, one CodedClip per line.",
     (coded.CodedInfo, coded.CodedClip, coded.AuCode, coded.Finding)),
    ("Experiments and trainings", "The TOML files of `equime benchmark` (Config; in the file an arm is `[[arm]]`) and "
     "`equime train` (Training), and `card.json` of a trained recogniser (Card).",
     (experiment_config.Config, experiment_config.Arm, experiment_config.Intervals, keeping.Training, shipped.Card)),
    ("Recipes of training pairs", "The TOML file of `equime pairs`. Every section but the classes has `on`.",
     (pair_recipe.Recipe, pair_recipe.ClassMix, pair_recipe.Group, pair_recipe.AuSetWeight, pair_sections.Intensity,
      pair_sections.Sides, pair_sections.Timing, pair_sections.CoderNoise, pair_sections.Blink, pair_sections.Gaze,
      pair_sections.Head, pair_sections.Pose, pair_sections.Muscles, pair_sections.Texture, pair_sections.Resolution,
      pair_sections.Crop, pair_sections.Blur, pair_sections.Light, pair_sections.Sensor, pair_sections.Compression)),
    ("Other records of the Python API", "", (video.Probe, trajectory.BlinkInterval, caption_parser.CaptionFacts,
     caption_parser.AuFact, design.DesignReport, design.TargetReached, design.Preset)),
)  # fmt: skip


def records_page() -> str:
    """Every record on disk, field by field."""
    parts = [
        "# Records",
        "Everything that equime writes as JSON is a frozen typed record. Times are milliseconds from the first "
        "frame, intensities run from 0 to 5 (FACS A = 1 to E = 5), left and right are the subject's. A field "
        "that has its default may be missing in the file.",
    ]
    for title, about, classes in RECORDS:
        parts += [f"## {title}", *([about] if about else []), *map(_record, classes)]
    return "\n\n".join(parts)


def _record(record: type[msgspec.Struct]) -> str:
    about, meanings = split_docstring(record)
    rows = [
        (f"`{f.name}`", f"`{_annotation(record, f.name)}`", _field_default(f), meanings.get(f.name, ""))
        for f in msgspec.structs.fields(record)
    ]
    return f"### {record.__name__}\n\n{about}\n\n" + table(
        ("field", "type", "default", "meaning"), rows
    ).rstrip("\n")


def _annotation(record: type[msgspec.Struct], name: str) -> str:
    for kind in record.__mro__:
        text = inspect.get_annotations(kind).get(name)
        if text is not None:
            return str(text)
    return ""


def _field_default(field: Any) -> str:
    if field.required:
        return ""
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return f"`{msgspec.json.encode(value).decode()}`"


def split_docstring(record: type) -> tuple[str, dict[str, str]]:
    """The text before ``Attributes:``, and the meaning of each field in it."""
    text = inspect.getdoc(record) or ""
    about, _, rest = text.partition("Attributes:\n")
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in textwrap.dedent(rest).splitlines():
        head = re.match(r"([a-z_0-9]+(?:, [a-z_0-9]+)*): (.*)", line)
        if head:
            names = head[1].split(", ")
            meanings |= dict.fromkeys(names, head[2])
        elif line.startswith("    "):
            meanings |= {name: f"{meanings[name]} {line.strip()}" for name in names}
        elif line.strip():
            names = []
    return _paragraph(about), {name: _paragraph(meaning) for name, meaning in meanings.items()}


def _paragraph(text: str) -> str:
    """One line; the code's double and single backticks as Markdown's."""
    return " ".join(text.split()).replace("``", "`")


# Gates


def gates_page() -> str:
    """Thresholds of the gates."""
    _, meanings = split_docstring(gates.Gates)
    rows = [
        (f"`{f.name}`", _field_default(f), meanings.get(f.name, ""))
        for f in msgspec.structs.fields(gates.Gates)
    ]
    _, measured = split_docstring(types.FaceQuality)
    _, reasons = split_docstring(types.Rejection)
    return "\n\n".join(
        [
            "# Gates",
            "Which faces may carry a micro-expression. Change one with `--gate max_smile=0.3`, several with "
            "`--gates FILE.toml` (lines such as `max_smile = 0.3`).",
            table(("gate", "default", "what it is, and what the default was set from"), rows).rstrip("\n"),
            "## What is measured",
            "Stored with every face (`quality` in `faces.jsonl`) and, as far as it got, with every rejection.",
            table(("measurement", "meaning"), ((f"`{n}`", m) for n, m in measured.items())).rstrip("\n"),
            "## Reasons of a rejection",
            f"`reason` in `rejected.jsonl` is a {reasons['reason']}",
        ]
    )


# Action Units


def action_units_page() -> str:
    """Every Action Unit, its muscles in FACS, and what the mesh renderer moves for it."""
    units = action_units.ACTION_UNITS.values()
    names = table(
        ("AU", "FACS name", "what one sees", "muscles (FACS)", "region", "sides"),
        (
            (u.number, u.name, u.plain, u.muscles or "-", u.region, "left and right" if u.sided else "one")
            for u in units
        ),
    )
    moves = table(
        ("AU", "what the renderer `mesh` does at intensity E (5.0)"),
        ((au, "; ".join(map(_muscle, parts))) for au, parts in muscles.MUSCLES.items()),
    )
    poses = table(("AU", "at intensity E (5.0)"), _poses())
    return "\n\n".join(
        [
            "# Action Units",
            "Numbers and names: Ekman, Friesen & Hager, *Facial Action Coding System: The Manual* (2002). "
            "Intensity runs from 0 to 5; the letters A to E are 1 to 5.",
            names.rstrip("\n"),
            "## Amplitudes",
            "Millimetres at the point of largest movement. Intensity scales them linearly: C (3.0) is 60 % of E. "
            "They are a model within the order of magnitude of maximal voluntary movements, not measurements of "
            "micro-expressions.",
            moves.rstrip("\n"),
            "## Head and gaze",
            "FACS gives these codes no amplitude; equime's is:",
            poses.rstrip("\n"),
        ]
    )


_PLACES: Final = {
    value: name.lower().replace("_", " ")
    for name, value in vars(anatomy).items()
    if name.isupper() and isinstance(value, int | tuple) and name not in ("RIGHT", "LEFT")
}


def _muscle(muscle: muscles.Muscle) -> str:
    match muscle:
        case muscles.Linear():
            where = f"{_PLACES[muscle.insertion]} towards {_PLACES[muscle.origin]}"
            return f"linear muscle pulls {where} by {muscle.amplitude_mm:g} mm"
        case muscles.Sheet():
            ways = [(muscle.up_mm, "up", "down"), (muscle.out_mm, "outwards", "inwards")]
            moved = " and ".join(
                f"{abs(mm):g} mm {plus if mm > 0 else minus}" for mm, plus, minus in ways if mm
            )
            return f"sheet at {_PLACES[muscle.centre]} moves {moved}"
        case muscles.Jaw():
            return f"jaw drops by {muscle.drop_mm:g} mm at the chin"
        case muscles.Lid():
            shares = [("upper lid closes", muscle.upper_gap), ("lower lid closes", muscle.lower_gap)]
            said = [f"{name} {share:.0%} of the gap" for name, share in shares if share]
            return ", ".join(
                said + [f"upper lid opens by {muscle.upper_open_mm:g} mm"] * bool(muscle.upper_open_mm)
            )
        case muscles.LipBorder():
            values = msgspec.to_builtins(muscle)
            return "lips: " + ", ".join(
                f"{name.removesuffix('_mm').replace('_', ' ')} {mm:+g} mm"
                for name, mm in values.items()
                if mm
            )


def _poses() -> Iterator[tuple[int, str]]:
    for au, (axis, per_unit) in trajectory._HEAD_CODES.items():
        unit = "degrees" if axis < 3 else "mm"
        yield au, f"head {trajectory.HEAD_AXES[axis].rsplit('_', 1)[0]} {5 * per_unit:+g} {unit}"
    for au, (axis, per_unit) in trajectory._GAZE_CODES.items():
        yield au, f"gaze {('yaw', 'pitch')[axis]} {5 * per_unit:+g} degrees"


# Causal model


def causal_model_page() -> str:
    """Graph, nodes and priors."""
    known = priors.default_priors()
    nodes = (
        (
            f"`{n.name}`",
            ", ".join(f"`{p}`" for p in n.parents) or "none",
            n.about,
            ", ".join(f"`{f}`" for f in n.fields),
        )
        for n in graph.NODES
    )
    return "\n\n".join(
        [
            "# Causal model: graph and numbers",
            "An arrow means: the mechanism of the lower node reads the upper one. `equime describe` prints the same "
            "as JSON, Mermaid or DOT.",
            f"```mermaid\n{graph.to_mermaid()}```",
            table(("node", "parents", "what it is", "field of the spec"), nodes).rstrip("\n"),
            "## Interventions",
            "```text\n" + _intervention_table() + "\n```",
            "## Priors",
            f"{known.about} Digest `{known.digest}`.",
            "### AU sets, au-defined",
            "Probability of each set given the emotion: the count of that set for that emotion plus "
            f"{au_sets.SMOOTHING:g}, made to add up to one. No set belongs to two emotions.",
            _sets_table(known, "au-defined").rstrip("\n"),
            "### AU sets, felt",
            "Probability of each set given the emotion, from the counts (sets that were coded once are left out). "
            "The ten most frequent per emotion:",
            _sets_table(known, "felt", 10).rstrip("\n"),
            "### How well AUs can tell the emotion",
            "Accuracy of a perfect reader of the AU set, each emotion equally frequent: the best that any "
            "recogniser can reach without another cue.",
            table(("label semantics", "emotions", "largest accuracy"), _ceilings(known)).rstrip("\n"),
            "### Timing",
            "Log-normal durations per emotion, DFME (median and the standard deviation of the logarithm), "
            f"truncated to {mechanisms.MIN_PHASE_MS:g} ms per phase and {mechanisms.MAX_TOTAL_MS:g} ms in all.",
            table(
                ("emotion", "n", "onset to apex, ms", "sigma", "apex to offset, ms", "sigma"),
                _durations(known),
            ).rstrip("\n"),
            "### Sides",
            "Share of codes on one side only, and the left's share of those. AUs that are not listed are drawn on "
            "both sides; AUs that FACS does not side always are.",
            table(("AU", "n", "one-sided", "of these left"), _sides(known)).rstrip("\n"),
            "### Intensity",
            f"Share of each letter (SAMM, n = {known.intensity_letters_SAMM['n']:g}), made to add up to one:",
            table(tuple("ABCDE"), [[f"{known.intensity_letters_SAMM[c]:g}" for c in "ABCDE"]]).rstrip("\n"),
            "### Everything else",
            "These numbers are in the code, with their source or the word assumption beside them:",
            table(("constant", "value"), _constants()).rstrip("\n"),
        ]
    )


def _intervention_table() -> str:
    text = inspect.getdoc(interventions) or ""
    return text[text.index("=====") :].partition("\n\n")[0].replace("``", "")


def _sets_table(known: priors.Priors, semantics: str, n: int | None = None) -> str:
    rows = []
    for emotion in known.emotions:
        weighted = sorted(au_sets.weighted_sets(known, semantics, emotion), key=lambda s: (-s[1], s[0]))
        named = [f"{'+'.join(map(str, aus)) or 'none'} ({weight:.2f})" for aus, weight in weighted]
        rows.append((emotion, ", ".join(named[:n])))
    return table(("emotion", "AU sets (probability)"), rows)


def _ceilings(known: priors.Priors) -> Iterator[tuple[str, str, str]]:
    seven = tuple(e for e in known.emotions if e != "neutral")
    for semantics in ("au-defined", "felt"):
        for emotions in (seven, design.PRESETS["equime"].emotions):
            yield semantics, ", ".join(emotions), f"{ceiling(known, semantics, emotions):.2f}"


def ceiling(known: priors.Priors, semantics: str, emotions: Sequence[str]) -> float:
    """Accuracy of the best guess of the emotion from the AU set, emotions equally frequent."""
    best: dict[tuple[int, ...], float] = {}
    for emotion in emotions:
        for aus, weight in au_sets.weighted_sets(known, semantics, emotion):
            best[aus] = max(best.get(aus, 0.0), weight / len(emotions))
    return sum(best.values())


def _durations(known: priors.Priors) -> Iterator[tuple[object, ...]]:
    for emotion, d in known.phase_durations_per_emotion_DFME.items():
        rise, fall = d.onset_to_apex, d.apex_to_offset
        yield emotion, rise.n, rise.median_ms, rise.sigma_log_ms, fall.median_ms, fall.sigma_log_ms


def _sides(known: priors.Priors) -> Iterator[tuple[object, ...]]:
    for au, share in known.unilateral_share_per_au.items():
        if action_units.ACTION_UNITS[int(au)].sided:
            left = "-" if share.left_of_unilateral is None else f"{share.left_of_unilateral:.0%}"
            yield au, share.n, f"{share.unilateral:.0%}", left


def _constants() -> Iterator[tuple[str, str]]:
    for module in (mechanisms, confounders):
        for name, value in vars(module).items():
            own = f"\n{name}: Final" in inspect.getsource(module) and name != "NOISE_AUS"
            if name.isupper() and own and not name.startswith("_"):
                yield (
                    f"`{module.__name__.rpartition('.')[2]}.{name}`",
                    f"`{msgspec.json.encode(value).decode()}`",
                )


# Tables


def tables_page() -> str:
    """Columns of the Parquet tables and of the data frames."""
    return "\n\n".join(
        [
            "# Tables",
            "## `tables/au_curves.parquet`",
            "One row per frame and clip. `AU12_L` is AU 12 on the subject's left, 0 to 5; AUs that FACS does not "
            "side have one column. AUs that a clip does not show are 0.",
            table(("column", "type"), ((f"`{f.name}`", f.type) for f in views.curve_schema())).rstrip("\n"),
            "## `Dataset.to_arrow()`, `Dataset.to_pandas()`, and `clips` in DuckDB",
            "One row per finished clip, in the order of the plan.",
            table(("column", "type"), ((f"`{f.name}`", f.type) for f in clip_table.clip_schema())).rstrip(
                "\n"
            ),
            "## `tables/quality_gate.parquet`",
            "What `equime filter` marked, one row per clip that it judged.",
            table(("column", "type"), ((f"`{f.name}`", f.type) for f in rules._schema([], False))).rstrip(
                "\n"
            ),
            "## `tables/<annotator>.parquet`",
            "What `equime evaluate` measured, one row per clip: `clip_id`, `input_digest` (of the content that was "
            "measured), `annotator_version`, `notes` (JSON list of [code, message]), then the annotator's "
            "[metrics](metrics.md).",
        ]
    )


def au_reliability_page() -> str:
    """How far each AU of `au_intensity` can be trusted, from the data file that the bench writes."""
    return "\n\n".join(
        [
            "# Reliability of measured Action Units",
            "Of the annotator `au_intensity`; what the columns mean, and what this table cannot say, is in "
            "[attributes](../attributes.md#how-far-each-au-can-be-trusted).",
            au_reliability.markdown().strip(),
        ]
    )


PAGES: Final[dict[str, Callable[[], str]]] = {
    "cli.md": cli_page,
    "records.md": records_page,
    "gates.md": gates_page,
    "action_units.md": action_units_page,
    "causal_model.md": causal_model_page,
    "tables.md": tables_page,
    "au_reliability.md": au_reliability_page,
    "metrics.md": lambda: metrics_page(table),
    "corpora.md": lambda: corpora_page(table),
    "recognisers.md": lambda: recognisers_page(table),
}


def page(name: str) -> str:
    """Content of a page of the reference."""
    return f"{NOTE}\n\n{PAGES[name]()}\n"


def with_graph(text: str) -> str:
    """A page with the causal model's graph between its two marks."""
    mermaid = f"<!-- graph -->\n```mermaid\n{graph.to_mermaid()}```\n<!-- /graph -->"
    return re.sub(r"<!-- graph -->.*<!-- /graph -->", lambda _: mermaid, text, flags=re.DOTALL)


def pages() -> Iterator[tuple[Path, str]]:
    """Every file that this program writes, and its content."""
    for name in PAGES:
        yield FOLDER / name, page(name)
    yield GRAPH_PAGE, with_graph(GRAPH_PAGE.read_text("utf-8"))


def outdated() -> list[tuple[Path, str]]:
    """Files that the code would write otherwise."""
    return [(path, text) for path, text in pages() if not path.is_file() or path.read_text("utf-8") != text]


def main() -> int:
    """Write the pages, or check them."""
    changed = outdated()
    check = "--check" in sys.argv[1:]
    FOLDER.mkdir(exist_ok=True)
    for path, text in changed:
        name = path.relative_to(FOLDER.parents[1])
        if check:
            print(f"{name}: out of date; run make docs", file=sys.stderr)
        else:
            path.write_text(text, "utf-8")
            print(name)
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
