"""A real developer cloud on one Debian machine, for the demo and the tests."""
