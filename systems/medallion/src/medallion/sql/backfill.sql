-- Every day of every active feed in the range, a chunk for each month of a feed. A file that was changed is another
-- version: one that was wrong is tried again.
select f.id as feed_id, d.day::date as day, '' as part, f.org_id, f.name, f.source, null::text as path,
  null::text as fingerprint, f.id || ' ' || to_char(d.day, 'YYYY-MM') as chunk,
  null::text as source_version
from medallion.pipelines f
cross join lateral generate_series(%(start)s::date, least(%(end)s::date, current_date - 1), interval '1 day') d (day)
where f.active and f.source = 'dsp'
union all
select f.id, x.day, x.part, f.org_id, f.name, f.source, x.path, x.fingerprint, f.id || ' ' || to_char(x.day, 'YYYY-MM'),
  x.fingerprint
from json_to_recordset(%(files)s::json) x (feed_id uuid, day date, part text, path text, fingerprint text)
join medallion.pipelines f on f.id = x.feed_id and f.active and f.source = 'drop'
where x.day between %(start)s::date and %(end)s::date
