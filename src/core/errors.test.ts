import { expect, it } from 'vitest';
import { classify, type ErrorClass } from './errors.ts';

const coded = (code: string, message = 'x'): Error => Object.assign(new Error(message), { code });

it.each<[string, unknown, ErrorClass]>([
  ['server restart', coded('57P01'), 'infrastructure'],
  ['crash of a neighbour', coded('57P02'), 'infrastructure'],
  ['disk full', coded('53100'), 'infrastructure'],
  ['deadlock', coded('40P01'), 'infrastructure'],
  ['lock timeout', coded('55P03'), 'infrastructure'],
  ['read only', coded('25006'), 'infrastructure'],
  ['schema not there yet', coded('42P01'), 'infrastructure'],
  ['numeric overflow', coded('22003'), 'data'],
  ['not null', coded('23502'), 'data'],
  ['refused', coded('ECONNREFUSED'), 'infrastructure'],
  ['Redis full', new Error("OOM command not allowed when used memory > 'maxmemory'."), 'infrastructure'],
  ['Redis loading', new Error('LOADING Redis is loading the dataset in memory'), 'infrastructure'],
  ['group gone', new Error("NOGROUP No such key 'stream:market_data'"), 'infrastructure'],
  ['disk full under Redis', new Error('MISCONF Errors writing to the AOF file'), 'infrastructure'],
  ['pg client timeout', new Error('Query read timeout'), 'infrastructure'],
  ['pg connection', new Error('Connection terminated unexpectedly'), 'infrastructure'],
  ['all addresses refused', new AggregateError([coded('ECONNREFUSED')]), 'infrastructure'],
  ['a bug', new TypeError("Cannot read properties of undefined (reading 'x')"), 'unknown'],
  ['not an error', 'text', 'unknown'],
])('%s', (_name, error, expected) => expect(classify(error)).toBe(expected));
