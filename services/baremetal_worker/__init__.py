"""Owns Ironic: its nodes, and the diskless machines that are booted on them."""
