"""generate, plan, demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from equime.cli import options as o
from equime.cli.app import app
from equime.cli.output import ProgressView, clock, print_json, size, warn
from equime.cli.rates import print_rates

if TYPE_CHECKING:
    from equime.generation_pipeline.estimate import PlanReport
    from equime.generation_pipeline.pipeline import RunReport


@app.command()
def generate(
    faces: o.Faces,
    out: o.Out,
    clips: o.Clips = None,
    seed: o.Seed = 0,
    workers: o.Workers = None,
    emotions: o.Emotions = None,
    fps: o.Fps = None,
    duration: o.Duration = None,
    size: o.Size = None,
    renderer: o.RendererName = "mesh",
    renderer_option: o.RendererOptions = None,
    limit: Annotated[int | None, typer.Option(help="Make at most so many clips in this run.")] = None,
    shard: Annotated[str | None, typer.Option(help="i/n: this process's part of n on one OUT.")] = None,
    preset: o.PresetName = None,
    balance: o.BalanceTexts = None,
    licence: o.Licence = None,
    gates: o.GatesFile = None,
    gate: o.Relax = None,
    label_semantics: o.Semantics = None,
    p_felt: o.PFelt = None,
    priors: o.PriorsFile = None,
    crf: o.Crf = None,
    x264_preset: o.X264Preset = None,
    lossless: o.Lossless = None,
    png: o.Png = False,
    twins: o.Twins = False,
    as_json: o.Json = False,
) -> int:
    """Make a data set from face photographs; the same command continues an interrupted run."""
    from equime.generation_pipeline.pipeline import run_generate  # noqa: PLC0415

    settings = o.choose_settings(
        faces, clips=clips, seed=seed, emotions=emotions, fps=fps, duration_s=duration, size_px=size,
        renderer=renderer, renderer_option=renderer_option, preset=preset, balance=balance, licence=licence, gates=gates, gate=gate,
        label_semantics=label_semantics, p_felt=p_felt, priors=priors, crf=crf, x264_preset=x264_preset,
        lossless=lossless, png=png, twins=twins,
    )  # fmt: skip
    with ProgressView() as progress:
        report = run_generate(
            settings, out, preset=preset, workers=workers, limit=limit, shard=shard, progress=progress
        )
    return _finish(report, as_json)


@app.command()
def plan(
    faces: o.Faces,
    out: o.Out,
    clips: o.Clips = None,
    seed: o.Seed = 0,
    workers: o.Workers = None,
    emotions: o.Emotions = None,
    fps: o.Fps = None,
    duration: o.Duration = None,
    size: o.Size = None,
    renderer: o.RendererName = "mesh",
    renderer_option: o.RendererOptions = None,
    preset: o.PresetName = None,
    balance: o.BalanceTexts = None,
    licence: o.Licence = None,
    gates: o.GatesFile = None,
    gate: o.Relax = None,
    label_semantics: o.Semantics = None,
    p_felt: o.PFelt = None,
    priors: o.PriorsFile = None,
    crf: o.Crf = None,
    x264_preset: o.X264Preset = None,
    lossless: o.Lossless = None,
    png: o.Png = False,
    twins: o.Twins = False,
    as_json: o.Json = False,
) -> None:
    """Look at the faces and plan, but render nothing: counts, disk, time, licence conflicts.

    OUT keeps the ingested faces and the plan; `equime generate` with the same options goes on from there.
    """
    from equime.generation_pipeline.estimate import plan_report  # noqa: PLC0415

    settings = o.choose_settings(
        faces, clips=clips, seed=seed, emotions=emotions, fps=fps, duration_s=duration, size_px=size,
        renderer=renderer, renderer_option=renderer_option, preset=preset, balance=balance, licence=licence, gates=gates, gate=gate,
        label_semantics=label_semantics, p_felt=p_felt, priors=priors, crf=crf, x264_preset=x264_preset,
        lossless=lossless, png=png, twins=twins,
    )  # fmt: skip
    with ProgressView() as progress:
        report = plan_report(settings, out, preset=preset, workers=workers, progress=progress)
    if as_json:
        print_json(report)
    else:
        _print_plan(report)


@app.command()
def demo(
    out: o.Out,
    clips: Annotated[int, typer.Option(help="Clips in total.")] = 25,
    seed: o.Seed = 0,
    workers: o.Workers = None,
    size: o.Size = None,
    renderer: o.RendererName = "mesh",
    as_json: o.Json = False,
) -> int:
    """A small data set from faces that come with the software, and its contact sheet."""
    from equime.generation_pipeline.demo import run_demo  # noqa: PLC0415

    with ProgressView() as progress:
        report, sheet = run_demo(
            out, clips=clips, seed=seed, workers=workers, size_px=size, renderer=renderer, progress=progress
        )
    code = _finish(report, as_json)
    if not as_json:
        print(f"contact sheet: {sheet}")
    return code


def _finish(report: RunReport, as_json: bool) -> int:
    """Print the summary; 1 where clips failed."""
    if as_json:
        print_json(report)
    else:
        _print_run(report)
    if report.n_failed > report.n_refused:
        warn(
            f"error: {report.n_failed - report.n_refused} clip(s) failed, see failures*.jsonl in {report.out}; "
            "the same command tries them again"
        )
    if report.n_refused:
        warn(
            f"error: {report.n_refused} clip(s) were refused by the adherence gate in every attempt, see failures*.jsonl in "
            f"{report.out}; more attempts: --renderer-option attempts=N"
        )
    return 1 if report.n_failed else 0


def _print_run(report: RunReport) -> None:
    for note in report.notes:
        warn(f"note: {note}")
    adopted = f", {report.n_adopted} adopted from an interrupted run" if report.n_adopted else ""
    print(f"{report.out}: {report.n_clips} of {report.n_specs} clips from {report.n_faces} faces")
    print(f"this run: {report.n_rendered} rendered{adopted} in {clock(report.seconds)}")
    _print_rejected(report.n_rejected, report.rejected)
    print_rates(report.acceptance, "attempts accepted by the adherence gate")
    if report.n_pending and not report.n_failed:
        print(f"{report.n_pending} left; the same command continues")


def _print_rejected(n_rejected: int, reasons: dict[str, int]) -> None:
    if n_rejected:
        listed = ", ".join(f"{reason} {n}" for reason, n in reasons.items())
        print(f"rejected images: {n_rejected} ({listed}); see rejected.jsonl")


def _print_plan(report: PlanReport) -> None:
    print(f"clips: {report.n_clips}, of {report.n_identities} identities ({report.n_faces} faces accepted)")
    print("per emotion: " + ", ".join(f"{name} {n}" for name, n in report.per_emotion.items()))
    for attribute, groups in report.per_group.items():
        print(f"per {attribute}: " + ", ".join(f"{group} {n}" for group, n in groups.items()))
    _print_rejected(report.n_rejected, report.rejected)
    free = "" if report.enough_disk else "  NOT ENOUGH"
    print(f"disk: about {size(report.estimated_bytes)}, {size(report.free_bytes)} free{free}")
    if report.gpu_hours is None:
        print(f"time: about {clock(report.estimated_seconds)} with {report.n_workers} worker(s)")
    else:
        print(
            f"GPU: about {report.gpu_hours:g} GPU hours at one attempt a clip; the gate may ask for up to {report.attempts}"
        )
        print(f"weights: {report.weights_licence}")
    print(f"basis: {report.basis}")
    print("licences: " + ", ".join(f"{name} {n}" for name, n in report.licences.items()))
    for text in (*report.conflicts, *report.notes):
        warn(f"note: {text}")
