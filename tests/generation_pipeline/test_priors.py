from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from equime.action_units import EMOTIONS
from equime.errors import InputError, MissingError
from equime.generation_pipeline import priors as priors_module
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.priors import default_priors, load_priors, parse_priors
from tests.generation_pipeline.specimens import make_face


@pytest.fixture
def plain() -> dict[str, Any]:
    """The shipped file as JSON data, to be broken."""
    path = Path(priors_module.__file__).with_name("priors.json")
    data: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return data


def test_default_covers_every_emotion() -> None:
    assert default_priors().emotions == EMOTIONS
    assert default_priors().au_sets_per_emotion["surprise"].sets[0].aus == (1, 2, 5)


def test_digest_depends_on_content_not_on_layout(plain: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "same.json").write_bytes(msgspec.json.format(msgspec.json.encode(plain), indent=4))
    plain["au_sets_per_emotion"]["fear"]["sets"][0]["count"] += 1
    (tmp_path / "other.json").write_bytes(msgspec.json.encode(plain))
    assert load_priors(tmp_path / "same.json").digest == default_priors().digest
    assert load_priors(tmp_path / "other.json").digest != default_priors().digest


def test_user_priors_change_what_is_drawn(plain: dict[str, Any], tmp_path: Path) -> None:
    plain["au_sets_per_emotion"] = {
        "fear": {"n_clips": 3, "sets": [{"aus": [20, 25], "count": 3}], "n_in_sets_seen_once": 0}
    }
    plain["phase_durations_per_emotion_DFME"]["fear"]["onset_to_apex"]["sigma_log_ms"] = 0.05
    path = tmp_path / "priors.json"
    path.write_bytes(msgspec.json.encode(plain))
    model = CausalModel(load_priors(path), p_felt=1.0)
    specs = [model.sample(make_face(i), 1, do={"emotion": "fear"}) for i in range(30)]
    assert {tuple(p.au for p in s.aus) for s in specs} == {(20, 25)}
    assert {model.sample(make_face(i), 1).emotion for i in range(40)} == {"fear", "neutral"}
    with pytest.raises(InputError, match="no AU sets for anger; they hold fear, neutral"):
        model.sample(make_face(), 1, do={"emotion": "anger"})


def test_every_problem_is_named_at_once(plain: dict[str, Any]) -> None:
    plain["au_sets_per_emotion"]["joy"] = plain["au_sets_per_emotion"]["fear"]
    plain["au_sets_per_emotion"]["fear"]["sets"][0]["aus"] = [99]
    plain["au_sets_per_emotion"]["fear"]["sets"][1]["count"] = 0
    plain["unilateral_share_per_au"]["12"]["unilateral"] = 1.4
    plain["phase_durations_per_emotion_DFME"]["anger"]["onset_to_apex"]["mu_log_ms"] = 184.2
    plain["intensity_letters_SAMM"]["A"] = 3
    with pytest.raises(InputError) as caught:
        parse_priors(msgspec.json.encode(plain), "mine.json")
    message = str(caught.value)
    for part in ("joy", "[99]", "count: 0", "unilateral: 1.4", "184.2", "intensity_letters_SAMM"):
        assert part in message
    assert all(line.startswith("mine.json: ") for line in message.splitlines())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"about": 3}', b"\xff\xfe"])
def test_what_is_no_priors_file_is_an_error(data: bytes) -> None:
    with pytest.raises(InputError, match=r"mine\.json: not a priors file"):
        parse_priors(data, "mine.json")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no such priors file"):
        load_priors(tmp_path / "nowhere.json")
