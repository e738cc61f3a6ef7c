"""ITA of known colours, of drawn faces, and of the same faces in worse light: how far it moves.

    python bench/skin_tone.py [--size 320] [--json FILE]

Four tables. *Patches*: CIELAB and ITA against scikit-image and, for the ColorChecker, against the published
CIELAB (D50, hence the difference in a*). *Painted*: cheeks and forehead of a drawn face are painted in one colour
with noise; what is measured is compared with it. *Drawn*: one face per Monk tone; the reflectance that its skin
is drawn with against what is measured under the drawing's light, which comes from one side and shines.
*Changed*: the drawn faces again, changed in linear light or stored less well: ITA less that of the unchanged
picture in degrees (mean, largest in size), mean lighting confidence before and after, and how often the group changes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.color import rgb2lab

from equime.annotation.measure import measure_clip
from equime.attribute_extraction import sampled_faces as sampling
from equime.attribute_extraction.colour import ITA_GROUPS, ita_deg, ita_group, lab, lab_of_hex, linear
from equime.attribute_extraction.face_geometry import FaceGeometry
from equime.attribute_extraction.monk import SWATCHES
from equime.attribute_extraction.sampled_faces import SampledFace, SampledFaces, sampled_faces
from equime.attribute_extraction.skin_regions import outlines
from equime.attribute_extraction.skin_tone import SkinTone, skin_row
from equime.clip_sources import find_clips
from equime.drawn_face import DrawnFace, describe_face
from equime.drawn_face.portraits import Person
from equime.drawn_face.skin import base_colour
from equime.frames import Frame
from equime.seeding import stream
from equime.video import EncoderSettings, read_frames, rgb_to_yuv, write_clip

COLORCHECKER = {
    "ColorChecker dark skin": ("#735244", (37.986, 13.555, 14.059)),
    "ColorChecker light skin": ("#c29682", (65.711, 18.130, 17.810)),
}
"""sRGB and CIELAB (D50) as published by X-Rite 2009."""

Image = np.ndarray
Change = Callable[[Image, Image], Image]
"""(uint8 RGB, landmarks) to uint8 RGB."""


def bytes_of(hexed: str) -> Image:
    return np.frombuffer(bytes.fromhex(hexed[1:]), np.uint8)


def to_srgb(light: Image) -> Image:
    v = np.clip(light, 0, 1)
    return np.rint(255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)).astype(np.uint8)


def places(rgb: Image, points: Image) -> tuple[Image, Image]:
    """Place (x, y) of every pixel in half face widths and heights from the tip of the nose."""
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]].astype(np.float64)
    half = np.ptp(points[:, :2], axis=0) / 2
    return (x - points[1, 0]) / half[0], (y - points[1, 1]) / half[1]


def lit(gain: Callable[[Image, Image], Image]) -> Change:
    def change(rgb: Image, points: Image) -> Image:
        return to_srgb(linear(rgb / 255) * gain(*places(rgb, points))[..., None])

    return change


def gains(red: float, green: float, blue: float) -> Change:
    return lambda rgb, points: to_srgb(linear(rgb / 255) * np.array([red, green, blue]))


def highlights(spread: float) -> Change:
    """White light added in spots on both cheeks and the forehead, full in their middle."""

    def change(rgb: Image, points: Image) -> Image:
        x, y = places(rgb, points)
        light = linear(rgb / 255)
        for cx, cy in ((-0.5, -0.1), (0.5, -0.1), (0.1, -0.65)):
            light += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * spread**2))[..., None]
        return to_srgb(light)

    return change


def noise(sigma: float) -> Change:
    def change(rgb: Image, points: Image) -> Image:
        grain = stream(0, "bench", "skin_tone", "noise").normal(0, sigma, rgb.shape)
        return np.clip(np.rint(rgb + grain), 0, 255).astype(np.uint8)

    return change


def jpeg(quality: int) -> Change:
    def change(rgb: Image, points: Image) -> Image:
        data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]

    return change


def x264(crf: int) -> Change:
    def change(rgb: Image, points: Image) -> Image:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.mp4"
            settings = EncoderSettings(crf=crf)
            write_clip(path, [rgb_to_yuv(rgb)] * 3, fps=24, size=len(rgb), settings=settings)
            return list(read_frames(path))[-1]

    return change


def smaller(factor: float) -> Change:
    return lambda rgb, points: cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


CHANGES: dict[str, Change] = {
    "gradient left-right, 2:1 over the face": lit(lambda x, y: 2 ** (0.5 * np.clip(x, -1.2, 1.2))),
    "gradient left-right, 4:1": lit(lambda x, y: 2 ** np.clip(x, -1.2, 1.2)),
    "gradient top-bottom, 2:1": lit(lambda x, y: 2 ** (-0.5 * np.clip(y, -1.2, 1.2))),
    "cast shadow on one half, -1 EV": lit(lambda x, y: np.where(x < -0.15, 0.5, 1.0)),
    "small highlights on cheeks and forehead": highlights(0.03),
    "large highlights on cheeks and forehead": highlights(0.09),
    "exposure -1/2 EV": gains(0.71, 0.71, 0.71),
    "exposure +1/2 EV": gains(1.41, 1.41, 1.41),
    "warm light (R 1.2, B 0.75)": gains(1.2, 1.0, 0.75),
    "yellow lamp (R 1.35, B 0.45)": gains(1.35, 1.0, 0.45),
    "cool light (R 0.85, B 1.2)": gains(0.85, 1.0, 1.2),
    "noise, s.d. 8 levels": noise(8),
    "JPEG quality 40": jpeg(40),
    "x264 crf 18": x264(18),
    "x264 crf 32": x264(32),
    "half the size": smaller(0.5),
    "a quarter of the size": smaller(0.25),
}


def row(rgb: Image) -> dict[str, Any]:
    return skin_row(sampled_faces([Frame(0, 0.0, np.ascontiguousarray(rgb[..., ::-1]))])).values


def patches() -> list[dict[str, Any]]:
    print(
        f"\n{'patch':26}{'sRGB':9}{'L* a* b*':>22}{'scikit-image':>22}{'published (D50)':>22}{'ITA':>8}  group"
    )
    table = {name: (code, published) for name, (code, published) in COLORCHECKER.items()}
    table |= {f"Monk {i + 1}": (code, None) for i, code in enumerate(SWATCHES)}
    rows = []
    for name, (code, published) in table.items():
        ours, theirs = lab_of_hex(code), rgb2lab(bytes_of(code)[None, None] / 255)[0, 0]
        angle = ita_deg(ours)
        assert angle is not None
        texts = [" ".join(f"{v:6.2f}" for v in values) if values is not None else "" for values in
                 (ours, theirs, published)]  # fmt: skip
        print(f"{name:26}{code:9}{texts[0]:>22}{texts[1]:>22}{texts[2]:>22}{angle:8.1f}  {ita_group(angle)}")
        rows.append({"patch": name, "lab": ours.tolist(), "skimage": theirs.tolist(), "ita_deg": angle})
    return rows


def painted(size: int) -> list[dict[str, Any]]:
    face = describe_face(911, skin_tone=5, gender="f")
    rgb, points = face.image(size), face.landmarks(size)
    print(f"\n{'painted colour':16}{'its ITA':>9}{'measured':>10}{'colour difference':>19}")
    rows = []
    for code in ("#f0d5c6", "#e0b39a", "#c29682", "#a9785a", "#735244", "#4a3228", "#33241e"):
        drawn = rgb.astype(np.float64)
        for outline in outlines(points[:, :2].astype(np.float64)).values():
            mask = cv2.fillPoly(np.zeros(rgb.shape[:2], np.uint8), [np.rint(outline).astype(np.int32)], 1) > 0
            grain = stream(0, "bench", "skin_tone", "painted").normal(0, 4, (mask.sum(), 3))
            drawn[mask] = bytes_of(code) + grain
        image = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
        values = skin_row(SampledFaces((SampledFace(image, points),), 1, 1)).values
        found = [values[f"measured_{name}"] for name in ("lightness", "a", "b")]
        true, away = ita_deg(lab_of_hex(code)), float(np.linalg.norm(found - lab_of_hex(code)))
        print(f"{code:16}{true:9.1f}{values['measured_ita_deg']:10.1f}{away:19.2f}")
        rows.append({"painted": code, "ita_deg": true, "measured_ita_deg": values["measured_ita_deg"]})
    return rows


def reflectance(face: DrawnFace) -> Image:
    fields = {name: getattr(face, name) for name in Person.__struct_fields__}
    return lab(to_srgb(base_colour(Person(**fields))))


def drawn(faces: list[DrawnFace], size: int) -> list[dict[str, Any]]:
    print(
        f"\n{'tone':>4}{'drawn ITA':>11}{'measured':>10}  {'group':14}{'L*':>6}{'hue':>6}{'Monk':>6}{'confidence':>12}"
    )
    rows = []
    for face in faces:
        values, true = row(face.image(size)), ita_deg(reflectance(face))
        print(f"{face.skin_tone:4}{true:11.1f}{values['measured_ita_deg']:10.1f}  {values['measured_ita_group']:14}"
              f"{values['measured_lightness']:6.1f}{values['measured_hue_deg']:6.0f}{values['measured_monk']:6}"
              f"{values['lighting_confidence']:12.2f}")  # fmt: skip
        rows.append({"tone": face.skin_tone, "drawn_ita_deg": true, **values})
    return rows


def changed(faces: list[DrawnFace], size: int) -> list[dict[str, Any]]:
    print(f"\n{'change':42}{'n':>4}{'mean':>8}{'largest':>9}{'confidence':>17}{'group changed':>15}")
    before = [(face.image(size), face.landmarks(size)) for face in faces]
    plain = [row(rgb) for rgb, _ in before]
    rows = []
    for name, change in CHANGES.items():
        after = [row(change(rgb, points)) for rgb, points in before]
        pairs = [(a, b) for a, b in zip(plain, after, strict=True) if b["measured_ita_deg"] is not None]
        moved = np.array([b["measured_ita_deg"] - a["measured_ita_deg"] for a, b in pairs])
        sure = [float(np.mean([p[i]["lighting_confidence"] for p in pairs])) for i in (0, 1)]
        groups = sum(a["measured_ita_group"] != b["measured_ita_group"] for a, b in pairs)
        largest = moved[np.abs(moved).argmax()]
        print(
            f"{name:42}{len(pairs):4}{moved.mean():8.1f}{largest:9.1f}{sure[0]:9.2f} -> {sure[1]:.2f}{groups:15}"
        )
        rows.append({"change": name, "n": len(pairs), "mean_deg": float(moved.mean()), "largest_deg": float(largest),
                     "confidence": sure, "group_changed": groups})  # fmt: skip
    return rows


def speed() -> dict[str, float]:
    """CPU time in ms of one 512 px, 144 frame clip, and of its decoding alone."""
    rgb = describe_face(911).image(512)
    with tempfile.TemporaryDirectory() as folder:
        write_clip(
            Path(folder) / "a.mp4",
            [rgb_to_yuv(np.roll(rgb, k // 40, 1)) for k in range(144)],
            fps=24,
            size=512,
        )
        source = find_clips(Path(folder))[0][0]
        measure_clip(source, [SkinTone()])
        out = {}
        for name, annotators in (
            ("decoding", []),
            ("skin_tone", [SkinTone()]),
            ("both", [SkinTone(), FaceGeometry()]),
        ):
            times = []
            for _ in range(3):
                sampling._found.clear()
                began = time.process_time()
                measure_clip(source, annotators)
                times.append(1000 * (time.process_time() - began))
            out[name] = float(np.median(times))
    print(f"\nCPU ms per clip of 144 frames, 512 px: decoding {out['decoding']:.0f}, with skin_tone {out['skin_tone']:.0f}, "
          f"with skin_tone and face_geometry {out['both']:.0f}")  # fmt: skip
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    faces = [
        describe_face(930 + tone, skin_tone=tone, gender="fm"[tone % 2], glasses=False)
        for tone in range(1, 11)
    ]
    print(f"groups from dark to light: {', '.join(ITA_GROUPS)}")
    result = {"patches": patches(), "painted": painted(options.size), "drawn": drawn(faces, options.size)}
    result |= {"changed": changed(faces, options.size), "ms_per_clip": speed()}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
