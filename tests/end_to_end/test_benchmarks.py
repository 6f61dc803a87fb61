"""The benchmarks still run: with little of everything, and whatever they find."""

from __future__ import annotations

import os

import pytest

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
