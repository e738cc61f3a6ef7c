"""Puts the layers of one portrait together."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.drawn_face import eyes, hair, relief, scene, skin
from equime.drawn_face.beard import paint_beard
from equime.drawn_face.canvas import Array, Canvas, mix
from equime.drawn_face.person import Person
from equime.drawn_face.shape import Shape, build_shape


def render(person: Person, size_px: int, oversample: float) -> NDArray[np.uint8]:
    """The portrait (size, size, 3) RGB."""
    canvas = Canvas(round(size_px * oversample))
    image = _paint(canvas, person, build_shape(person))
    if canvas.side_px != size_px:
        image = np.asarray(cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(scene.develop(image, size_px, person, oversample), np.uint8)


def _paint(canvas: Canvas, person: Person, shape: Shape) -> Array:
    ground = relief.build_relief(canvas, person, shape)
    depth = ground.depth()
    key_seen, sky_seen = relief.key_visibility(depth), relief.sky_visibility(depth)
    image = scene.background(canvas, person)
    image = hair.paint_back_hair(canvas, person, shape, image)
    image = _body(canvas, person, ground, key_seen, sky_seen, image)
    if person.hair_style != "headscarf":
        image = scene.paint_ears(canvas, person, shape, sky_seen, image)
    image = _head(canvas, person, shape, ground, key_seen, sky_seen, image)
    image = hair.paint_front_hair(canvas, person, shape, image)
    return scene.paint_glasses(canvas, person, shape, image) if person.glasses else image


def _body(
    canvas: Canvas,
    person: Person,
    ground: relief.Relief,
    key_seen: Array,
    sky_seen: Array,
    image: Array,
) -> Array:
    n = relief.normals(ground.neck, canvas)
    light = relief.irradiance(n, key_seen, sky_seen, canvas)
    # The neck lies deep under the jaw: contact shadow, which sets the chin off.
    deep = canvas.shift(canvas.blur(ground.head_mask, 3.5), 0.0, 2.0)
    neck = light * skin.base_colour(person) * (1 - 0.45 * deep)[..., None]
    image = mix(image, neck, ground.neck_mask)
    n = relief.normals(ground.torso, canvas)
    light = relief.irradiance(n, canvas.blur(key_seen, 7.0), sky_seen, canvas, skin=False)
    return mix(image, scene.garment(canvas, person, light, ground.torso_mask), ground.torso_mask)


def _head(
    canvas: Canvas,
    person: Person,
    shape: Shape,
    ground: relief.Relief,
    key_seen: Array,
    sky_seen: Array,
    image: Array,
) -> Array:
    albedo = skin.skin_albedo(canvas, person, shape)
    albedo = skin.paint_nostrils(canvas, shape, albedo)
    albedo, height = skin.paint_lips(canvas, person, shape, albedo, ground.head + skin.pores(canvas, person))
    n = relief.normals(height, canvas)
    light = relief.irradiance(n, key_seen, sky_seen, canvas)
    head = albedo * light + skin.sheen(canvas, person, shape, n, key_seen)[..., None]
    for side in (0, 1):
        head = eyes.crease_shade(canvas, relief.lid_crease(shape, side), head)
        head = eyes.paint_eye(canvas, person, shape, side, head, light)
    head = paint_beard(canvas, person, shape, head, light)
    head = eyes.paint_brows(canvas, person, shape, head, hair.brow_colour(person))
    head = eyes.paint_lashes(canvas, person, shape, head)
    return mix(image, head, ground.head_mask)
