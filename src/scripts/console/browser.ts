// The system's Chromium for tests, pictures and figures: found on the PATH, never downloaded.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** Where it is; null when this machine has none. */
export function chromiumPath(path: string = process.env['PATH'] ?? ''): string | null {
  for (const folder of path.split(delimiter)) {
    for (const name of NAMES) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // not here
      }
    }
  }
  return null;
}

/** Rejects with one line that names the remedy when there is none. */
export async function openBrowser(): Promise<Browser> {
  const executablePath = chromiumPath();
  if (executablePath === null) throw new Error(`none of ${NAMES.join(', ')} is on the PATH: apt-get install chromium`);
  // A container's root has no sandbox, and its /dev/shm is small.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}
