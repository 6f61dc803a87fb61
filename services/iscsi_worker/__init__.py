"""Owns Ceph RBD and the iSCSI gateways before it: volumes, snapshots, attachments."""
