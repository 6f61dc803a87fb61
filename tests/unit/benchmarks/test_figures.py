"""What is made of the rounds of a benchmark."""

from __future__ import annotations

from benchmarks.figures import Figure, side_by_side


def test_the_median_round_is_judged() -> None:
    """One odd round, as a busy machine has them, decides nothing."""
    figure = side_by_side("x", [(6, 10), (70, 10), (7, 10)], "/s", at_least=0.6)
    assert (figure.ratio, figure.met, figure.spread) == (0.7, True, (0.6, 7.0))


def test_without_a_reference_the_figure_itself_is_judged() -> None:
    """Against a bound from above."""
    assert Figure(what="x", ours=21, unit="ms", at_most=20).met is False
