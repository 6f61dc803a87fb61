"""Kubernetes itself: where its programs are found, and how they are built where there are none."""
