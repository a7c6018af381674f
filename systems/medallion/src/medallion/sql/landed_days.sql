-- The newest landing of every day, with the version that it was fetched for.
select distinct on (l.feed_id, l.day, l.part) l.feed_id, l.day, l.part,
  coalesce(l.fingerprint, case when l.day >= current_date - %(restate_days)s::int
    then (l.received_at at time zone current_setting('timezone'))::date::text else 'final' end) as source_version
from bronze.landings l
order by l.feed_id, l.day, l.part, l.received_at desc, l.id desc
