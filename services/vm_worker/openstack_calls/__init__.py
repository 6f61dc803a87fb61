"""What we call on a connection of `openstack_backend`: Nova, Neutron and Glance, method by method."""
