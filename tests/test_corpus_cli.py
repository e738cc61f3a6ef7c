"""``equime corpus`` and ``equime fit-priors``, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from equime.cli import app
from equime.coded import CodedInfo, CodedSet, read_set
from equime.registry import CORPORA
from tests.corpora import miniatures, more_miniatures


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Exit code and what was printed."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = app.run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_list(run: Any) -> None:
    code, out, _ = run("corpus", "list", "--json")
    assert code == 0
    listed = json.loads(out)
    assert [about["key"] for about in listed] == list(CORPORA)
    assert all(about["licence"] and about["layout"] for about in listed)
    assert "flow_folders: Flow folders" in run("corpus", "list")[1]


def test_read_and_show(run: Any, tmp_path: Path) -> None:
    root = more_miniatures.casme_squared(tmp_path / "copy")
    code, out, _ = run("corpus", "read", root, tmp_path / "set")
    assert code == 0
    assert "casme_squared: 3 clips of 2 subjects" in out
    assert "classes: negative 1, none 1, positive 1" in out
    assert "expressions: macro 2, micro 1" in out
    assert "finding sentinel (1):" in out
    assert len(read_set(tmp_path / "set").clips) == 3
    assert run("corpus", "show", tmp_path / "set")[1] == out
    shown = json.loads(run("corpus", "show", tmp_path / "set", "--json")[1])
    assert (shown["n_clips"], shown["n_with_apex"], shown["findings"][0]["code"]) == (3, 3, "sentinel")


def test_read_with_key_and_table(run: Any, tmp_path: Path) -> None:
    root = more_miniatures.mmew(tmp_path / "copy")
    (root / "MMEW_Micro_Exp.xlsx").rename(tmp_path / "codes.xlsx")
    assert (
        run("corpus", "read", root, tmp_path / "a", "--as", "mmew", "--table", tmp_path / "codes.xlsx")[0]
        == 0
    )
    assert run("corpus", "read", root, tmp_path / "b", "--as", "samm")[0] in (2, 3)
    assert not (tmp_path / "b").exists()


def test_a_wrong_level_names_the_right_one(run: Any, tmp_path: Path) -> None:
    more_miniatures.flow_folders(tmp_path / "flow" / "three_norm_u_v_os")
    code, _, err = run("corpus", "read", tmp_path / "flow", tmp_path / "set")
    assert code == 2
    assert "the right folder may be" in err
    assert "three_norm_u_v_os (flow_folders)" in err


class Empty:
    """A corpus of somebody else's that finds nothing."""

    def read(self, root: Path, *, table: Path | None = None) -> CodedSet:
        return CodedSet(CodedInfo(format_version=1, corpus="empty", root=str(root)), root, ())


def test_a_set_without_a_clip_is_not_written(run: Any, tmp_path: Path) -> None:
    code, _, err = run("corpus", "read", tmp_path, tmp_path / "set", "--as", "tests.test_corpus_cli:Empty")
    assert code == 1
    assert "not one usable clip" in err
    assert not (tmp_path / "set").exists()


def test_out_must_not_be_the_corpus(run: Any, tmp_path: Path) -> None:
    root = more_miniatures.mmew(tmp_path / "copy")
    code, _, err = run("corpus", "read", root, root)
    assert code == 2
    assert "is the corpus itself" in err


def test_composite_of_two_corpora(run: Any, tmp_path: Path) -> None:
    run("corpus", "read", miniatures.smic(tmp_path / "SMIC"), tmp_path / "smic")
    run("corpus", "read", miniatures.casme2(tmp_path / "CASME2"), tmp_path / "casme2")
    (tmp_path / "list.csv").write_text(
        "dataset,sub,filename_o,label,apex,imagename\nsmic,s01,s01_ne_01,0,,x\ncasme2,sub02,EP91_01,2,,x\n"
    )
    code, out, _ = run(
        "corpus",
        "join",
        tmp_path / "both",
        tmp_path / "smic",
        tmp_path / "casme2",
        "--megc",
        tmp_path / "list.csv",
    )
    assert code == 0
    assert "smic+casme2: 2 clips of 2 subjects" in out
    assert "finding not_in_composite (5, left out):" in out
    assert [clip.label for clip in read_set(tmp_path / "both").clips] == ["negative", "surprise"]
    code, out, _ = run("corpus", "read", tmp_path / "SMIC", tmp_path / "one", "--megc", tmp_path / "list.csv")
    assert code == 0
    assert "smic: 1 clips" in out


def test_export(run: Any, tmp_path: Path) -> None:
    run("corpus", "read", miniatures.casme2(tmp_path / "CASME2"), tmp_path / "set")
    for key, name in (("casme2", "a.xlsx"), ("samm", "b.xlsx"), ("meb", "c.csv"), ("megc", "d.csv")):
        code, out, _ = run("corpus", "export", tmp_path / "set", tmp_path / name, "--as", key)
        assert code == 0
        assert f"4 clips as {key}" in out
        assert (tmp_path / name).is_file()
    assert "finding no_class (1, left out)" in out
    code, _, err = run("corpus", "export", tmp_path / "set", tmp_path / "e.csv", "--as", "excel")
    assert code == 2
    assert "use one of casme, " in err
    assert run("corpus", "show", tmp_path / "none")[0] == 3


def test_fit_priors_from_table_and_set(run: Any, tmp_path: Path) -> None:
    rows = [(1, f"S01-91-{i:03d}", 1, 9 + i % 5, 25 + i % 7, "6+12", "happiness", None) for i in range(30)]
    table = more_miniatures.sheet(tmp_path / "mmew.xlsx", [more_miniatures.MMEW_HEADER, *rows])
    run("corpus", "read", miniatures.casme2(tmp_path / "CASME2"), tmp_path / "set")
    code, out, _ = run("fit-priors", table, tmp_path / "set", "-o", tmp_path / "priors.json")
    assert code == 0
    assert "priors of 34 clips" in out
    assert "happiness: 31 clips, 1 AU sets seen more than once" in out
    assert "finding shipped_letters" in out
    code, out, _ = run("describe", "--priors", tmp_path / "priors.json")
    assert code == 0
    assert json.loads(out)["priors"]
    written = json.loads((tmp_path / "priors.json").read_text())
    assert written["about"].startswith(
        "Aggregate statistics of coded micro-expressions, fitted by equime to mmew (30"
    )
    assert "S01-91" not in (tmp_path / "priors.json").read_text()


def test_fit_priors_says_what_is_missing(run: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    code, _, err = run("fit-priors", tmp_path / "t.csv", "-o", tmp_path / "p.json")
    assert (code, "columns are those of no corpus" in err) == (2, True)
    code, _, err = run("fit-priors", tmp_path / "none.csv", "-o", tmp_path / "p.json")
    assert (code, "no such file" in err) == (3, True)
    run("corpus", "read", miniatures.smic(tmp_path / "SMIC"), tmp_path / "set")
    code, _, err = run("fit-priors", tmp_path / "set", "-o", tmp_path / "p.json")
    assert (code, "no priors from 3 clips" in err) == (2, True)
    assert not (tmp_path / "p.json").exists()
