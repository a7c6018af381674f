-- What the demonstration shows.

-- name: feed
select f.id from medallion.pipelines f join medallion.organizations o on o.id = f.org_id
where o.name = %(organization)s and f.name = %(feed)s

-- name: layers
with current as (select g.landing_id from gold.days g where g.feed_id = %(feed_id)s)
select 'bronze', to_char((select count(*) from bronze.rows where landing_id in (select landing_id from current)), 'FM999,999,999'),
  null, (select round(sum(l.bytes) / 1e6, 1) from bronze.landings l where l.id in (select landing_id from current)), 'bronze.rows'
union all
select 'silver', to_char(sum(valid), 'FM999,999,999'), to_char(sum(filtered), 'FM999,999,999'), null, 'silver.ad_rows'
from silver.loads where landing_id in (select landing_id from current)
union all
select 'gold', to_char(count(*), 'FM999,999,999'), null, null, 'gold.campaign_daily'
from gold.campaign_daily where feed_id = %(feed_id)s
union all
select 'gold', to_char(count(*), 'FM999,999,999'), null, null, 'gold.pacing_metrics'
from gold.pacing_metrics where feed_id = %(feed_id)s

-- name: score
select sum(s.rows), sum(s.valid), round(trunc(sum(s.valid)::numeric * 10000 / greatest(sum(s.rows), 1)) / 100, 2)
from silver.loads s join gold.days g on g.landing_id = s.landing_id where g.feed_id = %(feed_id)s

-- name: rejected
select r.type, r.rules, count(*), (array_agg(l.name || ', line ' || r.line order by l.name, r.line))[1]
from silver.rejected_rows r join bronze.landings l on l.id = r.landing_id join gold.days g on g.landing_id = r.landing_id
where g.feed_id = %(feed_id)s group by 1, 2 order by 3 desc, 2

-- name: pacing
select campaign, round(spent, 2), round(budget, 2), round(expected, 2), round(pace, 2), status
from gold.pacing_metrics where feed_id = %(feed_id)s order by campaign_id
