"""The records that equime writes: intent, fact and rejection, each its own frozen type.

*Face* (who), *ClipSpec* (intent: one draw of the causal model), *Clip* (fact: a finished file). Measurement
lives in Parquet tables keyed by ``clip_id`` and never in these records. All of them are `msgspec.Struct`:
frozen, validated on reading, one JSON line each. Times are milliseconds from the first frame, intensities
run 0..5 (FACS A = 1 to E = 5), left and right are the subject's, lengths on the face are millimetres,
``crop_px`` lengths are pixels of the aligned crop at its reference size (`CROP_PX`).
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

CROP_PX: Final = 512
"""Side of the aligned crop that alignment transforms and landmarks refer to."""

N_LANDMARKS: Final = 478
"""MediaPipe face mesh with irises (468 mesh points, 2 x 5 iris points)."""

Gender = Literal["m", "f", "u"]
LabelSemantics = Literal["au-defined", "felt"]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every record on disk."""


class Declared(Record, frozen=True, omit_defaults=True):
    """Attributes that the source of a face declares; never an estimate. None is "not declared"."""

    gender: Gender = "u"
    age: float | None = None
    ethnicity: str | None = None
    extra: dict[str, str] = {}


class FaceQuality(Record, frozen=True):
    """What the gates looked at, measured on the aligned crop or the source image.

    Attributes:
        face_px: shorter side of the face's bounding box in the *source* image, pixels.
        sharpness: variance of the Laplacian of the face at a standard size (grey levels squared).
        yaw_deg: head turn, positive to the subject's left.
        pitch_deg: positive up.
        roll_deg: tilt in the source image, positive to the subject's left.
        eye_open: smaller of the two lid gaps over eye width, ratio.
        mouth_open: inner-lip gap over mouth width, ratio.
        smile: lip-corner lift and widening against the default face, ratio; above 0 smiles.
        humanness: 0..1, agreement of the checks that tell human faces from animals and statues.
        n_faces: faces found in the source image.
        glasses: 0..1, evidence of glasses.
    """

    face_px: float
    sharpness: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    eye_open: float
    mouth_open: float
    smile: float
    humanness: float
    n_faces: int
    glasses: float = 0.0


class Face(Record, frozen=True):
    """One source identity that passed the gates.

    Attributes:
        face_id: content id of image digest, face index and alignment version.
        subject_id: identity; at most one Face per subject in a Dataset.
        path: source image, relative to the run's face source where it lies inside, else absolute.
        sha256: digest of the source file.
        face_index: which of the faces in the image, largest first.
        image_size: (width, height) of the source after EXIF rotation.
        to_crop: 2x3 similarity, row by row: source pixel (x, y, 1) to crop pixel at `CROP_PX`.
        landmarks: file with the (478, 3) float32 landmarks in crop pixels, relative to the Dataset.
        px_per_mm: scale of the face in the crop, from the irises (11.7 mm) and the eye distance.
        source: name of the face source ("folder", "celeba-hq", a data set's name).
        licence: licence of the source image as declared; "unknown" where nobody said.
        declared: attributes that the source declares.
        quality: what the gates measured.
        aligner: name and version of detector and alignment.
    """

    face_id: str
    subject_id: str
    path: str
    sha256: str
    face_index: int
    image_size: tuple[int, int]
    to_crop: tuple[float, float, float, float, float, float]
    landmarks: str
    px_per_mm: float
    source: str
    licence: str
    declared: Declared
    quality: FaceQuality
    aligner: str


class Rejection(Record, frozen=True, omit_defaults=True):
    """One image that gives no Face, and why.

    Attributes:
        path: the image as the source names it.
        reason: stable code: unreadable, no_face, several_faces, not_human, too_small, blurred, not_frontal,
            eyes_closed, mouth_open, smiling, duplicate_image, duplicate_subject, filtered_out.
        message: value, threshold and the next step, for a person.
        sha256: digest of the file where it could be read.
        subject_id: as declared or derived.
        quality: measurements, where they got that far.
    """

    path: str
    reason: str
    message: str
    sha256: str | None = None
    subject_id: str | None = None
    quality: FaceQuality | None = None


class AuPeak(Record, frozen=True):
    """Peak of one AU in a clip.

    Attributes:
        au: FACS number.
        left: intensity at apex on the subject's left, 0..5.
        right: the same on the right. Equal to left for AUs that FACS does not side.
        delay_ms: onset of this AU after the clip's onset, >= 0; its apex is the clip's apex.
    """

    au: int
    left: float
    right: float
    delay_ms: float = 0.0


class Phases(Record, frozen=True):
    """Timing of the micro-expression: neutral until onset, rises to apex, holds, gone at offset.

    Attributes:
        onset_ms: last instant of neutral before the movement.
        apex_ms: instant of the largest intensity (start of the hold).
        hold_ms: how long the apex is held, 0 for a peak.
        offset_ms: first instant of neutral afterwards.
        rise: exponent of the smooth rise, 1 is the symmetric S-curve.
        decay: the same for the decay.
    """

    onset_ms: float
    apex_ms: float
    hold_ms: float
    offset_ms: float
    rise: float = 1.0
    decay: float = 1.0


class Blink(Record, frozen=True):
    """One blink: lids close within a third of the duration and open in the rest.

    Attributes:
        start_ms: first movement of the lids.
        duration_ms: until the lids are open again.
        closure: 1 closes fully, less is a partial blink.
    """

    start_ms: float
    duration_ms: float
    closure: float = 1.0


class GazeShift(Record, frozen=True):
    """One saccade to a new gaze direction, held until the next.

    Attributes:
        start_ms: start of the saccade.
        duration_ms: of the movement itself.
        yaw_deg: target, positive to the subject's left, relative to the photograph's gaze.
        pitch_deg: target, positive up.
    """

    start_ms: float
    duration_ms: float
    yaw_deg: float
    pitch_deg: float


HeadAxis = Literal["yaw_deg", "pitch_deg", "roll_deg", "x_mm", "y_mm", "z_mm"]


class HeadWave(Record, frozen=True):
    """One slow sinusoid of one axis of head motion, ``amplitude * (sin(2 pi t/period + phase) - sin(phase))``.

    Axes: yaw (positive to the subject's left), pitch (up), roll (tilt to the subject's left), x (to the
    subject's left), y (up), z (towards the camera). Frame 0 is therefore always the photograph's pose.
    """

    axis: HeadAxis
    amplitude: float
    period_ms: float
    phase_rad: float


class Camera(Record, frozen=True):
    """What the camera adds so that a neutral frame is not frozen.

    Attributes:
        noise_sigma: standard deviation of sensor noise, grey levels of 255.
        noise_seed: stream of the noise.
        light_amplitude: relative amplitude of the slow illumination drift (0.01 is 1 %).
        light_period_ms: its period.
        light_phase_rad: its phase; the drift is 0 at frame 0.
    """

    noise_sigma: float
    noise_seed: int
    light_amplitude: float
    light_period_ms: float
    light_phase_rad: float


class ClipSpec(Record, frozen=True, omit_defaults=True):
    """Intent: one draw of the structural causal model for one face.

    Attributes:
        spec_id: content id of everything else in the record.
        model: name and version of the causal model, with the digest of its priors.
        face_id: whose face.
        subject_id: identity of that face.
        sequence: number of this clip among the subject's, from 1; part of the file name.
        seed: the run's seed; the noise is derived from it and recorded below.
        context: value of the context node (declared or estimated group); nothing has it as a parent.
        label_semantics: whether the emotion is readable from the AUs or as felt.
        emotion: one of `equime.action_units.EMOTIONS`.
        aus: AUs at apex; empty for neutral.
        phases: timing; None for neutral.
        blinks, gaze, head: confounders that every clip has, whatever its emotion.
        camera: sensor noise and light.
        fps, duration_ms, size_px: of the clip; frames = round(duration * fps).
        noise: recorded exogenous noise per node, uniform draws in [0, 1).
        do: interventions, node name to forced value (JSON).
        twin_of: spec_id of the factual spec that this is a counterfactual of.
    """

    spec_id: str
    model: str
    face_id: str
    subject_id: str
    sequence: int
    seed: int
    context: dict[str, str]
    label_semantics: LabelSemantics
    emotion: str
    aus: tuple[AuPeak, ...]
    phases: Phases | None
    blinks: tuple[Blink, ...]
    gaze: tuple[GazeShift, ...]
    head: tuple[HeadWave, ...]
    camera: Camera
    fps: float
    duration_ms: float
    size_px: int
    noise: dict[str, tuple[float, ...]]
    do: dict[str, msgspec.Raw] = {}
    twin_of: str | None = None

    @property
    def n_frames(self) -> int:
        """Frames of the clip."""
        return round(self.duration_ms * self.fps / 1000)


class FrameTiming(Record, frozen=True):
    """Onset, apex and offset as frames of the file, from the exact curves.

    Attributes:
        onset_frame: first frame that shows movement of the micro-expression.
        apex_frame: frame of the largest total intensity.
        offset_frame: last frame that shows it.
        onset_ms, apex_ms, offset_ms: the exact instants of the spec (not the frames' times), or the measured ones
            (`Clip.labels`).
    """

    onset_frame: int
    apex_frame: int
    offset_frame: int
    onset_ms: float
    apex_ms: float
    offset_ms: float


class Captions(Record, frozen=True):
    """Text written from the AUs; `equime.generation_pipeline.captions.parse` recovers the facts.

    Attributes:
        short: one short sentence.
        facs: names AUs, sides, intensity letters and phases with times.
        plain: the same without AU codes, for a lay reader.
        paraphrases: seeded variants of the plain sentence.
    """

    short: str
    facs: str
    plain: str
    paraphrases: tuple[str, ...] = ()


Labels = Literal["exact", "measured"]


class Shown(Record, frozen=True, omit_defaults=True):
    """What a generated clip shows, measured on its frames, and how it came about; see `Clip.shown`.

    Attributes:
        accepted: whether the adherence gate found what was intended.
        reason, message: why it did not; None and the gate's words where it did.
        gate: name and version of the gate.
        aus: AUs measured at the apex, those of at least half of FACS A.
        phases: onset, apex and offset as measured; None where the clip shows no whole movement.
        blinks: as measured, from where the lids leave open until they are open again.
        agreement: cosine of measured and intended movement of the facial regions, -1..1.
        onset_error_ms, apex_error_ms: measured less intended.
        attempt: from 0; so many clips of this spec were refused before.
        seed: of the model's noise.
        prompt: text that the clip was made with.
    """

    accepted: bool
    message: str
    gate: str
    attempt: int
    reason: str | None = None
    aus: tuple[AuPeak, ...] = ()
    phases: Phases | None = None
    blinks: tuple[Blink, ...] = ()
    agreement: float | None = None
    onset_error_ms: float | None = None
    apex_error_ms: float | None = None
    seed: int | None = None
    prompt: str = ""


class Attempt(Record, frozen=True, omit_defaults=True):
    """One clip that a generating renderer made for a spec, kept or not; a line of ``attempts.jsonl``.

    Attributes:
        clip_id, spec_id, subject_id, emotion: what it was made for.
        attempt: from 0.
        accepted: by the gate.
        reason, message: as in `Shown`.
        seconds: wall time of making it, its share of the batch.
    """

    clip_id: str
    spec_id: str
    subject_id: str
    emotion: str
    attempt: int
    accepted: bool
    message: str
    seconds: float
    reason: str | None = None


class Clip(Record, frozen=True, omit_defaults=True):
    """Fact: one finished file. A line in ``clips.jsonl`` means that the file is complete.

    Attributes:
        clip_id: content id of spec, renderer, its version and parameters, and the encoder settings.
        spec_id: what was intended.
        face_id: whose face.
        file: relative to the Dataset.
        sha256: of the file.
        renderer, renderer_version, renderer_params: what made the frames.
        encoder: codec settings, as passed.
        n_frames, fps, width, height, codec, pix_fmt, duration_ms, size_bytes, bitrate_kbps: probed.
        timing: None for neutral clips, and for generated ones that show no whole movement.
        captions: text.
        measured: False: the renderer obeys the spec, so AUs and timing are the spec's. True: it does not; AUs, timing
            and captions are what was measured (`shown`), and the spec is only what was intended.
        shown: what was measured; None for renderers that need no measuring.
    """

    clip_id: str
    spec_id: str
    face_id: str
    file: str
    sha256: str
    renderer: str
    renderer_version: str
    renderer_params: dict[str, float | int | str | bool]
    encoder: dict[str, float | int | str | bool]
    n_frames: int
    fps: float
    width: int
    height: int
    codec: str
    pix_fmt: str
    duration_ms: float
    size_bytes: int
    bitrate_kbps: float
    timing: FrameTiming | None
    captions: Captions
    # No text as a default: msgspec knows defaults by identity, and a text that came from a worker is another object.
    measured: bool = False
    shown: Shown | None = None

    @property
    def labels(self) -> Labels:
        """Where AUs and timing come from."""
        return "measured" if self.measured else "exact"


class Failure(Record, frozen=True, omit_defaults=True):
    """One clip that could not be made; the run went on.

    Attributes:
        attempts: clips that were made for it and refused; a further run goes on with the next.
    """

    clip_id: str
    spec_id: str
    error: str
    message: str
    attempts: int = 0
