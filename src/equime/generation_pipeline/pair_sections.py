"""Sections of the recipe of training pairs: everything that varies around the AU sets.

Every section has ``on``; what is off is at rest (no blink, no noise, a head that keeps still).
"""

from __future__ import annotations

from equime.types import Record

Range = tuple[float, float]


class Intensity(Record, frozen=True):
    """How strong the AUs are at the peak, as fractions of their maximum (FACS E).

    Attributes:
        fraction: of the pair, uniform in this range; fixed at its middle when off.
        per_au: factor of each AU on it, uniform.
    """

    on: bool = True
    fraction: Range = (0.08, 0.55)
    per_au: Range = (0.5, 1.4)


class Sides(Record, frozen=True):
    """Left and right: one-sided AUs by the priors' shares, and how much the weaker side may lack (share)."""

    on: bool = True
    imbalance: float = 0.3


class Timing(Record, frozen=True):
    """Coders' timing: the apex frame shows this share of the peak, the onset frame already this share of it."""

    on: bool = True
    apex: Range = (0.7, 1.0)
    onset: Range = (0.0, 0.1)


class CoderNoise(Record, frozen=True):
    """An AU that nobody coded, in a share ``p`` of the pairs.

    Attributes:
        aus: one of these.
        fraction: of its maximum.
    """

    on: bool = True
    p: float = 0.45
    aus: tuple[int, ...] = (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25)
    fraction: Range = (0.03, 0.3)


class Blink(Record, frozen=True):
    """A blink in progress in a share ``p`` of the pairs: lids at different closures at onset and apex."""

    on: bool = True
    p: float = 0.2


class Gaze(Record, frozen=True):
    """Gaze that shifts in a share ``p`` of the pairs; standard deviation of each angle in degrees."""

    on: bool = True
    p: float = 0.3
    sd_deg: float = 2.0


class Head(Record, frozen=True):
    """Head motion from onset to apex, Student's t with ``tail_df`` degrees of freedom (heavier tails).

    Attributes:
        shift_mm: standard deviation of the shift along either axis; 0.45 mm are half a pixel where the face is
            170 px wide.
        turn_deg: of yaw and pitch.
        roll_deg: of roll.
        towards_mm: towards the camera (scale).
    """

    on: bool = True
    shift_mm: float = 0.45
    turn_deg: float = 0.35
    roll_deg: float = 0.22
    towards_mm: float = 1.5
    tail_df: float = 4.0


class Pose(Record, frozen=True):
    """How the head is held in both frames: standard deviations of yaw and pitch, of gaze, degrees."""

    on: bool = True
    yaw_deg: float = 3.0
    pitch_deg: float = 3.0
    gaze_deg: float = 3.0


class Muscles(Record, frozen=True):
    """How a person's muscles differ from the model; drawn per face and variant.

    Attributes:
        scale: factor on each AU's displacement.
        turn_deg: standard deviation of the direction's turn, both sides alike (mirrored), and half of that for each
            side alone; cut at two standard deviations.
        warp_mm: standard deviation of a smooth random shift of where on the face each muscle acts.
        furrows: factor on the depth of the folds.
    """

    on: bool = True
    scale: Range = (0.5, 1.5)
    turn_deg: float = 13.0
    warp_mm: float = 4.0
    furrows: Range = (0.2, 1.6)


class Texture(Record, frozen=True):
    """Fine skin texture painted on the picture before the skin moves, so that it moves with it.

    Attributes:
        amount: relative standard deviation.
        size_mm: standard deviation of the finest blobs.
        spots: freckles and moles, at most.
    """

    on: bool = True
    amount: Range = (0.01, 0.05)
    size_mm: Range = (0.4, 1.2)
    spots: int = 25


class Resolution(Record, frozen=True):
    """Width of the face in pixels, log-uniform; 220 when off."""

    on: bool = True
    face_px: Range = (100.0, 320.0)


class Crop(Record, frozen=True):
    """How the face is cut out, uniform in each range; the whole head with the recipe's margin when off.

    The corpora's own crops differ: 1.8 eye distances wide and 2.2 high in SMIC (Pfister et al. 2011), 2.4 by 2.9 where
    the five points that HTNet's public code falls back on lie, boxes of a face detector in between.

    Attributes:
        width: in distances between the centres of the eyes.
        aspect: height over width.
        eyes: height of the eyes from the upper edge, share of the height.
        shift_sd: standard deviation of the shift to either side, in eye distances.
        turn_sd_deg: standard deviation of the tilt.
        square_p: share of pairs that are cut square, ``aspect`` 1, as detectors' boxes often are.
    """

    on: bool = True
    width: Range = (1.8, 2.7)
    aspect: Range = (1.05, 1.3)
    eyes: Range = (0.24, 0.42)
    shift_sd: float = 0.07
    turn_sd_deg: float = 2.0
    square_p: float = 0.15


class Blur(Record, frozen=True):
    """Defocus of both frames, and how much it may differ between them (sigma, pixels)."""

    on: bool = True
    sigma_px: Range = (0.0, 1.2)
    differs_px: float = 0.1


class Light(Record, frozen=True):
    """Light and tone.

    Attributes:
        gain_sd: change of brightness from onset to apex.
        gradient_sd: change of a brightness gradient over the face, from onset to apex.
        static_gradient_sd: gradient of both frames.
        exposure: mean brightness of the middle of the face (0..1) that the camera exposes both frames for; half
            of the way there is gone, so that skin tones stay apart.
        gamma: of both frames.
        contrast: of both frames.
    """

    on: bool = True
    gain_sd: float = 0.008
    gradient_sd: float = 0.006
    static_gradient_sd: float = 0.12
    exposure: Range = (0.35, 0.65)
    gamma: Range = (0.7, 1.5)
    contrast: Range = (0.75, 1.1)


class Sensor(Record, frozen=True):
    """Noise of the sensor.

    Attributes:
        sigma: standard deviation in grey levels at mid grey, of which half the variance grows with the light.
        smooth_p: share of pairs whose noise is spatially correlated (demosaiced or denoised).
    """

    on: bool = True
    sigma: Range = (0.5, 4.5)
    smooth_p: float = 0.5


class Compression(Record, frozen=True):
    """JPEG of both frames in a share ``p`` of the pairs before they are stored; range of the quality."""

    on: bool = True
    p: float = 0.6
    quality: tuple[int, int] = (50, 95)
