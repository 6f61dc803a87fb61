"""baremetal_worker without Ironic."""
