"""What an experiment is: a TOML file, read into a record that says everything about it.

::

    title = "Synthetic to real"
    classes = ["negative", "positive", "surprise"]   # or head = "aus" and aus = [1, 2, 4]
    seeds = 5                                        # 0 to 4, or a list

    [roles]                                          # the data that --data ROLE=PATH gives
    synthetic = "an equime data set"
    real = "coded clips of real people"

    [[arm]]                                          # one or more: what is trained and what is tested
    name = "synthetic to real"
    protocol = "train_test"
    train = ["synthetic"]
    test = ["real"]

    [models.ststnet]                                 # options; none for the model's own
    epochs = 800

    [select.svm_linear]                              # options selected inside the training people
    C = [0.01, 0.1, 1.0]
"""

from __future__ import annotations

import fnmatch
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from equime.baselines.inputs import AUS
from equime.baselines.recogniser import Head
from equime.coded import THREE
from equime.errors import InputError
from equime.types import Record

Value = int | float | str | bool

Overlap = Literal["refuse", "drop", "fold"]

_SHIPPED: Final = "equime.baselines"


class Arm(Record, frozen=True, omit_defaults=True):
    """One comparison of an experiment.

    Attributes:
        protocol: key of `protocols.PROTOCOLS`.
        test: roles that are tested.
        train: roles that are trained on and not tested: all of the training data of "train_test", what
            "pretrain_loso" starts from, what "loso" adds to every fold.
        name: heading in the results.
        overlap: people in ``train`` who are also in ``test``: "refuse", "drop" (left out of training), "fold" (the
            people are divided into ``folds`` parts, each tested by a recogniser that has not seen them).
        folds: of "k_fold" and of overlap "fold".
        each: pattern of roles ("synthetic*"): the arm is repeated for every role that matches and was given, as its
            only training role.
    """

    protocol: str
    test: tuple[str, ...]
    train: tuple[str, ...] = ()
    name: str = ""
    overlap: Overlap = "refuse"
    folds: int = 5
    each: str = ""


class Intervals(Record, frozen=True):
    """Bootstrap over people.

    Attributes:
        resamples: how many.
        level: of the intervals.
        seed: of the resampling.
    """

    resamples: int = 2000
    level: float = 0.95
    seed: int = 0


class Config(Record, frozen=True):
    """An experiment.

    Attributes:
        title: heading of the results.
        arms: what is trained and tested.
        description: in words: what it shows, what it does not.
        head: "emotion", or "aus" for Action Units.
        classes: of head "emotion".
        aus: of head "aus", FACS numbers.
        seeds: of the trainings.
        models: key, or ``module:attribute``, to options.
        pretrain: options of pretraining, per model, where they differ.
        select: options to select inside the training people, per model.
        inner_folds: folds of that selection.
        features: options of the features.
        intervals: of the bootstrap.
        roles: names of the data, and what each is; a name may be a pattern ("synthetic*").
        seed: of the division of people into folds.
    """

    title: str
    arms: tuple[Arm, ...]
    description: str = ""
    head: Head = "emotion"
    classes: tuple[str, ...] = THREE
    aus: tuple[int, ...] = AUS
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    models: dict[str, dict[str, Value]] = msgspec.field(default_factory=dict)
    pretrain: dict[str, dict[str, Value]] = msgspec.field(default_factory=dict)
    select: dict[str, dict[str, list[Value]]] = msgspec.field(default_factory=dict)
    inner_folds: int = 3
    features: dict[str, Value] = msgspec.field(default_factory=dict)
    intervals: Intervals = Intervals()
    roles: dict[str, str] = msgspec.field(default_factory=dict)
    seed: int = 0

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what is predicted: classes, or "AU1", "AU2", ..."""
        return self.classes if self.head == "emotion" else tuple(f"AU{au}" for au in self.aus)


def shipped() -> tuple[str, ...]:
    """Names of the experiments that come with equime."""
    folder = resources.files(_SHIPPED).joinpath("experiments")
    return tuple(sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".toml")))


def load(experiment: str | Path) -> Config:
    """The experiment of a shipped name, or of a TOML file.

    Raises:
        InputError: no such name or file, no TOML, or something in it that is not understood; it is named.
    """
    path = Path(experiment)
    if str(experiment) in shipped():
        text = resources.files(_SHIPPED).joinpath("experiments", f"{experiment}.toml").read_text("utf-8")
    elif path.is_file():
        text = _text(path)
    else:
        raise InputError(
            f"experiment {str(experiment)!r} is neither shipped ({', '.join(shipped())}) nor a TOML file that is "
            "there; see `equime benchmark --list`"
        )
    return parse(text, str(experiment))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error}); save it as UTF-8 TOML") from error


def parse(text: str, where: str) -> Config:
    """An experiment from TOML; ``where`` is named in messages. Raises as `load`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: no TOML: {error}") from error
    table["arms"] = table.pop("arm", table.pop("arms", []))
    if isinstance(table.get("seeds"), int):
        table["seeds"] = list(range(table["seeds"]))
    try:
        config = msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{where}: {error}; see the shipped experiments for what can be said (`equime benchmark --list`)"
        ) from error
    _check(config, where)
    return config


def _check(config: Config, where: str) -> None:
    """Raise `InputError` where the parts of an experiment do not fit together."""
    from equime.baselines.protocols import PROTOCOLS  # noqa: PLC0415

    if not config.arms:
        raise InputError(f"{where}: no [[arm]]; say at least one protocol and the roles that it tests")
    if not config.seeds or len(set(config.seeds)) < len(config.seeds):
        raise InputError(f"{where}: seeds {list(config.seeds)} are none, or repeat; give a number such as 5")
    if config.head == "emotion" and (
        len(config.classes) < 2 or len(set(config.classes)) < len(config.classes)
    ):
        raise InputError(f"{where}: classes {list(config.classes)} must be two or more different ones")
    for arm in config.arms:
        if arm.protocol not in PROTOCOLS:
            raise InputError(f"{where}: protocol {arm.protocol!r} not known; use {', '.join(PROTOCOLS)}")
        if arm.protocol == "cd6me" and config.head != "aus":
            raise InputError(f'{where}: protocol cd6me detects Action Units; say head = "aus"')
        if not arm.test:
            raise InputError(f"{where}: arm {arm.name!r} tests no role")
        if unknown := [r for r in (*arm.train, *arm.test) if not _matches(r, config.roles)]:
            raise InputError(
                f"{where}: arm {arm.name!r} uses role {unknown[0]!r}, which [roles] does not have"
            )
    names = [arm.name for arm in config.arms]
    if len(set(names)) < len(names):
        raise InputError(f"{where}: two arms have one name; name every arm differently")
    for part in (config.pretrain, config.select):
        if unknown := sorted(set(part) - set(config.models)):
            raise InputError(f"{where}: options for the model {unknown[0]!r}, which [models] does not have")


def _matches(role: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(role, pattern) for pattern in patterns)


def resolve(config: Config, roles: Sequence[str]) -> Config:
    """The experiment for the data that were given: arms with ``each`` written out.

    Args:
        config: as read.
        roles: that were given, in their order.

    Raises:
        InputError: a role that the experiment does not know, or one that it needs and that was not given.
    """
    known = ", ".join(f"{role} ({what})" for role, what in config.roles.items())
    for role in roles:
        if not _matches(role, config.roles):
            raise InputError(f"--data {role}=...: the experiment has no such role; it has {known}")
    arms: list[Arm] = []
    for arm in config.arms:
        if not arm.each:
            arms.append(arm)
            continue
        found = [role for role in roles if fnmatch.fnmatchcase(role, arm.each)]
        if not found:
            raise InputError(
                f"no data for {arm.each!r}; give --data {arm.each.replace('*', '_A')}=PATH, once per set"
            )
        arms += [_for_role(arm, role) for role in found]
    for arm in arms:
        for role in (*arm.train, *arm.test):
            if role not in roles:
                raise InputError(
                    f"no data for role {role!r}: {config.roles.get(role, role)}; give --data {role}=PATH"
                )
    return msgspec.structs.replace(config, arms=tuple(arms))


def _for_role(arm: Arm, role: str) -> Arm:
    name = f"{arm.name}: {role}" if arm.name else role
    return msgspec.structs.replace(arm, train=(role,), each="", name=name)


def to_toml(config: Config) -> str:
    """The experiment as TOML that `parse` reads back."""
    table: dict[str, Any] = msgspec.to_builtins(config)
    table["arm"] = table.pop("arms")
    lines: list[str] = []
    _write(table, (), lines)
    return "\n".join(lines).strip() + "\n"


def _write(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    """Plain values first: in TOML what follows a heading belongs to it."""
    table = {k: v for k, v in table.items() if v != {} or path == ("models",)}
    nested = {k: v for k, v in table.items() if isinstance(v, Mapping) or _is_tables(v)}
    lines += [f"{_key(k)} = {_value(v)}" for k, v in table.items() if k not in nested]
    for key, value in nested.items():
        heading = ".".join(_key(part) for part in (*path, key))
        for part in value if _is_tables(value) else (value,):
            lines += ["", f"[[{heading}]]" if _is_tables(value) else f"[{heading}]"]
            _write(part, (*path, key), lines)


def _is_tables(value: object) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_value(v) for v in value)}]"
    if isinstance(value, str):  # A JSON string is a TOML one, but for the delete character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
