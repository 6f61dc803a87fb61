-- The tables that shared/storage needs in every schema that uses it.

CREATE TABLE inbox (
    tenant text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, source, id)
);

CREATE INDEX inbox_received_at ON inbox (received_at);

-- Rows live for milliseconds: until the broker has confirmed. What stays longer was left behind.
CREATE TABLE outbox (
    position bigserial PRIMARY KEY,
    id text NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    type text NOT NULL,
    body bytea NOT NULL,
    tries integer NOT NULL,
    claimed_until timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- No index on claimed_until: the table is nearly empty, and an index there would end HOT updates.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
