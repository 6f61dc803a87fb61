-- What `full_clouds` (0004) took the place of. Nothing reads or writes it any more, neither in this
-- version nor in the one before, which goes on running while this is applied.
ALTER TABLE resources DROP COLUMN not_before;
DROP TABLE releases;
