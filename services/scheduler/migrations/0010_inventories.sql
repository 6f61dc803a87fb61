-- The nodes that each metal has, as its worker told last. `heard_at` is ours, `taken_at` its clock.
CREATE TABLE inventories (
    metal text PRIMARY KEY,
    taken_at timestamptz NOT NULL,
    heard_at timestamptz NOT NULL DEFAULT now()
);

-- Of each flavor and arch ('': any) how many are in service, and how many were free then, less those
-- that machines were sent for since.
CREATE TABLE node_stocks (
    metal text NOT NULL REFERENCES inventories ON DELETE CASCADE,
    flavor text NOT NULL,
    arch text NOT NULL,
    total integer NOT NULL,
    free integer NOT NULL,
    PRIMARY KEY (metal, flavor, arch)
);
