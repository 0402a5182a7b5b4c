// backfill_jobs: how far candle jobs have come.
import type { Client } from './connect.ts';
import { timestampOf } from './unnest.ts';

export interface JobProgress {
  /** First open time that is not fetched yet, µs. */
  nextTs: number;
  done: boolean;
}

/** How far a job has come; null when no page of it is stored yet. */
export async function findProgress(client: Pick<Client, 'query'>, jobId: string): Promise<JobProgress | null> {
  const { rows } = await client.query<{ next: string; done: boolean }>(
    'SELECT (extract(epoch FROM next_ts) * 1000000)::int8 AS next, done_at IS NOT NULL AS done FROM backfill_jobs WHERE job_id = $1', [jobId]);
  const [row] = rows;
  return row === undefined ? null : { nextTs: Number(row.next), done: row.done };
}

/** Notes a page, in the transaction that stores it. */
export async function saveProgress(client: Pick<Client, 'query'>, jobId: string, { nextTs, done }: JobProgress, rows: number): Promise<void> {
  await client.query(
    `INSERT INTO backfill_jobs AS j (job_id, next_ts, rows, pages, done_at) VALUES ($1, ${timestampOf('$2::int8')}, $3, 1, CASE WHEN $4 THEN now() END)
     ON CONFLICT (job_id) DO UPDATE SET next_ts = excluded.next_ts, rows = j.rows + excluded.rows, pages = j.pages + 1,
       done_at = excluded.done_at, updated_at = now()`,
    [jobId, nextTs, rows, done],
  );
}

/** Which of these jobs are done. */
export async function findDone(client: Pick<Client, 'query'>, jobIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await client.query<{ job_id: string }>('SELECT job_id FROM backfill_jobs WHERE job_id = ANY($1) AND done_at IS NOT NULL', [jobIds]);
  return new Set(rows.map((row) => row.job_id));
}
