-- A metal had no free node of a flavor and arch ('': any): a gate for all tenants. `tries` may try
-- again now, and one more at `not_before`, as with `full_clouds` (0004).
CREATE TABLE scarce_nodes (
    metal text NOT NULL,
    flavor text NOT NULL,
    arch text NOT NULL,
    reason text NOT NULL,
    words text NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    waits integer NOT NULL DEFAULT 0,
    closed_at timestamptz NOT NULL DEFAULT now(),
    not_before timestamptz NOT NULL,
    PRIMARY KEY (metal, flavor, arch)
);

-- What such refusals have closed so far: for one tenant, whatever the flavor.
DELETE FROM full_clouds WHERE reason IN ('no_free_node', 'node_maintenance');
