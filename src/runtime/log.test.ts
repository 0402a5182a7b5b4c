import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it('writes no secret, whatever object or encoding it came in', () => {
  const program = `
    import { createLogger } from ${JSON.stringify(join(import.meta.dirname, 'log.ts'))};
    const log = createLogger({ service: 't', level: 'info', secrets: ['pa ss/word'] });
    const error = Object.assign(new Error('connect to redis://:pa%20ss%2Fword@h failed'), { config: { headers: 'pa ss/word' } });
    log.error({ err: error, url: 'redis://x:pa ss/word@h', list: [Buffer.from('pa ss/word').toString('base64')] }, 'pa ss/word');
    log.info({ password: 'other', nested: { secret: 'other' } }, 'keys');`;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  expect(out).not.toMatch(/pa ss\/word|pa%20ss%2Fword|cGEgc3Mvd29yZA|other/);
  expect(out.match(/\[redacted\]/g)?.length).toBeGreaterThanOrEqual(6);
});
