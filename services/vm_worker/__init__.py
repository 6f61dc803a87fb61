"""The worker that owns Nova, Neutron and Glance: commands in, cloud calls, events out."""
