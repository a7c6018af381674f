-- The landing that counts of every day: the newest.
select distinct on (l.feed_id, l.day, l.part) l.feed_id, l.day, l.part, f.org_id, f.name, l.id as landing_id,
  bronze.version_of(l) as source_version
from bronze.landings l join medallion.pipelines f on f.id = l.feed_id
where (%(start)s::date is null or l.day >= %(start)s::date) and (%(end)s::date is null or l.day <= %(end)s::date)
order by l.feed_id, l.day, l.part, l.received_at desc, l.id desc
