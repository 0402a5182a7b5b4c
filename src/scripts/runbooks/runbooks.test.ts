// The mechanism itself: what of a document counts as a command, and that no document goes without a test.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { Runbook, commandsOf } from '../../testing/runbook.ts';

const SRC = join(import.meta.dirname, '../..');
const DOCUMENTS = readdirSync(join(SRC, '../docs/runbooks')).filter((name) => name.endsWith('.md'));
let book: Runbook | null = null;

afterEach(() => {
  book?.close();
  book = null;
});

it('takes the commands of sh blocks, indented and continued ones too, and nothing else', () => {
  const text = 'Do `this not`.\n```sh\none  # why\n# a comment\ntwo \\\n  words\n```\n1. step\n   ```sh\n   three\n   ```\n```\nnot me\n```\n';
  expect(commandsOf(text)).toEqual(['one  # why', 'two \\\n  words', 'three']);
});

it('refuses a command that the document does not hold, and a placeholder without a value', async () => {
  book = new Runbook('poison-pill.md', { REDIS_URL: 'redis://127.0.0.1:1' });
  await expect(book.run('redis-cli FLUSHALL')).rejects.toThrow('the runbook has no (further) command redis-cli FLUSHALL');
  await expect(book.run('npm run dlq -- show')).rejects.toThrow('no value for <id>');
});

it.each(DOCUMENTS)('%s is executed by a test', (name) => {
  const tests = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.test.ts'));
  expect(tests.filter((path) => readFileSync(join(SRC, path), 'utf8').includes(`'${name}'`))).not.toEqual([]);
  expect(commandsOf(readFileSync(join(SRC, '../docs/runbooks', name), 'utf8'))).not.toEqual([]);
});
