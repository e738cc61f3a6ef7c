"""The audit on a set in which nothing goes with who a person is, and on the same set with a planted bias.

    python bench/planted_audit.py FACES WORK [--clips 285] [--seed 11] [--factor 0.75] [--swap 0.5]

FACES are photographs of one's own (a folder or a table). WORK/null is made with identity twins; in WORK/planted the
half of the people with the darker measured skin (lower ITA) gets every expression at ``factor`` of its intensity,
and ``swap`` of its happiness clips are drawn as anger instead. Both are rendered, measured from their pixels and
audited with the same commands as any data set. What must come out: nothing on the first but what the renderer does;
on the second, intensity and emotion by skin tone, and by nothing else that skin tone does not go with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import equime
from equime.action_units import MAX_INTENSITY
from equime.annotation.choice import choose
from equime.annotation.run import measure_set
from equime.annotation.suites import ATTRIBUTES
from equime.dataset import Dataset
from equime.evaluation_framework.audit.load import load
from equime.evaluation_framework.audit.records import Audit
from equime.evaluation_framework.audit.report import write_audit
from equime.evaluation_framework.audit.run import audit
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.pipeline import prepared
from equime.generation_pipeline.settings import make_settings
from equime.layout import SPECS
from equime.progress import Silent
from equime.records import write_atomic
from equime.seeding import canonical_json, uniforms
from equime.types import ClipSpec

MEASURED = ("timing", "au_fidelity", "identity")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faces", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--clips", type=int, default=285)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--duration", type=float, default=3.0)
    parser.add_argument("--factor", type=float, default=0.75)
    parser.add_argument("--swap", type=float, default=0.5)
    given = parser.parse_args()
    made = {
        "clips": given.clips, "seed": given.seed, "duration_s": given.duration, "twins": True,
        "gates": Gates(max_smile=1.0, max_mouth_open=0.3),
    }  # fmt: skip
    null, planted = given.work / "null", given.work / "planted"
    equime.generate(given.faces, null, **made)
    measure(null)
    darker = darker_half(null)
    print(f"planted in {len(darker)} people: {', '.join(sorted(darker))}")
    settings = make_settings(given.faces, **made)
    prepared(settings, planted, preset=None, workers=None, progress=Silent())
    plant(null, planted, darker, given.factor, given.swap)
    equime.generate(given.faces, planted, **made)
    measure(planted)
    for name, path in (("null", null), ("planted", planted)):
        result = audit(path)
        files = write_audit(result, path / "reports" / "audit")
        show(name, result)
        print(files[0])


def measure(path: Path) -> None:
    """Skin tone and geometry, motion, timing, quality: everything that needs no weights."""
    measure_set(path, None, choose(("skin_tone", "face_geometry"), ATTRIBUTES))
    measure_set(path, None, choose(MEASURED))


def darker_half(path: Path) -> set[str]:
    """People below the median ITA."""
    people = load(path).clips.groupby("subject_id")["measured_ita_deg"].first()
    return set(people.index[people < people.median()])


def plant(null: Path, path: Path, subjects: set[str], factor: float, swap: float) -> None:
    """Replace the plan: specs of these people are counterfactuals of those of the other set."""
    model = CausalModel()
    specs = [biased(model, spec, factor, swap) if spec.subject_id in subjects else spec
             for spec in Dataset.open(null).iterate_specs()]  # fmt: skip
    write_atomic(path / SPECS, (canonical_json(spec) + b"\n" for spec in specs))


def biased(model: CausalModel, spec: ClipSpec, factor: float, swap: float) -> ClipSpec:
    """The same clip, weaker; some of those of happiness as anger."""
    if spec.emotion == "happiness" and uniforms(1, spec.seed, "swap", spec.spec_id)[0] < swap:
        spec = model.counterfactual(spec, {"emotion": "anger"}, sequence=spec.sequence)
    peaks = {str(p.au): min(MAX_INTENSITY, factor * max(p.left, p.right)) for p in spec.aus}
    return model.counterfactual(spec, {"intensity": peaks}, sequence=spec.sequence)


def show(name: str, result: Audit) -> None:
    """Everything that was found, and how much was looked at."""
    tested = [a for a in result.associations if a.p is not None]
    found = [a for a in tested if a.q is not None and a.q < 0.05]
    below = sum(a.p < 0.05 for a in tested if a.p is not None)
    print(f"\n{name}: {result.n_clips} clips, {result.n_subjects} people")
    print(f"associations: {len(tested)} tested, {below} with p < 0.05, {len(found)} with q < 0.05")
    for a in found:
        print(f"  {a.outcome_title} with {a.attribute_title}: {a.measure} {a.effect.value:.3f} q {a.q:.4f}")
    parity = [p for p in result.parity if p.p is not None]
    uneven = [p for p in parity if p.q is not None and p.q < 0.05]
    print(f"parity: {len(parity)} tested, {len(uneven)} with q < 0.05")
    for p in uneven:
        print(
            f"  {p.outcome_title} by {p.attribute_title}: {p.highest} {p.gap.value:.3g} {p.unit} above {p.lowest}"
        )
    print("  all by halves of skin tone:")
    for p in parity:
        if p.attribute == "measured_ita_half":
            means = ", ".join(
                f"{r.group} {r.estimate.value:.3g}" for r in p.rows if r.estimate.value is not None
            )
            print(f"  {p.outcome_title} [{p.unit}]: {means}; gap {p.gap.value:.3g} p {p.p:.3f} q {p.q:.3f}"
                  f" would find {p.detectable:.3g}" if p.detectable else "")  # fmt: skip


if __name__ == "__main__":
    main()
