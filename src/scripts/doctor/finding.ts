// One check of `npm run doctor`.
import { toError } from '../../core/errors.ts';
import { fail, type Finding } from '../../core/finding.ts';

/** Runs one check with a deadline; what it throws is a failure with the given remedy. */
export async function examine(name: string, remedy: string, check: () => Promise<Finding | Finding[]>, timeoutMs = 8_000): Promise<Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return [await Promise.race([check(), late])].flat();
  } catch (error) {
    return [fail(name, toError(error).message, remedy)];
  } finally {
    clearTimeout(timer);
  }
}
