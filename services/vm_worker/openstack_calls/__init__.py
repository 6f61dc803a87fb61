"""What we call on a connection of `shared.openstack`: Nova, Neutron, Glance, call by call."""
