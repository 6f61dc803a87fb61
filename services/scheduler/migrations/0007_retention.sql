-- When a resource ended. Its own column, and not updated_at, so that the index on it is touched once
-- in a life and not with every change (such updates stay within their page: PostgreSQL's HOT).
ALTER TABLE resources ADD COLUMN ended_at timestamptz;
UPDATE resources SET ended_at = updated_at WHERE phase IN ('deleted', 'failed');
CREATE INDEX resources_ended ON resources (ended_at) WHERE phase IN ('deleted', 'failed');

-- So that what is asked about the living costs no more with many that have ended.
CREATE INDEX resources_living ON resources (kind, tenant, phase)
    WHERE phase NOT IN ('deleted', 'failed');
DROP INDEX resources_inspected;
CREATE INDEX resources_inspected ON resources (kind, cloud, inspection, id)
    WHERE inspection <> 'none';

-- What is remembered of tenants' requests goes with their resources.
CREATE INDEX tenant_requests_by_resource ON tenant_requests (resource_id);

-- Every census touches every row of these: room for the new version in the page of the old one.
ALTER TABLE holdings SET (fillfactor = 50);
