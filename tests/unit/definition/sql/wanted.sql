select 1 as bank_id, 'Q1' as quarter
