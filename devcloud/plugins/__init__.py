"""The two places where the developer cloud has no hardware: a hypervisor and a network data plane.

These modules are imported by Nova and Neutron, in OpenStack's virtual environment, never by us.
"""
