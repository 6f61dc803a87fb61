-- Requests as they were accepted: the row is written before the message is published, and
-- confirmed_at when the broker has it. claimed_until: somebody is publishing it until then.
CREATE TABLE requests (
    id              text PRIMARY KEY,
    tenant          text NOT NULL,
    resource_id     text NOT NULL,
    kind            text NOT NULL,
    verb            text NOT NULL,
    operation_id    text,
    scope           text NOT NULL,
    idempotency_key text,
    compensates     text,
    digest          bytea NOT NULL,
    exchange        text NOT NULL,
    routing_key     text NOT NULL,
    type            text NOT NULL,
    body            bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    claimed_until   timestamptz NOT NULL,
    confirmed_at    timestamptz,
    withdrawn_at    timestamptz
);
CREATE UNIQUE INDEX requests_by_key ON requests (tenant, scope, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX requests_open ON requests (claimed_until)
    WHERE confirmed_at IS NULL AND withdrawn_at IS NULL;
CREATE INDEX requests_open_by_resource ON requests (resource_id)
    WHERE confirmed_at IS NULL AND withdrawn_at IS NULL;
CREATE INDEX requests_by_age ON requests (created_at);

-- The read model: each resource as its newest status message showed it. ulid is the end of id.
CREATE TABLE resources (
    id         text PRIMARY KEY,
    ulid       text NOT NULL,
    tenant     text NOT NULL,
    kind       text NOT NULL,
    name       text,
    phase      text NOT NULL,
    labels     jsonb NOT NULL,
    revision   bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    document   json NOT NULL
);
CREATE INDEX resources_by_tenant ON resources (tenant, ulid DESC);
CREATE INDEX resources_by_label ON resources USING gin (labels jsonb_path_ops);
CREATE INDEX resources_deleted ON resources (updated_at) WHERE phase = 'deleted';

-- The timeline. Positions are gapless per tenant and in the order of commits: the counter's row
-- stays locked until the commit, so nobody can read 8 and find 7 later.
CREATE TABLE positions (
    tenant text PRIMARY KEY,
    last   bigint NOT NULL
);
CREATE TABLE events (
    tenant      text NOT NULL,
    position    bigint NOT NULL,
    resource_id text NOT NULL,
    sequence    bigint NOT NULL,
    phase       text NOT NULL,
    at          timestamptz NOT NULL,
    document    json NOT NULL,
    PRIMARY KEY (tenant, position),
    UNIQUE (resource_id, sequence)
);
CREATE INDEX events_by_resource ON events (resource_id, position);
