"""Options that several commands share, and how they become `Settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from equime.errors import InputError

Faces = Annotated[Path, typer.Argument(help="Folder of images, one image, a table, or CelebA-HQ.")]
Out = Annotated[Path, typer.Argument(help="Folder of the data set.")]
Measured = Annotated[
    Path, typer.Argument(help="Data set, video, folder of videos, or frame folders of a corpus.")
]
FolderFps = Annotated[float | None, typer.Option("--fps", help="Frame rate of frame folders.")]
Clips = Annotated[int | None, typer.Option(help="Clips in total; default: every emotion once per face.")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness.")]
Workers = Annotated[
    int | None, typer.Option(help="Processes; default: EQUIME_WORKERS, else one per processor; 0: this one.")
]
Emotions = Annotated[str | None, typer.Option(help="Comma-separated, for example happiness,fear.")]
Fps = Annotated[float | None, typer.Option(help="Frames per second, 24 to 500.")]
Duration = Annotated[float | None, typer.Option(help="Seconds per clip.")]
Size = Annotated[int | None, typer.Option(help="Side of the clips in pixels, even.")]
RendererName = Annotated[str, typer.Option(help="Registered renderer, or module:attribute.")]
RendererOptions = Annotated[
    list[str] | None,
    typer.Option("--renderer-option", help="One option of the renderer, for example steps=8; repeatable."),
]
PresetName = Annotated[str | None, typer.Option(help="equime (75,000 clips) or me-vlm (100,000).")]
BalanceTexts = Annotated[
    list[str] | None, typer.Option("--balance", help="gender=f:0.5,m:0.5 or gender=equal; repeatable.")
]
Licence = Annotated[str | None, typer.Option(help="Licence of the images, where they do not say.")]
GatesFile = Annotated[Path | None, typer.Option("--gates", help="TOML file with thresholds of the gates.")]
Relax = Annotated[
    list[str] | None, typer.Option("--gate", help="One threshold, for example max_smile=0.5; repeatable.")
]
Semantics = Annotated[str | None, typer.Option("--label-semantics", help="au-defined or felt.")]
PFelt = Annotated[float | None, typer.Option(help="Share of clips with felt semantics, 0 to 1.")]
PriorsFile = Annotated[Path | None, typer.Option("--priors", help="Priors file of your own (JSON).")]
Crf = Annotated[float | None, typer.Option(help="x264 constant rate factor, 0 to 51; default 18.")]
X264Preset = Annotated[str | None, typer.Option("--x264-preset", help="x264 preset; default veryfast.")]
Lossless = Annotated[str | None, typer.Option(help="master: also keep a lossless master of every clip.")]
Png = Annotated[bool, typer.Option("--png", help="Also keep the frames of every clip as PNG files.")]
Twins = Annotated[
    bool, typer.Option("--twins", help="Every face shows the same expressions, drawn once: identity twins.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def choose_p_felt(semantics: str | None, p_felt: float | None) -> float:
    """Mixture weight from the two options that give it.

    Raises:
        InputError: unknown semantics, or both options.
    """
    if semantics is None:
        return 0.0 if p_felt is None else p_felt
    if p_felt is not None:
        raise InputError("--label-semantics and --p-felt say the same; give one of them")
    weights = {"au-defined": 0.0, "felt": 1.0}
    if semantics not in weights:
        raise InputError(f"label semantics {semantics!r} not known; use au-defined or felt")
    return weights[semantics]


def choose_gates(file: Path | None, relaxed: list[str] | None) -> Any:
    """Gates from a file and single thresholds on top.

    Raises:
        InputError: naming the threshold.
    """
    import msgspec  # noqa: PLC0415

    from equime.generation_pipeline.gates import Gates  # noqa: PLC0415
    from equime.generation_pipeline.settings import load_gates, make_gates  # noqa: PLC0415

    values: dict[str, Any] = msgspec.structs.asdict(load_gates(file) if file else Gates())
    for text in relaxed or []:
        name, _, right = text.partition("=")
        try:
            values[name.strip()] = float(right)
        except ValueError:
            values[name.strip()] = right.strip()
    return make_gates(values, "--gate")


def choose_encoder(crf: float | None, preset: str | None) -> Any:
    """Codec settings; what is not given keeps its default."""
    from typing import cast  # noqa: PLC0415

    from equime.video import EncoderSettings, Preset  # noqa: PLC0415

    default = EncoderSettings()
    return EncoderSettings(
        crf=default.crf if crf is None else crf,
        preset=default.preset if preset is None else cast("Preset", preset),
    )


def choose_renderer_options(texts: list[str] | None) -> dict[str, str]:
    """NAME=VALUE texts by name; the renderer says what they may be.

    Raises:
        InputError: no ``=``, or one name twice.
    """
    found: dict[str, str] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--renderer-option {text}: write NAME=VALUE, for example steps=8")
        if name.strip() in found:
            raise InputError(f"--renderer-option {name.strip()}: given twice; give it once")
        found[name.strip()] = value.strip()
    return found


def choose_settings(
    faces: Path,
    *,
    emotions: str | None,
    balance: list[str] | None,
    gates: Path | None,
    gate: list[str] | None,
    label_semantics: str | None,
    p_felt: float | None,
    crf: float | None,
    x264_preset: str | None,
    lossless: str | None,
    renderer_option: list[str] | None,
    **rest: Any,
) -> Any:
    """`Settings` of a run from the options as they were typed.

    Raises:
        InputError: with what is wrong, what is allowed and the next step.
    """
    from equime.generation_pipeline.balance import parse_balance  # noqa: PLC0415
    from equime.generation_pipeline.settings import make_settings  # noqa: PLC0415

    if lossless not in (None, "master"):
        raise InputError(f"lossless {lossless!r} not known; use --lossless master")
    return make_settings(
        faces,
        emotions=None if emotions is None else [name.strip() for name in emotions.split(",")],
        balance=parse_balance(balance or []),
        gates=choose_gates(gates, gate),
        p_felt=choose_p_felt(label_semantics, p_felt),
        encoder=choose_encoder(crf, x264_preset),
        lossless_master=lossless == "master",
        renderer_options=choose_renderer_options(renderer_option),
        **rest,
    )
