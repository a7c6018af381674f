-- Days whose newest landing is in gold: a backfill leaves them alone.
select g.feed_id, g.day, g.part from gold.days g
where not exists (
  select from bronze.landings l join bronze.landings mine on mine.id = g.landing_id
  where l.feed_id = g.feed_id and l.day = g.day and l.part = g.part and (l.received_at, l.id) > (mine.received_at, mine.id))
