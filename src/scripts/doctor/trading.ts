// doctor: credentials, and whether what trades is there, free to trade and guarded.
import { existsSync, statSync } from 'node:fs';
import type { Heartbeat } from '../../bus/heartbeats.ts';
import { fail, ok, warn, type Finding } from '../../core/finding.ts';
import { readSecret, type TradingConfig } from '../../runtime/trading_env.ts';
import type { TradingState } from '../../store/settings.ts';

/** The API key: there, from a file, and that file nobody else's to read. */
export function credentialsFinding({ mode, market, clientId, clientSecret }: TradingConfig): Finding {
  const name = 'credentials';
  if (mode === 'observe') return ok(name, 'none needed: EXECUTOR_MODE is observe');
  const prefix = market?.marketId.toUpperCase() ?? 'API';
  const remedy = `${prefix}_CLIENT_ID_FILE and ${prefix}_CLIENT_SECRET_FILE: files of the executor's user with mode 0400`;
  for (const [what, source] of [['CLIENT_ID', clientId], ['CLIENT_SECRET', clientSecret]] as const) {
    const secret = readSecret(`${prefix}_${what}`, source);
    if (!secret.ok) {
      // The operator is not the executor: that its files are closed to us is as it should be.
      const closed = /belongs to user|EACCES/.test(secret.reason);
      return (closed ? warn : fail)(name, secret.reason, closed ? 'ask as the executor\'s user: only it can tell' : remedy);
    }
    if (!secret.fromFile && mode !== 'paper') return fail(name, `${prefix}_${what} stands in the environment`, remedy);
  }
  return ok(name, `of ${prefix}, ${clientSecret.file === null ? 'from the environment (paper)' : 'in files that only their owner can read'}`);
}

/** The files that NAME_FILE variables lead to: what is in them is for their owner. */
export function secretFilesFinding(env: Readonly<Record<string, string | undefined>>, isSecret: (name: string) => boolean): Finding {
  const name = 'secret files';
  const files = Object.entries(env).flatMap(([key, path]) => (key.endsWith('_FILE') && isSecret(key.slice(0, -5)) && path ? [{ key, path }] : []));
  if (files.length === 0) return ok(name, 'none in use');
  const bits = (path: string): number => {
    try {
      return statSync(path).mode & 0o777;
    } catch {
      return 0;
    }
  };
  const shown = (mask: number): string => files.filter(({ path }) => (bits(path) & mask) !== 0)
    .map(({ key, path }) => `${key} ${path} has mode 0${bits(path).toString(8)}`).join(', ');
  const [all, group] = [shown(0o007), shown(0o070)];
  if (all !== '') return fail(name, all, 'chmod 0400: everybody on this machine can read it');
  return group !== '' ? warn(name, group, 'chmod 0400: its group can read it') : ok(name, `${files.length}, nobody but their owner can read them`);
}

export function riskFinding({ mode, riskFile }: TradingConfig): Finding {
  const name = 'risk limits';
  if (mode === 'observe') return ok(name, 'none needed: EXECUTOR_MODE is observe');
  if (riskFile === null) return fail(name, 'RISK_FILE is not set', 'RISK_FILE=/abs/risk.yml: without limits nothing is sent');
  return existsSync(riskFile) ? ok(name, riskFile) : fail(name, `RISK_FILE: ${riskFile} does not exist`, 'without limits nothing is sent');
}

export interface TradingFacts {
  readonly config: TradingConfig;
  readonly executors: readonly Heartbeat[];
  readonly guards: readonly Heartbeat[];
  readonly state: TradingState;
}

/** Executor, its lock, the kill switch and the guard: a row each. */
export function tradingFindings(facts: TradingFacts): Finding[] {
  return [executorFinding(facts), lockFinding(facts.state), killFinding(facts), guardFinding(facts)];
}

function executorFinding({ config: { mode }, executors }: TradingFacts): Finding {
  const name = 'executor';
  const leader = executors.find(({ says }) => says['role'] === 'leader');
  const remedy = 'npm start -- executor; its log and /readyz say why it does not trade';
  if (executors.length === 0) return mode === 'observe' ? ok(name, 'none, and none needed: EXECUTOR_MODE is observe') : fail(name, 'none is alive', remedy);
  if (mode === 'observe') return ok(name, `${executors.length} alive, observing`);
  if (leader === undefined) return fail(name, `${executors.length} alive, none of them leads`, remedy);
  const says = JSON.stringify(leader.says['mode'] ?? null);
  return leader.says['mode'] === mode
    ? ok(name, `instance ${leader.instance} leads, ${mode} on account ${String(leader.says['account'])}`)
    : warn(name, `instance ${leader.instance} leads, but its mode is ${says}, not ${mode}`, remedy);
}

function lockFinding({ locked }: TradingState): Finding {
  const [first] = locked;
  if (first === undefined) return ok('executor lock', 'not locked');
  const { caseId, kind, symbol, decision } = first;
  const more = locked.length === 1 ? '' : `, and ${locked.length - 1} more`;
  const why = `${decision ?? kind}${symbol === null ? '' : ` of ${symbol}`}`;
  return fail('executor lock', `locked by case ${caseId}: ${why}${more}`, 'docs/runbooks/position-mismatch.md');
}

function killFinding({ config: { killFile }, state: { killSwitch } }: TradingFacts): Finding {
  const remedy = `nothing is sent until whoever pulled it takes it off (the flag, and the file ${killFile})`;
  if (killSwitch !== null) return warn('kill switch', `on, by ${killSwitch.by}: ${killSwitch.reason ?? 'no reason given'}`, remedy);
  return existsSync(killFile) ? warn('kill switch', `on: ${killFile} exists`, remedy) : ok('kill switch', 'off');
}

function guardFinding({ config: { mode }, guards }: TradingFacts): Finding {
  const name = 'guard';
  if (mode === 'observe') return ok(name, 'none needed: EXECUTOR_MODE is observe');
  const level = mode === 'paper' ? warn : fail;
  const remedy = 'npm start -- guard, with credentials of its own: nobody else cancels for an executor that dies';
  if (guards.length === 0) return level(name, 'none is alive', remedy);
  const armed = guards.find(({ says }) => says['armed'] === true);
  return armed === undefined
    ? level(name, `not armed: ${JSON.stringify(guards[0]?.says['reason'] ?? 'it does not say why')}`, remedy) : ok(name, `instance ${armed.instance} is armed`);
}
