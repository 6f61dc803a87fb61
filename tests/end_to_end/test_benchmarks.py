"""The benchmarks still run: with little of everything, and whatever they find."""

from __future__ import annotations

import os

import pytest

from benchmarks.figures import Figure, side_by_side
from benchmarks.table import BENCHMARKS
from benchmarks.world import World


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs(name: str, environment: dict[str, str]) -> None:
    """On an installation of its own, from the load to the figures."""
    if name == "machine_time" and os.geteuid() != 0:
        pytest.skip("only root can make network namespaces")
    figures = BENCHMARKS[name](World(environment, rounds=1, tiny=True))
    assert figures
    assert all(figure.ours > 0 for figure in figures)


def test_the_median_round_is_judged() -> None:
    """One odd round, as a busy machine has them, decides nothing."""
    figure = side_by_side("x", [(6, 10), (70, 10), (7, 10)], "/s", at_least=0.6)
    assert (figure.ratio, figure.met, figure.spread) == (0.7, True, (0.6, 7.0))


def test_without_a_reference_the_figure_itself_is_judged() -> None:
    """Against a bound from above."""
    assert Figure(what="x", ours=21, unit="ms", at_most=20).met is False
