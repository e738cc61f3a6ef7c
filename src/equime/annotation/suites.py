"""Which annotators a command runs: those of `equime evaluate`, and those of `equime attributes`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from equime import registry


@dataclass(frozen=True)
class Suite:
    """The annotators of one command.

    Attributes:
        command: what runs them.
        names: in `equime.registry`, in the order of the report.
        on_request: those among them that take from seconds to minutes a clip on a CPU; they run where asked for by
            name.
        groups: further names for several annotators at once, beside "default" and "all".
    """

    command: str
    names: tuple[str, ...]
    on_request: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)


EVALUATION: Final = Suite(
    command="equime evaluate",
    names=tuple(registry.ANNOTATORS),
    on_request=("full_reference", "clip_iqa", "lpips", "deep_motion"),
    # What EquiME's published table holds.
    groups={"equime": ("video_file", "smoothness", "total_variation", "brisque", "clip_iqa")},
)

ATTRIBUTES: Final = Suite(command="equime attributes", names=tuple(registry.ATTRIBUTES))
