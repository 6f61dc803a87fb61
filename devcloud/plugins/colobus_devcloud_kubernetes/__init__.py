"""Kubernetes clusters on loopback: real control planes, nodes without containers (hollow).

WHAT IS REPLACED: the servers that a cluster would consist of, and what runs containers on them.
etcd, kube-apiserver, kube-controller-manager and kube-scheduler are real, and so is what the nodes
say of themselves: kubemark is a real kubelet whose containers always run.

`host` is one process of the developer cloud, and every process of every cluster belongs to its
group: whoever stops it leaves none. `magnum_driver` is what Magnum is told to use; the two meet in
the files of `folder` only, so either can die and come back.

These modules run on OpenStack's virtual environment; all but `magnum_driver` are plain Python.
"""
