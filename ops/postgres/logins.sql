-- Of an empty server's first start, after init.sql: the logins that `npm run secrets` has made (its volume is mounted at /secrets).
\i /secrets/logins.sql
