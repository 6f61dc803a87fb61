-- Failed resources are forgotten too, like deleted ones.
DROP INDEX resources_deleted;
CREATE INDEX resources_ended ON resources (updated_at) WHERE phase IN ('deleted', 'failed');
