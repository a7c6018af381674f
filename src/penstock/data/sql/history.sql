-- Versions of rows: each holds from `valid_from` until `valid_to`, or still; `confirmed_at` is when the source last said
-- so. Put together with the table's names, so that braces are places: {into}, {history}, {given}, {plan} are tables.

-- name: adopt
-- What the table held before it had a history is its first version.
insert into {history} ({columns}, valid_from, valid_to, confirmed_at)
select {there_columns}, '-infinity', null, '-infinity' from {into} there
where exists (select from {given} given where {same_given})
  and not exists (select from {history} version where {same_version})
order by {there_key};

-- name: plan
-- The rows that say another value than that which held when they were published. `held` is when that version begins;
-- `resumes` when the source said the old value again later, as far as is known; `after` when what comes next begins,
-- and `repeats` whether that says the same, and need only begin earlier.
create temporary table {plan} on commit drop as
select {given_key}, held.valid_from as "~held", coalesce(held.valid_from = {published}, false) as "~amends",
  case when held.confirmed_at > {published} then held.confirmed_at end as "~resumes",
  coalesce(case when held.confirmed_at > {published} then held.confirmed_at end, later.valid_from) as "~after",
  later.valid_from is not null and coalesce(held.confirmed_at <= {published}, true) and not ({later_differs})
    as "~repeats"
from {given} given
left join lateral (
  select * from {history} version where {same_given_version} and valid_from <= {published}
    and (valid_to is null or valid_to > {published}) order by valid_from desc limit 1) held on true
left join lateral (
  select * from {history} version where {same_given_version} and valid_from > {published}
  order by valid_from limit 1) later on true
where held.valid_from is null or {held_differs};

-- name: confirm
-- The rows that say what holds.
update {history} version set confirmed_at = {published} from {given} given
where {same_given_version} and version.valid_from <= {published}
  and (version.valid_to is null or version.valid_to > {published}) and version.confirmed_at < {published}
  and not exists (select from {plan} plan where {same_given_plan});

-- name: resume
-- A late row splits the version that it falls into: what was said again afterwards holds again from then on.
insert into {history} ({columns}, valid_from, valid_to, confirmed_at)
select {version_columns}, plan."~resumes", version.valid_to, version.confirmed_at
from {history} version join {plan} plan on {same_plan_version} and version.valid_from = plan."~held"
where plan."~resumes" is not null;

-- name: amend
-- Published again for the same moment: the version is what was said last.
update {history} version
set {set_values} valid_to = coalesce(plan."~resumes", version.valid_to), confirmed_at = {published}
from {given} given, {plan} plan
where {same_given_plan} and {same_given_version} and plan."~amends" and version.valid_from = plan."~held";

-- name: close
-- The version that held ends where the new one begins. What it was confirmed at that very moment is taken back with it.
update {history} version set valid_to = {published},
  confirmed_at = case when plan."~resumes" is null and version.confirmed_at < {published} then version.confirmed_at
    else version.valid_from end
from {plan} plan
where {same_plan_version} and not plan."~amends" and version.valid_from = plan."~held";

-- name: begin_earlier
-- The next version says the same, so it held from here on.
update {history} version set valid_from = {published} from {plan} plan
where {same_plan_version} and not plan."~amends" and plan."~repeats" and version.valid_from = plan."~after";

-- name: open
-- The new versions, each until the next one.
insert into {history} ({columns}, valid_from, valid_to, confirmed_at)
select {given_columns}, {published}, plan."~after", {published}
from {given} given join {plan} plan on {same_given_plan}
where not plan."~amends" and not plan."~repeats" order by {given_key};

-- name: late
-- How many of the rows are older than what the table holds.
select count(*) from {given} given where not ({is_latest});

-- name: is_latest
-- Whether what was published is what holds now.
not exists (select from {history} version where {same_given_version}
  and (version.valid_from > {published} or version.confirmed_at > {published}))
