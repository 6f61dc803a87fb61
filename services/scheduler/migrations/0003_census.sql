-- What the backends hold of this installation, as their workers' censuses show it.
CREATE TABLE censuses (
    place text PRIMARY KEY,
    -- when the newest one that has come completely was begun
    taken_at timestamptz NOT NULL
);

-- Which parts of which census have come.
CREATE TABLE census_parts (
    place text NOT NULL,
    taken_at timestamptz NOT NULL,
    part integer NOT NULL,
    PRIMARY KEY (place, taken_at, part)
);

CREATE TABLE holdings (
    place text NOT NULL,
    what text NOT NULL,
    id text NOT NULL,
    tenant text NOT NULL,
    resource_id text,
    name text,
    status text,
    -- the last two censuses that showed it
    seen_at timestamptz NOT NULL,
    seen_before timestamptz,
    -- what is wrong with it (services/scheduler/orphans.py), if anything
    verdict text,
    -- how often its removal was ordered, and before when it isn't ordered again
    orders integer NOT NULL DEFAULT 0,
    order_after timestamptz,
    PRIMARY KEY (place, what, id)
);
CREATE INDEX holdings_by_resource ON holdings (resource_id);
CREATE INDEX holdings_judged ON holdings (place) WHERE verdict IS NOT NULL;
