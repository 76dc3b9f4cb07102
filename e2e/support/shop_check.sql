-- What always holds in the shop of e2e/mixed.sh: each line of the answer is something that does not.
SELECT 'balances do not add up' FROM (SELECT sum(balance) AS b, sum(opening) AS o FROM account) WHERE b <> o;
SELECT 'account ' || id || ' is not what its transfers say' FROM account a
	LEFT JOIN (SELECT source, sum(amount) AS n FROM transfer GROUP BY 1) s ON s.source = a.id
	LEFT JOIN (SELECT target, sum(amount) AS n FROM transfer GROUP BY 1) t ON t.target = a.id
	WHERE balance <> opening - coalesce(s.n, 0) + coalesce(t.n, 0);
SELECT 'purchase ' || id || ' is not the sum of its items' FROM purchase
	WHERE total <> (SELECT coalesce(sum(price * count), 0) FROM item WHERE item.purchase = purchase.id);
SELECT 'purchase ' || id || ' has no paper' FROM purchase WHERE id NOT IN (SELECT purchase FROM paper);
SELECT 'paper ' || purchase || ' has no purchase' FROM paper WHERE purchase NOT IN (SELECT id FROM purchase);
SELECT 'item of ' || purchase || ' has no purchase' FROM item WHERE purchase NOT IN (SELECT id FROM purchase);
SELECT 'paper ' || purchase || ' is not what was written' FROM paper
	WHERE body <> CAST(replace(hex(zeroblob(repeats)), '00', printf('%08x', seed)) AS BLOB);
SELECT 'purchase ' || id || ' has a tag that its note has not' FROM purchase WHERE note NOT LIKE tag || ' purchase %';
SELECT 'the search knows another note of ' || id FROM purchase p LEFT JOIN search s ON s.rowid = p.id
	WHERE s.note IS NOT p.note;
SELECT 'the search knows ' || rowid || ', which is no purchase' FROM search WHERE rowid NOT IN (SELECT id FROM purchase);
SELECT 'history: ' || count(*) || ' rows, not ' || (SELECT value FROM fact WHERE name = 'history') FROM history
	HAVING count(*) <> (SELECT value FROM fact WHERE name = 'history');
SELECT 'history: half changed' FROM history WHERE touched <> (SELECT value FROM fact WHERE name = 'touched') LIMIT 1;
SELECT 'history ' || id || ' is not what was written' FROM history WHERE length(text) <> 400 LIMIT 1;
SELECT 'rolled back, but there: ' || token FROM done WHERE token LIKE 'regret%';
INSERT INTO search (search) VALUES ('integrity-check');
