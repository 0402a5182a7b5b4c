// Waiting for a fleet to come to rest.
import { setTimeout as sleep } from 'node:timers/promises';
import { toError } from '../../core/errors.ts';

const POLL_MS = 100;

/** Repeats `check` until it returns null; after `seconds` the last complaint. */
export async function settle(seconds: number, check: () => Promise<string | null>): Promise<string | null> {
  for (let round = 0; ; round++) {
    const complaint = await check().catch((error: unknown) => toError(error).message);
    if (complaint === null || round >= (seconds * 1000) / POLL_MS) return complaint;
    await sleep(POLL_MS);
  }
}
