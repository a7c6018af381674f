-- Every day of every active DSP feed, of the range that was asked for or else of the last days, and every file that lies
-- in a drop folder. A day that may still be restated is wanted as of today.
select f.id as feed_id, d.day::date as day, '' as part, f.org_id, f.name, f.source, null::text as path, null::text as fingerprint,
  case when d.day >= current_date - %(restate_days)s::int then current_date::text else 'final' end as source_version
from medallion.pipelines f
cross join lateral generate_series(
  coalesce(%(start)s::date, greatest(current_date - %(days_back)s::int, (f.config ->> 'first_day')::date)),
  least(coalesce(%(end)s::date, current_date - 1), current_date - 1), interval '1 day') d (day)
where f.active and f.source = 'dsp'
union all
select f.id, x.day, x.part, f.org_id, f.name, f.source, x.path, x.fingerprint, x.fingerprint
from json_to_recordset(%(files)s::json) x (feed_id uuid, day date, part text, path text, fingerprint text)
join medallion.pipelines f on f.id = x.feed_id and f.active and f.source = 'drop'
