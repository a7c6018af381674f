-- What the layers read and write; each statement is part of its step's transaction.

-- name: land
insert into bronze.landings (feed_id, day, part, name, origin, path, sha256, bytes, fingerprint)
values (%(feed_id)s, %(day)s, %(part)s, %(name)s, %(origin)s, %(path)s, %(sha256)s, %(bytes)s, %(fingerprint)s)
on conflict (feed_id, day, part, sha256) do update
set received_at = clock_timestamp(), fingerprint = excluded.fingerprint, path = excluded.path,
  asked = landings.asked + %(forced)s::int
returning id, xmax = 0 as is_new

-- name: usable_landing
-- The newest, if silver could be made of it and its file was not changed since.
select l.id from (
  select * from bronze.landings where feed_id = %(feed_id)s and day = %(day)s and part = %(part)s
  order by received_at desc, id desc limit 1) l
where l.fingerprint is not distinct from %(fingerprint)s::text and exists (select from silver.loads s where s.landing_id = l.id)

-- name: hold_landing
select feed_id, day, part, name, origin, path, sha256, bytes, columns from bronze.landings where id = %(id)s for update

-- name: bronze_count
select count(*) from bronze.rows where landing_id = %(id)s

-- name: bronze_rows
-- Whoever reads them puts them in order: they come nearly so, and a sort on the server would go to the disk.
select line, record, fault from bronze.rows where landing_id = %(id)s

-- name: keep_rejected
copy silver.rejected_rows (landing_id, line, rules, type, record) from stdin

-- name: set_columns
update bronze.landings set columns = %(columns)s where id = %(id)s

-- name: silver_made
select rows, valid, filtered from silver.loads where landing_id = %(id)s

-- name: empty_silver
with a as (delete from silver.ad_rows where landing_id = %(id)s), b as (delete from silver.rejected_rows where landing_id = %(id)s)
delete from silver.loads where landing_id = %(id)s

-- name: silver_load
insert into silver.loads (landing_id, rows, valid, filtered, first_date, last_date)
values (%(id)s, %(rows)s, %(valid)s, %(filtered)s, %(first_date)s, %(last_date)s)

-- name: lock_feed
select pg_advisory_xact_lock(hashtextextended('medallion.gold', ('x' || left(md5(%(feed_id)s::text), 8))::bit(32)::int))

-- name: silver_loads
select landing_id, rows, valid, first_date, last_date from silver.loads where landing_id = any (%(ids)s)

-- name: days_before
select g.day, g.part, g.first_date, g.last_date from gold.days g
join unnest(%(days)s::date[], %(parts)s::text[]) x (day, part) on x.day = g.day and x.part = g.part where g.feed_id = %(feed_id)s

-- name: publish_days
insert into gold.days (feed_id, day, part, landing_id, source_version, first_date, last_date)
select l.feed_id, l.day, l.part, l.id, bronze.version_of(l), s.first_date, s.last_date
from bronze.landings l join silver.loads s on s.landing_id = l.id where l.id = any (%(ids)s)
on conflict (feed_id, day, part) do update set landing_id = excluded.landing_id, source_version = excluded.source_version,
  first_date = excluded.first_date, last_date = excluded.last_date, published_at = clock_timestamp()

-- name: drop_superseded
with gone as (
  select l.id from bronze.landings l join gold.days g on g.feed_id = l.feed_id and g.day = l.day and g.part = l.part
  where l.feed_id = %(feed_id)s and l.day = any (%(days)s) and l.id <> g.landing_id
    and l.received_at < (select m.received_at from bronze.landings m where m.id = g.landing_id)
), rows as (delete from silver.ad_rows r using gone where r.landing_id = gone.id),
  rejected as (delete from silver.rejected_rows r using gone where r.landing_id = gone.id),
  loads as (delete from silver.loads s using gone where s.landing_id = gone.id)
select count(*) from gone

-- name: overlapping
select exists (
  select from gold.days a join gold.days b on b.feed_id = a.feed_id and b.landing_id > a.landing_id
    and b.first_date <= a.last_date and a.first_date <= b.last_date
  where a.feed_id = %(feed_id)s and a.first_date <= %(last)s and a.last_date >= %(first)s)

-- name: campaign_daily
-- Of rows that several landings have, the one of the newest day counts, and of that day the last that was received.
with current as materialized (
  select g.landing_id, g.day, l.received_at from gold.days g join bronze.landings l on l.id = g.landing_id
  where g.feed_id = %(feed_id)s and g.first_date <= %(last)s and g.last_date >= %(first)s
), counted as (
  select s.* from silver.ad_rows s where not %(overlapping)s and s.landing_id = any (array(select landing_id from current))
    and s.date = any (%(dates)s)
  union all
  select s.* from (
    select distinct on (s.date, s.campaign_id, s.ad) s.* from silver.ad_rows s join current c using (landing_id)
    where %(overlapping)s and s.date = any (%(dates)s)
    order by s.date, s.campaign_id, s.ad, c.day desc, c.received_at desc, s.landing_id desc) s
), summed as (
  select date, campaign_id, max(campaign) as campaign, sum(impressions)::bigint as impressions, sum(clicks)::bigint as clicks,
    sum(conversions) as conversions, sum(spend) as spend, sum(revenue) as revenue, min(currency) as currency,
    count(*) as rows
  from counted group by date, campaign_id
)
insert into gold.campaign_daily (org_id, feed_id, day, campaign_id, campaign, impressions, clicks, conversions, spend, revenue,
  currency, ctr, cpc, cpa, roas, rows)
select %(org_id)s, %(feed_id)s, date, campaign_id, campaign, impressions, clicks, conversions, spend, revenue, currency,
  clicks::numeric / nullif(impressions, 0), spend / nullif(clicks, 0), spend / nullif(conversions, 0),
  revenue / nullif(spend, 0), rows
from summed

-- name: empty_campaign_daily
delete from gold.campaign_daily where feed_id = %(feed_id)s and day = any (%(dates)s)

-- name: empty_pacing_metrics
delete from gold.pacing_metrics where feed_id = %(feed_id)s

-- name: pacing_metrics
with last as (
  select max(day) as as_of from gold.campaign_daily where feed_id = %(feed_id)s
), paced as (
  select c.*, last.as_of, coalesce(d.campaign, c.name) as called, coalesce(d.spent, 0) as spent,
    greatest(0, least(last.as_of, c.ends) - c.starts + 1) as days_elapsed, c.ends - c.starts + 1 as days_total
  from medallion.campaigns c cross join last
  left join lateral (
    select sum(g.spend) as spent, max(g.campaign) as campaign from gold.campaign_daily g
    where g.feed_id = c.feed_id and g.campaign_id = c.campaign_id and g.day between c.starts and c.ends) d on true
  where c.feed_id = %(feed_id)s and last.as_of is not null
)
insert into gold.pacing_metrics (org_id, feed_id, campaign_id, campaign, as_of, budget, starts, ends, days_elapsed, days_total,
  spent, expected, remaining, pace, daily_rate_needed, status)
select %(org_id)s, feed_id, campaign_id, called, as_of, budget, starts, ends, days_elapsed, days_total, spent,
  budget * days_elapsed / days_total, budget - spent, spent / nullif(budget * days_elapsed / days_total, 0),
  (budget - spent) / nullif(greatest(0, ends - greatest(as_of, starts - 1)), 0),
  case when as_of < starts then 'not_started' when as_of >= ends then 'ended'
    when spent < 0.9 * budget * days_elapsed / days_total then 'under'
    when spent > 1.1 * budget * days_elapsed / days_total then 'over' else 'on_track' end
from paced

-- name: gold_days
select count(*) from gold.days g join medallion.pipelines f on f.id = g.feed_id where f.org_id = %(org_id)s
