-- The gap query, in parts that gap_query.py puts together. Words in braces are filled in there; user SQL is put in as
-- it stands. Columns of our own begin with ~, which no sane query uses.

-- name: by_source
-- The source tells which version exists: anti-join first, then one index probe per gap.
m as materialized (
  select w.*, {key} as "~key", {version} as "~version", {absent} as "~absent", {stale} as "~stale"
  from w {existing_join}
  where ({absent} or {stale} or {forced}){filter}
), g as materialized (
  select m.*, u.unit_id as "~unit_id", u.rev as "~rev", u.verdict as "~verdict", u.not_before as "~not_before",
    u.source_version as "~seen", u.repeats as "~repeats", u.alone as "~alone"
  from m left join lateral (
    select * from penstock.units y where y.pipeline_id = {pipeline} and y.key_hash = md5(m."~key")::uuid limit 1) u on true
)

-- name: by_ledger
-- The ledger tells which version exists, or what exists at all: one join with its units.
m as materialized (
  select w.*, {key} as "~key", {version} as "~version" from w where true{filter}
), g as materialized (
  select w.*, {absent} as "~absent", {stale} as "~stale", u.unit_id as "~unit_id", u.rev as "~rev",
    u.verdict as "~verdict", u.not_before as "~not_before", u.source_version as "~seen", u.repeats as "~repeats",
    u.alone as "~alone"
  from m w left join penstock.units u on u.pipeline_id = {pipeline} and u.key_hash = md5(w."~key")::uuid
  {existing_join}
  where ({absent} or {stale} or {forced})
)

-- name: plan
-- Reasons in the order of their weight, then order, lanes and batches, stored; one row of counts comes back.
with w as ({wanted}), {existing}{found}, r as materialized (
  select g.*, case
    when a.unit_id is not null then '+in_flight'
    when not {forced} and g."~not_before" > clock_timestamp() and g."~seen" is not distinct from g."~version"
      and (g."~verdict" in ('failed', 'rejected', 'no_data', 'partial')
        or (g."~verdict" = 'completed' and g."~absent" and {sees_data})) then '+remembered'
    when g."~absent" then case when g."~verdict" in ('failed', 'rejected', 'partial') then g."~verdict" else 'missing' end
    when g."~stale" then 'stale'
    else 'forced' end as "~reason", {priority} as "~priority"
  from g left join penstock.active a on a.unit_id = g."~unit_id"
), p as (
  select r.*, row_number() over (order by "~priority" desc, {order}"~key") as "~position", {lane} as "~lane0"
  from r where "~reason" not like '+%%' and "~key" is not null
), c as (
  select p.*, {chunk} as "~chunk" from p
), b as materialized (
  select c.*, {run_no} as "~run_no", {final_lane} as "~lane" from c
), ins as (
  insert into penstock.plan_items (plan_id, position, run_no, key, unit, lane, rank, priority, reason, source_version, rev{cost_column})
  select {plan}, "~position", "~run_no", "~key", {unit}, "~lane", {rank}, "~priority", "~reason", "~version",
    coalesce("~rev", 0){cost_value}
  from b order by "~position"
)
select
  (select coalesce(json_object_agg(x.reason, x.n), '{{}}') from (
    select "~reason" as reason, count(*) as n from b group by 1) x) as counts,
  (select count(*) from r where "~reason" = '+in_flight') as in_flight,
  (select coalesce(json_agg(json_build_array(x.verdict, x.n, x.until)), '[]') from (
    select "~verdict" as verdict, count(*) as n, min("~not_before") as until from r where "~reason" = '+remembered'
    group by 1 order by 1) x) as remembered,
  (select count(*) from r where "~absent" and {sees_data} and "~verdict" = 'completed' and "~repeats" >= 2) as repeating,
  (select count(distinct "~run_no") from b) as runs,
  (select json_build_array(count(*), coalesce(max(n), 0)) from (
    select count(distinct "~run_no") as n from b group by "~lane") x) as lanes,
  (select count(*) from g where "~key" is null) as nulls,
  (select "~key" from g group by 1 having count(*) > 1 limit 1) as twice{cost_check}

-- name: twice
-- Whether it is wanted that gives a key more than once.
with w as ({wanted}) select count(*) from w where {key} = %(penstock.key)s

-- name: presence
-- One unit that was listed: whether the source wants it and has it now.
with w as ({wanted}){existing}
select (select json_build_object('version', {version}, 'unit', to_json(w.*)) from w where {key} = %(penstock.key)s limit 1) as wanted,
  {present} as existing
