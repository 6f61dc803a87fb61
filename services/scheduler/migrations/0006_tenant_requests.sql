-- Requests that tenants' own users sent over the bus, each known by (tenant, source, id) for good: a
-- repeated one is answered with the resource that the first one was about. Kept apart from the inbox,
-- so that no tenant's choice of source and id can be that of a message of ours.
CREATE TABLE tenant_requests (
    tenant text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    -- of what was asked, without what was sealed: the same id with another request is a mistake
    digest bytea NOT NULL,
    resource_id text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, source, id)
);
