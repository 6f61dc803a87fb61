-- Who wants to be told, what is to be told them, and every try to do so.

-- A callback_url makes a subscription of id wh-<resource id> that is bound to its resource.
CREATE TABLE subscriptions (
    tenant text NOT NULL,
    id text NOT NULL,
    url text NOT NULL,
    lane text NOT NULL,
    phases text[] NOT NULL DEFAULT '{}',
    kinds text[] NOT NULL DEFAULT '{}',
    description text,
    resource_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    failing_since timestamptz,
    messages_lost integer NOT NULL DEFAULT 0,
    disabled_at timestamptz,
    disabled_reason text,
    ended_at timestamptz,
    deleted_at timestamptz,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX subscriptions_by_resource ON subscriptions (tenant, resource_id);

-- The secrets themselves are derived and stored nowhere; scope is a subscription's id or 'callback'.
CREATE TABLE signing_keys (
    tenant text NOT NULL,
    scope text NOT NULL,
    generation integer NOT NULL,
    rotations timestamptz[] NOT NULL,
    PRIMARY KEY (tenant, scope)
);

-- The unique key makes a repeated status message harmless. tries counts since the delivery was last
-- queued; the claim is a sender's, for as long as claimed_until says.
CREATE TABLE deliveries (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    subscription_id text NOT NULL,
    resource_id text NOT NULL,
    sequence bigint NOT NULL,
    lane text NOT NULL,
    body text NOT NULL,
    state text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'delivered', 'failed', 'cancelled')),
    tries integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz DEFAULT now(),
    claim text,
    claimed_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    FOREIGN KEY (tenant, subscription_id) REFERENCES subscriptions (tenant, id) ON DELETE CASCADE,
    UNIQUE (tenant, subscription_id, resource_id, sequence),
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((state = 'pending') = (finished_at IS NULL))
);
CREATE INDEX deliveries_due ON deliveries (lane, next_attempt_at, sequence)
    WHERE state = 'pending';
CREATE INDEX deliveries_next ON deliveries (next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_claimed ON deliveries (claimed_until)
    WHERE state = 'pending' AND claimed_until IS NOT NULL;
CREATE INDEX deliveries_untried ON deliveries (tenant, subscription_id, resource_id, sequence)
    WHERE state = 'pending' AND tries = 0;
CREATE INDEX deliveries_newest ON deliveries (tenant, subscription_id, created_at DESC, id DESC);
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE attempts (
    delivery_id text NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    at timestamptz NOT NULL,
    status integer,
    error text,
    milliseconds integer NOT NULL
);
CREATE INDEX attempts_of_delivery ON attempts (delivery_id, at);
