-- Secrets of organizations, as sealed text.

-- name: keep
insert into medallion.credentials (name, secret) values (%(name)s, %(secret)s)
on conflict (name) do update set secret = excluded.secret, updated_at = now()

-- name: find
select secret from medallion.credentials where name = %(name)s and org_id = %(org_id)s

-- name: every
select name, secret from medallion.credentials order by name for update

-- name: listed
select c.name, o.name as organization, c.updated_at
from medallion.credentials c left join medallion.organizations o on o.id = c.org_id order by c.name

-- name: forget
delete from medallion.credentials where name = %(name)s
