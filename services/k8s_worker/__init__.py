"""The worker before Magnum and the clusters that it makes: Kubernetes clusters."""
