"""STRS from spotted intervals: what is recognised, what counts as wrong, and its interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from equime.baselines import spot_recognise as r
from equime.baselines.inputs import FLOW28, Samples
from equime.baselines.shipped import Shipped, load_shipped
from equime.baselines.spotting import Interval
from equime.coded import CodedClip, CodedSet, three_of
from equime.errors import InputError
from tests.baselines.test_spotting_scores import coded


class Says:
    """Names the class that the onset in the input stands for."""

    def probabilities(self, x: Any) -> Any:
        return np.eye(3)[np.asarray(x)[:, 0, 0, 0].astype(int) % 3]


def interval(onset: int, offset: int) -> Interval:
    return Interval(
        onset=onset,
        apex=onset,
        offset=offset,
        onset_ms=0,
        apex_ms=0,
        offset_ms=0,
        score=1,
        expression="micro",
    )


@pytest.fixture
def recogniser(monkeypatch: pytest.MonkeyPatch) -> Shipped:
    def build(data: CodedSet, *_: object, **__: object) -> tuple[Samples, tuple[()]]:
        """Inputs that hold the onset; no clip of file "dark" can be read."""
        clips = tuple(clip for clip in data.clips if clip.file != "dark")
        assert all(clip.apex is not None and clip.apex > (clip.onset or 0) for clip in clips)
        x = np.zeros((len(clips), 28, 28, 3), np.float32)
        x[:, 0, 0, 0] = [clip.onset or 0 for clip in clips]
        return Samples(clips, {FLOW28.key: x}), ()

    monkeypatch.setattr(r, "build", build)
    real = load_shipped("emotion_cnn")
    return Shipped(real.card, Says())  # type: ignore[arg-type]


def named(data: CodedSet, *emotions: str) -> CodedSet:
    def one(clip: CodedClip, emotion: str) -> CodedClip:
        return msgspec.structs.replace(clip, emotion=emotion, label=three_of(emotion))

    return data.only(map(one, data.clips, emotions))


def test_by_hand(recogniser: Shipped) -> None:
    """Five coded, four spotted rightly, one falsely: F1 8/10. Of three with a class two are named rightly."""
    data = named(
        coded(
            ("a", "one", 10, 20, "micro"), ("a", "one", 40, 50, "micro"), ("b", "two", 10, 20, "micro"),
            ("c", "dark", 10, 20, "micro"), ("c", "dark", 60, 70, "micro"),
        ),
        "happiness", "surprise", "others", "happiness", "surprise",
    )  # fmt: skip
    found = {"one": [interval(10, 20), interval(41, 50)], "two": [interval(9, 20), interval(60, 70)]}
    found["dark"] = [interval(11, 20)]
    score, findings = r.spot_then_recognise(found, data, recogniser, n_boot=200)
    assert findings == ()
    assert (score.n, score.n_unread, score.n_unclassed) == (3, 1, 1)
    # positive: one of two found; surprise: the one; what could not be read is no class of its own.
    assert score.recognition_f1 == pytest.approx((2 / 3 + 1) / 2)
    assert score.strs == pytest.approx(0.8 * (2 / 3 + 1) / 2)
    assert score.synthetic
    assert score.low is not None
    assert score.high is not None
    assert 0 <= score.low <= score.strs <= score.high <= 1


def test_nothing_spotted_is_nothing_recognised(recogniser: Shipped) -> None:
    data = coded(("a", "one", 10, 20, "micro"), ("b", "two", 10, 20, "micro"))
    score, _ = r.spot_then_recognise({"one": [], "two": [interval(50, 60)]}, data, recogniser)
    assert (score.strs, score.recognition_f1, score.n) == (0.0, None, 0)


def test_one_subject_has_no_interval(recogniser: Shipped) -> None:
    data = named(coded(("a", "one", 10, 20, "micro")), "happiness")
    score, _ = r.spot_then_recognise({"one": [interval(10, 20)]}, data, recogniser)
    assert score.low is None
    assert score.strs == 1.0


def test_what_cannot_be_read_at_all_is_told(recogniser: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: object, **__: object) -> None:
        raise InputError("none of the 1 clips gives a sample")

    monkeypatch.setattr(r, "build", build)
    data = named(coded(("a", "one", 10, 20, "micro")), "happiness")
    score, findings = r.spot_then_recognise({"one": [interval(10, 20)]}, data, recogniser)
    assert score.n_unread == 1
    assert score.strs == 0
    assert "none of the 1 clips" in findings[0].message


def test_action_units_are_no_classes() -> None:
    data = coded(("a", "one", 10, 20, "micro"))
    with pytest.raises(InputError, match="needs classes"):
        r.spot_then_recognise({"one": []}, data, load_shipped("au_cnn"))


def test_the_clips_differ_from_the_coded_ones(recogniser: Shipped, tmp_path: Path) -> None:
    """Features are cached by content: what was spotted is not what was coded."""
    (clip,) = coded(("a", "one", 10, 20, "micro")).clips
    spotted = r._as_spotted(clip, interval(12, 20))
    assert (spotted.onset, spotted.apex, spotted.offset) == (12, 13, 20)
    assert spotted.clip_id != clip.clip_id
