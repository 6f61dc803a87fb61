"""What all workers share: the command loop, a bound per backend, marks, observations."""
