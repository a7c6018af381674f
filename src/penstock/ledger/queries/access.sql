-- Tokens of the service, and answers kept for requests that are sent again.

-- name: add_token
insert into penstock.api_tokens (app, name, role, org, hash, created_by, expires_at)
select %(app)s, %(name)s, %(role)s, %(org)s, %(hash)s, %(by)s, %(expires_at)s
where not %(first)s or not exists (select from penstock.api_tokens t where t.app = %(app)s)
on conflict (app, name) where revoked_at is null do nothing
returning token_id as id, app, name, role, org, created_at, created_by, expires_at, last_used_at, revoked_at;

-- name: lock_tokens
-- Two services that start at once make one first token.
select pg_advisory_xact_lock(hashtextextended('penstock.api_tokens:' || %(app)s, 0));

-- name: find_token
-- Written at most once a minute for each token: most requests only read.
with t as (
  select * from penstock.api_tokens y where y.hash = %(hash)s and y.app = %(app)s and y.revoked_at is null
    and (y.expires_at is null or y.expires_at > clock_timestamp())
), used as (
  update penstock.api_tokens y set last_used_at = clock_timestamp() from t
  where y.token_id = t.token_id and (t.last_used_at is null or t.last_used_at < clock_timestamp() - interval '1 minute')
    and t.last_used_at is not distinct from y.last_used_at
)
select token_id as id, app, name, role, org, created_at, created_by, expires_at, last_used_at, revoked_at from t;

-- name: tokens
select token_id as id, app, name, role, org, created_at, created_by, expires_at, last_used_at, revoked_at
from penstock.api_tokens where app = %(app)s and revoked_at is null and (%(org)s::text is null or org = %(org)s)
order by name;

-- name: revoke_token
update penstock.api_tokens set revoked_at = clock_timestamp()
where app = %(app)s and name = %(name)s and revoked_at is null and (%(org)s::text is null or org = %(org)s)
returning token_id as id, app, name, role, org, created_at, created_by, expires_at, last_used_at, revoked_at;

-- name: begin_request
-- Whoever inserts works on it. A row without an answer is somebody's at work, or of a service that died at it.
with taken as (
  insert into penstock.api_requests as r (token_id, key, hash, attempt)
  values (%(token)s, %(key)s, %(hash)s, %(attempt)s)
  on conflict (token_id, key) do update
  set hash = excluded.hash, attempt = excluded.attempt, made_at = clock_timestamp(), status = null, headers = null, body = null
  where r.made_at < clock_timestamp() - case when r.status is null then interval '5 minutes' else interval '1 day' end
  returning r.key
)
select exists (select from taken) as mine, r.hash, r.status, r.headers, r.body
from (values (1)) one(n) left join penstock.api_requests r on r.token_id = %(token)s and r.key = %(key)s;

-- name: end_request
update penstock.api_requests set status = %(status)s, headers = %(headers)s, body = %(body)s
where token_id = %(token)s and key = %(key)s and attempt = %(attempt)s;

-- name: drop_request
delete from penstock.api_requests where token_id = %(token)s and key = %(key)s and attempt = %(attempt)s;

-- name: forget_requests
delete from penstock.api_requests where made_at < clock_timestamp() - interval '1 day' returning token_id;

-- name: build_wall
select penstock.build_wall() as fault;

-- name: act_as
-- For the rest of this transaction.
select set_config('role', 'penstock_tenant', true), set_config('penstock.org', %(org)s, true);

-- name: own_plan
update penstock.plans set org = %(org)s where plan_id = %(plan)s;

-- name: owns_plan
select plan_id from penstock.plans where plan_id = %(plan)s and org = %(org)s;
