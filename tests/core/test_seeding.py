from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from equime.seeding import canonical_json, content_id, stream, uniforms


def test_content_id_does_not_depend_on_the_order_of_keys() -> None:
    assert content_id({"a": 1, "b": 2}) == content_id({"b": 2, "a": 1}) != content_id({"a": 2, "b": 1})
    assert canonical_json({"b": 0.1, "a": [1]}) == b'{"a":[1],"b":0.1}'


def test_streams_repeat_and_differ_by_name() -> None:
    one = stream(1, "a", 2).random(4)
    np.testing.assert_array_equal(one, stream(1, "a", 2).random(4))
    for other in (stream(1, "a", 3), stream(2, "a", 2), stream(1, "a2"), stream(1, "a", 2, "")):
        assert not np.array_equal(one, other.random(4))


@given(seed=st.integers(0, 2**63), n=st.integers(0, 50), more=st.integers(0, 50))
def test_uniforms_are_prefix_stable_and_six_decimals(seed: int, n: int, more: int) -> None:
    draws = uniforms(n + more, seed, "node")
    assert draws[:n] == uniforms(n, seed, "node")
    assert all(0 <= u < 1 and u == round(u, 6) for u in draws)


def test_uniforms_are_uniform_and_independent_between_names() -> None:
    n = 20_000
    a, b = np.array(uniforms(n, 1, "a")), np.array(uniforms(n, 1, "b"))
    histogram = np.histogram(a, bins=20, range=(0, 1))[0]
    assert ((histogram - n / 20) ** 2 / (n / 20)).sum() < 52.4  # chi-squared, 19 degrees of freedom, p = 5e-5
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(n)
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 4 / np.sqrt(n)
