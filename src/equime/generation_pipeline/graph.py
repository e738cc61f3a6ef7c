"""The nodes of the causal model, their parents and mechanisms, and the graph as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from equime.generation_pipeline import confounders, mechanisms
from equime.generation_pipeline.interventions import override
from equime.generation_pipeline.setting import Noise, Parents, Setting


@dataclass(frozen=True)
class Node:
    """One variable of the model.

    Attributes:
        name: key in ``noise`` and ``do`` of a spec.
        parents: names of the nodes that its mechanism may look at.
        n_noise: number of uniform draws, given the clip's duration in ms.
        mechanism: value from parents, noise and setting.
        force: value under an intervention (forced, natural, noise, setting); where None, the forced one.
        about: what it is, in one line.
        fields: fields of `ClipSpec` that hold its value.
    """

    name: str
    parents: tuple[str, ...]
    n_noise: Callable[[float], int]
    mechanism: Callable[[Parents, Noise, Setting], Any]
    about: str
    fields: tuple[str, ...]
    force: Callable[[Any, Any, Noise, Setting], Any] | None = None


def _per_au(forced: Any, natural: Any, _: Noise, __: Setting) -> Any:
    return override(natural, forced)


def _some_fields(forced: Any, natural: Any, _: Noise, __: Setting) -> Any:
    return None if natural is None else natural._replace(**forced)


def _draws(n: int) -> Callable[[float], int]:
    return lambda _: n


_N_AUS: Final = len(mechanisms.NOISE_AUS)

NODES: Final[tuple[Node, ...]] = (
    Node("context", (), _draws(0), mechanisms.context, "declared groups of the face", ("context",)),
    Node(
        "label_semantics", (), _draws(1), mechanisms.label_semantics,
        "emotion readable from the AUs, or as felt", ("label_semantics",),
    ),
    Node("emotion", (), _draws(1), mechanisms.emotion, "emotion of the clip", ("emotion",)),
    Node(
        "au_set", ("label_semantics", "emotion"), _draws(1), mechanisms.au_set,
        "Action Units at the apex", ("aus",),
    ),
    Node(
        "laterality", ("label_semantics", "emotion", "au_set"), _draws(2 + _N_AUS), mechanisms.laterality,
        "side and asymmetry of each AU", ("aus",), _per_au,
    ),
    Node(
        "intensity", ("au_set",), _draws(_N_AUS), mechanisms.intensity,
        "peak of each AU, FACS A to E", ("aus",), _per_au,
    ),
    Node(
        "phases", ("emotion", "au_set"), _draws(3), mechanisms.phases,
        "onset, onset to apex, apex to offset", ("phases",), mechanisms.force_phases,
    ),
    Node(
        "apex_shape", ("phases",), _draws(3), mechanisms.apex_shape,
        "hold at the apex, steepness of rise and decay", ("phases",), _some_fields,
    ),
    Node(
        "asynchrony", ("au_set", "phases"), _draws(_N_AUS), mechanisms.asynchrony,
        "delay of each AU's onset", ("aus",), _per_au,
    ),
    Node("blinks", (), confounders.n_blink_noise, confounders.blinks, "spontaneous blinks", ("blinks",)),
    Node("gaze", (), confounders.n_gaze_noise, confounders.gaze, "small saccades", ("gaze",)),
    Node("head", (), _draws(18), confounders.head, "slow sway of the head", ("head",)),
    Node(
        "illumination", (), _draws(3), confounders.illumination,
        "slow drift of the light", ("camera",), _some_fields,
    ),
    Node(
        "sensor_noise", (), _draws(3), confounders.sensor_noise,
        "noise of the camera", ("camera",), _some_fields,
    ),
)  # fmt: skip
"""In causal order: parents come first."""

NODE_NAMES: Final = tuple(node.name for node in NODES)


def descendants(*names: str) -> frozenset[str]:
    """The nodes and everything that depends on them."""
    found = set(names)
    for node in NODES:
        if found & set(node.parents):
            found.add(node.name)
    return frozenset(found)


def to_mermaid() -> str:
    """The graph as Mermaid text."""
    lines = ["flowchart TD", *(f'    {n.name}["{n.name}<br/>{n.about}"]' for n in NODES)]
    lines += [f"    {parent} --> {n.name}" for n in NODES for parent in n.parents]
    return "\n".join(lines) + "\n"


def to_dot(name: str) -> str:
    """The graph as DOT text, for Graphviz."""
    lines = [f'    {n.name} [label="{n.name}\\n{n.about}"];' for n in NODES]
    lines += [f"    {parent} -> {n.name};" for n in NODES for parent in n.parents]
    return "\n".join([f'digraph "{name}" {{', *lines, "}"]) + "\n"
