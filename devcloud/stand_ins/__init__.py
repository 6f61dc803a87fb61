"""Doubles: they stand where a cloud has hardware, and do only what is seen of it from outside.

Not to be taken for the machines of `devcloud.machines`, whose hardware is emulated: those run real
firmware and a real Linux.
"""
