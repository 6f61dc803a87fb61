-- `soon`: an open wait of which nearly everything is seen, so that it is looked at as often as ever.
ALTER TABLE resources DROP CONSTRAINT resources_inspection_check;
ALTER TABLE resources ADD CONSTRAINT resources_inspection_check
    CHECK (inspection IN ('none', 'slow', 'fast', 'soon'));

-- Whether a cloud's own notifications can be relied on: earned and lost by evidence.
CREATE TABLE cloud_notifications (
    cloud text PRIMARY KEY,
    trusted boolean NOT NULL DEFAULT false,
    -- no evidence counts before that
    held_until timestamptz NOT NULL DEFAULT '-infinity',
    -- when all open waits were last looked at although the cloud is trusted
    looked_at timestamptz NOT NULL DEFAULT '-infinity'
);
