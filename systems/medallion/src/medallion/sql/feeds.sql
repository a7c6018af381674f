-- Organizations, their feeds and their campaigns.

-- name: create_org
insert into medallion.organizations (name) values (%(name)s) on conflict (name) do nothing returning id

-- name: org_named
select id from medallion.organizations where name = %(name)s

-- name: every_org
select o.id, o.name, count(f.id) from medallion.organizations o left join medallion.pipelines f on f.org_id = o.id
group by o.id order by o.id

-- name: take_credential
update medallion.credentials set org_id = %(org_id)s where name = %(name)s and coalesce(org_id, %(org_id)s) = %(org_id)s
returning name

-- name: create_feed
insert into medallion.pipelines (org_id, name, source, config) values (%(org_id)s, %(name)s, %(source)s, %(config)s)
on conflict (org_id, name) do nothing returning id

-- name: every_feed
select id, org_id, name, source, config, active from medallion.pipelines
where %(org_id)s::int is null or org_id = %(org_id)s::int order by org_id, name

-- name: feed_by_id
select id, org_id, name, source, config, active from medallion.pipelines where id = %(id)s

-- name: set_campaign
insert into medallion.campaigns (feed_id, campaign_id, name, budget, starts, ends)
values (%(feed_id)s, %(campaign_id)s, %(name)s, %(budget)s, %(starts)s, %(ends)s)
on conflict (feed_id, campaign_id) do update
set name = excluded.name, budget = excluded.budget, starts = excluded.starts, ends = excluded.ends

-- name: landed_files
select distinct l.path from bronze.landings l join medallion.pipelines f on f.id = l.feed_id where f.org_id = %(org_id)s
and not exists (select from bronze.landings x join medallion.pipelines y on y.id = x.feed_id
  where x.path = l.path and y.org_id <> f.org_id)

-- name: drop_rows
with l as (select l.id from bronze.landings l join medallion.pipelines f on f.id = l.feed_id where f.org_id = %(org_id)s),
  a as (delete from silver.ad_rows r using l where r.landing_id = l.id),
  b as (delete from silver.rejected_rows r using l where r.landing_id = l.id)
delete from bronze.rows r using l where r.landing_id = l.id

-- name: drop_org
delete from medallion.organizations where id = %(org_id)s

-- name: rejections
select feed, file, line, type, rules, record from silver.rejections
where %(feed)s::text is null or feed = %(feed)s::text order by landing_id desc, line limit %(limit)s
