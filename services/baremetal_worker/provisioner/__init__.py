"""Ordered, idempotent calls to Ironic: each looks first, and may have been begun before."""
