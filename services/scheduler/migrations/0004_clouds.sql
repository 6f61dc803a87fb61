-- Resting clouds: `streak` failures since `streak_since` without a success between; after enough,
-- nothing new goes there before `resting_until`. `rests` in a row make the next one longer.
-- `probed_at`: a rest was over, and one request was sent to try.
ALTER TABLE cloud_failures
    ADD COLUMN streak integer NOT NULL DEFAULT 0,
    ADD COLUMN streak_since timestamptz,
    ADD COLUMN rests integer NOT NULL DEFAULT 0,
    ADD COLUMN resting_until timestamptz,
    ADD COLUMN probed_at timestamptz;

-- A cloud's own quota has refused a tenant: `tries` may try again now, and one more at `not_before`.
-- It takes the place of `resources.not_before` and of `releases`, which only a scheduler of an
-- earlier version still uses while the replicas are being replaced.
CREATE TABLE full_clouds (
    tenant text NOT NULL,
    cloud text NOT NULL,
    reason text NOT NULL,
    words text NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    waits integer NOT NULL DEFAULT 0,
    closed_at timestamptz NOT NULL DEFAULT now(),
    not_before timestamptz NOT NULL,
    PRIMARY KEY (tenant, cloud)
);
