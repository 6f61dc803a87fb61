"""Side-by-side measurements: Colobus against the barest thing that could do the same.

`python -m benchmarks` (`make bench`) runs them. Each module of `table.BENCHMARKS` is one: its
docstring says what is compared and what the target is. Machines differ and so do minutes, so what
counts is a ratio: both sides run in turn, in short rounds (A B A B …, or A B B A where who goes
first matters), and the median of the rounds' ratios is reported. These are no tests: nothing fails
when a target is missed.
"""
