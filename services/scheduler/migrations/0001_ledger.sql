-- The ledger: one row per resource. What is queried has a column; the rest is in `state`.
CREATE TABLE resources (
    id text PRIMARY KEY,
    kind text NOT NULL,
    tenant text NOT NULL,
    phase text NOT NULL,
    cloud text,
    -- what it counts for against the quota: {quota name: amount}
    demand jsonb NOT NULL,
    -- how often the backend is to be asked about it: none, slow (alive), fast (an open wait)
    inspection text NOT NULL DEFAULT 'none' CHECK (inspection IN ('none', 'slow', 'fast')),
    not_before timestamptz,
    state jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX resources_waiting ON resources (tenant, id) WHERE phase IN ('requested', 'waiting');
CREATE INDEX resources_building ON resources (cloud) WHERE phase = 'provisioning';
CREATE INDEX resources_inspected ON resources (cloud, inspection) WHERE inspection <> 'none';

-- What each tenant holds: kept with every change of phase, so that admission needn't count rows.
CREATE TABLE usage (
    tenant text NOT NULL,
    name text NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- Deadlines, retries, leases: a resource's timers by name.
CREATE TABLE timers (
    resource_id text NOT NULL,
    name text NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (resource_id, name)
);
CREATE INDEX timers_due ON timers (due_at);

-- The scheduler's own recurring work, done by one replica at a time.
CREATE TABLE rounds (
    name text PRIMARY KEY,
    due_at timestamptz NOT NULL
);

-- How clouds have been doing, for placement.
CREATE TABLE cloud_failures (
    cloud text PRIMARY KEY,
    failures integer NOT NULL,
    last_failure_at timestamptz NOT NULL
);
