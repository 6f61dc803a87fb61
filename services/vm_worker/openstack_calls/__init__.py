"""What we call on a connection of `openstack_backend`: Nova, Neutron, Glance, call by call."""
