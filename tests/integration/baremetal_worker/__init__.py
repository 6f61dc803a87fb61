"""baremetal_worker's rooms on a real Ironic, with nodes of fake hardware."""
