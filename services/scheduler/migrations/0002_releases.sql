-- When something of a tenant last ended: those that a cloud's quota refused before may try again.
CREATE TABLE releases (
    tenant text PRIMARY KEY,
    released_at timestamptz NOT NULL
);
