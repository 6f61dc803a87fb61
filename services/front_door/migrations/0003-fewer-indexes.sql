-- Each index is paid for by every POST, twice: open rows are few, so one index of theirs serves both
-- questions; old rows are looked for once in a while, and lie in the order of their age.
DROP INDEX requests_open;
DROP INDEX requests_by_age;
CREATE INDEX requests_by_age ON requests USING brin (created_at);
