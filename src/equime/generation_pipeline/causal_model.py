"""The structural causal model: from a face and noise to a `ClipSpec`, and to its counterfactuals.

Each node is ``value = mechanism(parents, noise)``. The noise of every node is a short list of uniform draws,
rounded to 6 decimals *before* use and written into the spec, so the record alone (with the model it names)
reproduces every value. The draws come from the stream (seed, face, replicate, node): not from the emotion.
The same face and replicate with another emotion is therefore a *noise twin*: same blinks, gaze, head, light,
and the same quantiles of intensity and timing. Other faces and other replicates are independent, and a node
that is added later changes no other node's draws.

The node context (the declared group of the face) has no child: emotion, AUs, timing and intensity cannot
depend on who the face is. Frame rate, duration and size are the clip's format, not nodes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from equime.errors import InputError
from equime.generation_pipeline.graph import NODE_NAMES, NODES, to_dot, to_mermaid
from equime.generation_pipeline.interventions import Forced, parse_do
from equime.generation_pipeline.mechanisms import ApexShape, PhaseValues
from equime.generation_pipeline.priors import Priors, default_priors
from equime.generation_pipeline.setting import Knowledge, Setting, validate_clip_format
from equime.seeding import canonical_json, content_id, uniforms
from equime.types import AuPeak, Camera, ClipSpec, Declared, Face, Phases

NAME: Final = "equime-scm"
VERSION: Final = "1"
"""Bumped whenever a mechanism changes what it returns for the same noise."""

MIN_PEAK: Final = 0.5
"""Below it FACS gives no letter; a natural asymmetry never lowers a side under it."""

Values = dict[str, Any]
Recorded = dict[str, tuple[float, ...]]


class CausalModel:
    """The causal model with its parameters.

    Args:
        priors: empirical priors; those that ship with equime where None.
        p_felt: probability of the felt label semantics, 0..1 (mixture weight).

    Raises:
        InputError: where ``p_felt`` is no probability.
    """

    def __init__(self, priors: Priors | None = None, *, p_felt: float = 0.0) -> None:
        if not 0 <= p_felt <= 1:
            raise InputError(f"p_felt {p_felt!r} is no probability; use 0 (au-defined) to 1 (felt)")
        self.priors = default_priors() if priors is None else priors
        self.p_felt = float(p_felt)
        self.model_id = f"{NAME}/{VERSION} priors={self.priors.digest} p_felt={self.p_felt:g}"
        self._knowledge = Knowledge.of(self.priors, self.p_felt)
        self._parse = functools.lru_cache(maxsize=64)(self._parse_encoded)
        self._noise = functools.lru_cache(maxsize=4)(_draw_noise)

    def sample(
        self,
        face: Face,
        seed: int,
        *,
        do: Mapping[str, Any] | None = None,
        replicate: int = 0,
        sequence: int = 1,
        fps: float = 24.0,
        duration_ms: float = 6000.0,
        size_px: int = 512,
    ) -> ClipSpec:
        """One draw of the model for a face.

        Args:
            face: whose clip.
            seed: of the run.
            do: interventions, node name to JSON value; see `interventions`.
            replicate: number of the noise draw of this face; clips with the same one are noise twins.
            sequence: number of the clip among the subject's, from 1.
            fps: frames per second, 24 to 500.
            duration_ms: of the clip.
            size_px: of the clip.

        Raises:
            InputError: for a wrong format or intervention.
        """
        fps, duration_ms = float(fps), float(duration_ms)
        validate_clip_format(fps, duration_ms, size_px)
        if sequence < 1:
            raise InputError(f"sequence {sequence} is below 1; clips of a subject count from 1")
        return self._spec(
            identity=(face.face_id, face.subject_id, face.declared),
            seed=seed,
            sequence=sequence,
            do=do or {},
            noise=self._noise(seed, face.face_id, replicate, duration_ms),
            clip_format=(fps, duration_ms, size_px),
        )

    def counterfactual(
        self, spec: ClipSpec, do: Mapping[str, Any], *, sequence: int | None = None
    ) -> ClipSpec:
        """What the clip would have been under other interventions: same face, same noise.

        Only the intervened nodes and their descendants change. Interventions of the factual spec stay in
        force unless ``do`` names their node again; ``null`` lifts one. ``twin_of`` is the factual spec's id.

        Raises:
            InputError: for a spec of another model, or a wrong intervention.
        """
        return self._twin(spec, do=_merge(spec.do, do), sequence=sequence)

    def twin_with_emotion(self, spec: ClipSpec, emotion: str, *, sequence: int | None = None) -> ClipSpec:
        """The same face and noise with another emotion."""
        return self.counterfactual(spec, {"emotion": emotion}, sequence=sequence)

    def twin_on_face(self, spec: ClipSpec, face: Face, *, sequence: int | None = None) -> ClipSpec:
        """The same clip on another face: everything but whose face it is, and its context, stays."""
        return self._twin(
            spec,
            do=spec.do,
            sequence=sequence,
            identity=(face.face_id, face.subject_id, face.declared),
        )

    def values(self, spec: ClipSpec) -> dict[str, Any]:
        """Every node's value, computed again from the noise and the interventions that the spec records.

        The context is read from the spec, because its only cause is the face.

        Raises:
            InputError: for a spec of another model.
        """
        self._check(spec)
        _, forced = self._interventions(spec.do)
        return _evaluate(
            {**forced, "context": spec.context},
            spec.noise,
            Setting(self._knowledge, spec.fps, spec.duration_ms),
        )

    def describe(self) -> dict[str, Any]:
        """The graph and its parameters as JSON data."""
        return {
            "name": NAME,
            "version": VERSION,
            "model": self.model_id,
            "p_felt": self.p_felt,
            "priors": {"digest": self.priors.digest, "about": self.priors.about},
            "emotions": list(self.priors.emotions),
            "nodes": [
                {
                    "name": node.name,
                    "about": node.about,
                    "parents": list(node.parents),
                    "n_noise_at_6_s": node.n_noise(6000.0),
                    "spec_fields": list(node.fields),
                }
                for node in NODES
            ],
            "edges": [[parent, node.name] for node in NODES for parent in node.parents],
        }

    def to_mermaid(self) -> str:
        """The graph as Mermaid text."""
        return to_mermaid()

    def to_dot(self) -> str:
        """The graph as DOT text, for Graphviz."""
        return to_dot(NAME)

    def _twin(
        self,
        spec: ClipSpec,
        *,
        do: Mapping[str, Any],
        sequence: int | None,
        identity: tuple[str, str, Declared] | None = None,
    ) -> ClipSpec:
        self._check(spec)
        return self._spec(
            identity=identity or (spec.face_id, spec.subject_id, None),
            seed=spec.seed,
            sequence=spec.sequence if sequence is None else sequence,
            do=do,
            noise=spec.noise,
            clip_format=(spec.fps, spec.duration_ms, spec.size_px),
            context=None if identity else spec.context,
            twin_of=spec.spec_id,
        )

    def _check(self, spec: ClipSpec) -> None:
        if spec.model != self.model_id:
            raise InputError(
                f"spec {spec.spec_id} is of the model {spec.model!r}, not of {self.model_id!r}; "
                "build the model with the priors and p_felt that the spec names"
            )
        _check_noise(spec)

    def _spec(
        self,
        *,
        identity: tuple[str, str, Declared | None],
        seed: int,
        sequence: int,
        do: Mapping[str, Any],
        noise: Recorded,
        clip_format: tuple[float, float, int],
        context: dict[str, str] | None = None,
        twin_of: str | None = None,
    ) -> ClipSpec:
        face_id, subject_id, declared = identity
        fps, duration_ms, size_px = clip_format
        record, forced = self._interventions(do)
        setting = Setting(self._knowledge, fps, duration_ms, declared or Declared())
        values = _evaluate(forced, noise, setting)
        if context is not None and "context" not in forced:
            values["context"] = context
        spec = ClipSpec(
            spec_id="",
            model=self.model_id,
            face_id=face_id,
            subject_id=subject_id,
            sequence=sequence,
            seed=seed,
            context=values["context"],
            label_semantics=values["label_semantics"],
            emotion=values["emotion"],
            aus=_peaks(values),
            phases=_phases(values["phases"], values["apex_shape"]),
            blinks=values["blinks"],
            gaze=values["gaze"],
            head=values["head"],
            camera=Camera(**values["sensor_noise"]._asdict(), **values["illumination"]._asdict()),
            fps=fps,
            duration_ms=duration_ms,
            size_px=size_px,
            noise=noise,
            do=record,
            twin_of=twin_of,
        )
        return msgspec.structs.replace(spec, spec_id=spec_id(spec))

    def _interventions(self, do: Mapping[str, Any]) -> tuple[dict[str, msgspec.Raw], Forced]:
        try:
            return self._parse(canonical_json(dict(do)))
        except TypeError as error:
            raise InputError(f"do {do!r} is not JSON data: {error}") from None

    def _parse_encoded(self, encoded: bytes) -> tuple[dict[str, msgspec.Raw], Forced]:
        plain, forced = parse_do(msgspec.json.decode(encoded), NODE_NAMES)
        emotion = forced.get("emotion", "neutral")
        if emotion not in self.priors.emotions:
            raise InputError(
                f"do emotion: the priors hold no AU sets for {emotion}; "
                f"they hold {', '.join(self.priors.emotions)}"
            )
        return {n: msgspec.Raw(canonical_json(plain[n])) for n in NODE_NAMES if n in plain}, forced


def spec_id(spec: ClipSpec) -> str:
    """Content id of a spec: everything in it, its own id taken as empty."""
    return content_id(msgspec.structs.replace(spec, spec_id=""))


def _draw_noise(seed: int, face_id: str, replicate: int, duration_ms: float) -> Recorded:
    """Recorded draws of every node, from the streams (seed, face, replicate, node)."""
    return {
        node.name: uniforms(node.n_noise(duration_ms), seed, "scm", face_id, replicate, node.name)
        for node in NODES
        if node.n_noise(duration_ms)
    }


def _evaluate(forced: Forced, noise: Recorded, setting: Setting) -> Values:
    """Every node's value, in causal order; a mechanism is handed its own parents and nothing else."""
    values: Values = {}
    for node in NODES:
        u = noise.get(node.name, ())
        if node.name in forced and node.force is None:
            values[node.name] = forced[node.name]
            continue
        value = node.mechanism({parent: values[parent] for parent in node.parents}, u, setting)
        if node.name in forced and node.force is not None:
            value = node.force(forced[node.name], value, u, setting)
        values[node.name] = value
    return values


def _peaks(values: Values) -> tuple[AuPeak, ...]:
    """The nodes au_set, laterality, intensity and asynchrony as records."""
    timing: PhaseValues | None = values["phases"]
    peaks = []
    for au in values["au_set"]:
        peak, (left, right), delay = (
            values["intensity"][au],
            values["laterality"][au],
            values["asynchrony"][au],
        )
        if timing is not None and delay >= timing.onset_to_apex_ms:
            raise InputError(
                f"do asynchrony: the delay of {delay:g} ms of AU {au} reaches the apex, "
                f"{timing.onset_to_apex_ms:g} ms after the onset; use a shorter delay"
            )
        peaks.append(AuPeak(au=au, left=_side(peak, left), right=_side(peak, right), delay_ms=delay))
    return tuple(peaks)


def _side(peak: float, factor: float) -> float:
    return max(min(MIN_PEAK, peak), round(peak * factor, 3)) if factor else 0.0


def _phases(timing: PhaseValues | None, shape: ApexShape | None) -> Phases | None:
    if timing is None or shape is None:
        return None
    if shape.hold_ms >= timing.apex_to_offset_ms:
        raise InputError(
            f"do apex_shape: hold_ms {shape.hold_ms:g} reaches the offset, "
            f"{timing.apex_to_offset_ms:g} ms after the apex; "
            "use a shorter hold or a longer apex_to_offset_ms"
        )
    apex_ms = round(timing.onset_ms + timing.onset_to_apex_ms, 2)
    return Phases(
        onset_ms=timing.onset_ms,
        apex_ms=apex_ms,
        hold_ms=shape.hold_ms,
        offset_ms=round(apex_ms + timing.apex_to_offset_ms, 2),
        rise=shape.rise,
        decay=shape.decay,
    )


def _merge(factual: Mapping[str, Any], do: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**factual, **do}
    return {node: value for node, value in merged.items() if value is not None}


def _check_noise(spec: ClipSpec) -> None:
    short = [
        f"{node.name} ({len(spec.noise.get(node.name, ()))} of {node.n_noise(spec.duration_ms)})"
        for node in NODES
        if len(spec.noise.get(node.name, ())) != node.n_noise(spec.duration_ms)
    ]
    if short:
        raise InputError(f"spec {spec.spec_id}: recorded noise does not fit the model: {', '.join(short)}")
