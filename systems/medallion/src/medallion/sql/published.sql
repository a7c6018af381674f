-- What gold is made of.
select feed_id, day, part, source_version from gold.days
