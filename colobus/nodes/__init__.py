"""Ironic's nodes, which machines are made of. For operators, beside the services.

`node_list` is the operator's file, `ironic` the only door to OpenStack's libraries, opened when
needed, `enrolment` what brings the one into the other.
"""
