"""What all workers before an OpenStack share: connections with our rules on them, calls, faults."""
