"""What `equime validate` asks that only the generation pipeline can answer: metadata, captions, views."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from equime import layout
from equime.dataset import Dataset
from equime.generation_pipeline.captions import contradictions, write_captions
from equime.generation_pipeline.pseudolabels import read_pseudolabels
from equime.generation_pipeline.render import clip_timing, metadata_json
from equime.generation_pipeline.views import clips_digest, curves_digest, video_folder_lines
from equime.validation import Problem

AGAIN = "run the command that made the data set again"
SOURCES = {"exact": "the spec gives", "measured": "what was measured gives"}


def check_metadata(dataset: Dataset) -> Iterator[Problem]:
    """The metadata JSON of every clip is there and says what the records say."""
    labels = read_pseudolabels(dataset.root)
    for view in dataset:
        name = layout.metadata_file(view.clip.file)
        path = dataset.root / name
        if not path.is_file():
            yield Problem(path=name, code="missing_metadata", message=f"missing; {AGAIN}")
        elif path.read_bytes() != metadata_json(
            view.spec, view.clip, view.face, labels.get(view.clip.clip_id)
        ):
            text = f"differs from the records and tables; delete it and {AGAIN}"
            yield Problem(path=name, code="wrong_metadata", message=text)


def check_captions(dataset: Dataset) -> Iterator[Problem]:
    """Captions and frame timing of every clip agree with its spec, or with what was measured."""
    for view in dataset:
        clip, spec = view.clip, view.described
        said = clip.captions
        texts = {"short": said.short, "facs": said.facs, "plain": said.plain}
        texts |= {f"paraphrase {i}": text for i, text in enumerate(said.paraphrases, 1)}
        for kind, text in texts.items():
            for wrong in contradictions(text, spec):
                message = f"{kind} caption: {wrong}"
                yield Problem(path=clip.file, code="caption_contradicts", message=message)
        timing = clip_timing(view.spec, clip)
        if timing != clip.timing:
            message = f"recorded {clip.timing}, {SOURCES[clip.labels]} {timing}"
            yield Problem(path=clip.file, code="wrong_timing", message=message)
        elif write_captions(spec, timing) != said:
            message = "the captions are not those that the labels give; the record was edited, restore it"
            yield Problem(path=clip.file, code="wrong_captions", message=message)


def check_views(dataset: Dataset) -> Iterator[Problem]:
    """metadata.jsonl and au_curves.parquet are there and up to date."""
    if not len(dataset):
        return
    yield from _video_folder(dataset)
    path = dataset.root / layout.AU_CURVES
    digest = curves_digest(path)
    if not path.is_file():
        yield Problem(path=layout.AU_CURVES, code="missing_view", message=f"missing; {AGAIN}")
    elif digest is None:
        yield Problem(path=layout.AU_CURVES, code="broken_view", message=f"unreadable; delete it and {AGAIN}")
    elif digest != clips_digest(dataset):
        yield Problem(path=layout.AU_CURVES, code="stale_view", message=f"of other clips; {AGAIN}")


def _video_folder(dataset: Dataset) -> Iterator[Problem]:
    path = dataset.root / layout.METADATA
    if not path.is_file():
        yield Problem(path=layout.METADATA, code="missing_view", message=f"missing; {AGAIN}")
        return
    with path.open("rb") as file:
        for number, (there, expected) in enumerate(zip_longest(file, video_folder_lines(dataset)), 1):
            if there != expected:
                message = f"differs from the records; {AGAIN}"
                yield Problem(path=f"{layout.METADATA}:{number}", code="stale_view", message=message)
                return
