-- The nodes that each metal has, as its worker told last. `heard_at` is ours, `taken_at` its clock.
CREATE TABLE node_inventories (
    metal text PRIMARY KEY,
    taken_at timestamptz NOT NULL,
    heard_at timestamptz NOT NULL DEFAULT now()
);

-- Of each flavor and arch ('': any) how many are in service, and how many are free as far as is
-- known: by the inventory, less those that machines were sent for since, and none after a refusal.
CREATE TABLE node_capacities (
    metal text NOT NULL REFERENCES node_inventories ON DELETE CASCADE,
    flavor text NOT NULL,
    arch text NOT NULL,
    total integer NOT NULL,
    free integer NOT NULL,
    PRIMARY KEY (metal, flavor, arch)
);

-- When a gate was closed last: `closed_at` is when it was first.
ALTER TABLE full_clouds ADD COLUMN refused_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE scarce_nodes ADD COLUMN refused_at timestamptz NOT NULL DEFAULT now();
