"""The places where the developer cloud has no hardware: hypervisor, data plane, machines, nodes.

These modules are imported by OpenStack's services in OpenStack's virtual environment, or run there;
by us only those that are plain Python, where both sides must mean the same.
"""
