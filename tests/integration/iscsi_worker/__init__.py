"""iscsi_worker's rooms on a real Ceph and a real tgtd, with userspace initiators."""
