// The alert rules and the dashboard: every series exists, every rule fires and keeps quiet when it shall, and against a fleet that
// runs every expression has an answer. What needs Prometheus' own programs is skipped where they are not installed.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { until } from '../../testing/receiver.ts';
import { openStage } from '../bench/stage.ts';
import { freePort, spawnChild, stopChild } from '../local/child.ts';
import { metricsAreFresh } from '../metrics.ts';
import { groupedBy, selectorsOf } from './promql.ts';
import { metricsDocument, nameProblem, readRegistrations, registrationsOf, seriesOf } from './registrations.ts';

const ROOT = join(import.meta.dirname, '../../..');
const RULES = join(ROOT, 'ops/prometheus/alerts.yml');
const installed = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

interface Rule {
  alert: string;
  expr: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}
interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  datasource?: { uid: string };
  targets?: { refId: string; expr: string; legendFormat: string; datasource: { uid: string } }[];
}

const rules = (load(read('ops/prometheus/alerts.yml')) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(read('ops/grafana/dashboards/tapekeeper.json')) as { uid: string; panels: Panel[] };
const shown = dashboard.panels.flatMap((panel) => (panel.targets ?? []).map(({ expr, legendFormat }) => ({ where: panel.title, expr, text: legendFormat })));
const alerted = rules.map(({ alert, expr, annotations }) => ({ where: alert, expr, text: Object.values(annotations).join(' ') }));
const registrations = readRegistrations(join(ROOT, 'src'));

describe('metrics', () => {
  it('are listed in docs/metrics.md as the code registers them', () => {
    expect(registrations.length).toBeGreaterThan(50);
    expect(metricsAreFresh(), 'docs/metrics.md is stale: npm run metrics').toBe(true);
    expect(metricsDocument(registrations)).toContain('| `receiver_feed_age_seconds` | gauge | `market` | Time since the last data frame |');
  });

  it('carry their unit in their name', () => {
    expect(registrations.flatMap((one) => nameProblem(one) ?? [])).toEqual([]);
    const problem = (kind: 'counter' | 'gauge' | 'histogram', name: string): boolean =>
      nameProblem({ name, kind, help: '', labels: [], file: '' }) !== null;
    expect([problem('counter', 'a_rows'), problem('gauge', 'a_delay'), problem('histogram', 'a_seconds'), problem('gauge', 'Abc')])
      .toEqual([true, true, false, true]);
  });

  it('are found whatever way they are written', () => {
    const text = `const m = ['market'];\nmetrics.counter('x_total', 'X');\nctx.metrics.histogram(\n'y_seconds', "It's", [1], m);\nother.counter(7);`;
    expect(registrationsOf('x.ts', text).map(({ name, kind, help, labels }) => [name, kind, help, labels])).toEqual([
      ['x_total', 'counter', 'X', []], ['y_seconds', 'histogram', 'It\'s', ['market']],
    ]);
    expect(() => registrationsOf('x.ts', 'm.gauge(\'z\', help)')).toThrow('the help of z is no literal text');
    expect(() => registrationsOf('x.ts', 'm.gauge(\'z\', \'Z\', labels)')).toThrow('the labels of z are no literal texts');
  });
});

describe('rules and dashboard', () => {
  it.each([...alerted, ...shown])('speak of series and labels that exist: $where', ({ expr, text }) => {
    const known = new Map(registrations.flatMap((one) => seriesOf(one).map((series) => [series, one.labels])));
    const own = new Set(['service', 'instance', 'job', 'le', 'alertname', 'alertstate']);
    for (const { series, labels } of selectorsOf(expr)) {
      const builtIn = /^(process|nodejs)_|^ALERTS$/.test(series);
      expect(builtIn || known.has(series), series).toBe(true);
      const used = [...labels, ...groupedBy(expr)];
      const all = selectorsOf(expr).flatMap((each) => known.get(each.series) ?? []);
      expect(used.filter((label) => !own.has(label) && !all.includes(label)), series).toEqual([]);
    }
    const told = [...text.matchAll(/\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}/g)].map(([, label = '']) => label);
    expect(told.filter((label) => !groupedBy(expr).includes(label))).toEqual([]);
  });

  it('takes a PromQL expression apart', () => {
    const expr = 'sum by (le, market) (rate(x_bucket{a="b(c",d!~"e"}[1m])) / 2 > 1e3 unless max(y_total)';
    expect(selectorsOf('histogram_quantile(0.9, rate(x_bucket[1m]))')).toEqual([{ series: 'x_bucket', labels: [] }]);
    expect(selectorsOf(expr).filter(({ series }) => series.length > 2)).toEqual([
      { series: 'x_bucket', labels: ['a', 'd'] }, { series: 'y_total', labels: [] },
    ]);
    expect(groupedBy(expr)).toEqual(['le', 'market']);
  });

  it('say of each alert how bad it is and what to do, and test it once firing and once quiet', () => {
    const { tests } = load(read('ops/prometheus/alerts.test.yml')) as { tests: { alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[] }[] };
    for (const { alert, labels, annotations } of rules) {
      expect(labels['severity'], alert).toMatch(/^(critical|warning|info)$/);
      expect(Object.keys(annotations), alert).toEqual(['summary', 'remedy']);
      const own = tests.flatMap((test) => test.alert_rule_test).filter(({ alertname }) => alertname === alert);
      expect(own.map(({ exp_alerts: expected }) => (expected ?? []).length), alert).toEqual([1, 0]);
    }
  });

  it('is a dashboard that Grafana can show: panels with names, places of their own and our data source', () => {
    expect(dashboard.uid).toBe('tapekeeper');
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const taken = new Set<string>();
    for (const { type, title, description, gridPos: { x, y, w, h }, datasource, targets = [] } of dashboard.panels) {
      expect(title).not.toBe('');
      expect(x + w, title).toBeLessThanOrEqual(24);
      for (let column = x; column < x + w; column++) {
        for (let line = y; line < y + h; line++) {
          expect(taken.has(`${column} ${line}`), title).toBe(false);
          taken.add(`${column} ${line}`);
        }
      }
      if (type === 'row') continue;
      expect(['timeseries', 'stat'], title).toContain(type);
      expect(description, title).toMatch(/\.$/);
      expect(targets.length, title).toBeGreaterThan(0);
      expect([datasource?.uid, ...targets.map((target) => target.datasource.uid)].every((uid) => uid === 'prometheus'), title).toBe(true);
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
    }
  });

  it('is published on 127.0.0.1 only, whatever runs in Compose', () => {
    const { services } = load(read('docker-compose.yml')) as {
      services: Record<string, { ports?: string[]; profiles?: string[] }>;
    };
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(3);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
    expect([services['prometheus']?.profiles, services['grafana']?.profiles]).toEqual([['observability'], ['observability']]);
  });
});

describe.skipIf(!installed('promtool'))('promtool', () => {
  it('takes the configuration and the rules, and every rule passes its tests', () => {
    const check = spawnSync('promtool', ['check', 'config', 'prometheus.yml'], { cwd: join(ROOT, 'ops/prometheus'), encoding: 'utf8' });
    expect(check.status, check.stdout + check.stderr).toBe(0);
    const test = spawnSync('promtool', ['test', 'rules', 'alerts.test.yml'], { cwd: join(ROOT, 'ops/prometheus'), encoding: 'utf8' });
    expect(test.status, test.stdout + test.stderr).toBe(0);
  });
});

describe.skipIf(!installed('prometheus'))('against a fleet that runs', () => {
  it('has an answer to every expression, and nothing fires', async () => {
    const stage = await openStage();
    const [port, simulatorPort] = [await freePort(), await freePort()];
    const api = async <T>(path: string): Promise<T> => {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
      const body = (await response.json()) as { status: string; error?: string; data: T };
      if (body.status !== 'success') throw new Error(`${path}: ${body.error}`);
      return body.data;
    };
    try {
      const env = { SIM_URL: `http://127.0.0.1:${simulatorPort}` };
      const services = [await stage.service('simulator', { SIM_PORT: String(simulatorPort), SIM_RATE: '50' })];
      await stage.service('janitor', env);
      for (const name of ['receiver', 'distributor', 'governor', 'backfill', 'maintenance']) services.push(await stage.service(name, env));
      const consolePort = await freePort();
      services.push(await stage.service('console', { ...env, CONSOLE_PORT: String(consolePort) }));
      // Somebody looks.
      const looking = new AbortController();
      await fetch(`http://127.0.0.1:${consolePort}/api/live?topic=overview`, { signal: looking.signal });
      await (await fetch(`http://127.0.0.1:${consolePort}/api/feeds`)).text();
      const folder = join(stage.folder, 'prometheus');
      mkdirSync(folder);
      writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify({
        global: { scrape_interval: '1s', evaluation_interval: '1s' }, rule_files: [RULES],
        scrape_configs: [{ job_name: 'fleet', static_configs: [{ targets: services.map(({ metricsPort }) => `127.0.0.1:${metricsPort}`) }] }],
      }));
      const child = spawnChild('prometheus', [
        `--config.file=${join(folder, 'prometheus.yml')}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=127.0.0.1:${port}`,
      ], { logFile: join(folder, 'prometheus.log'), env: { PATH: process.env['PATH'] ?? '' }, deathSignal: 'TERM' });
      try {
        const value = async (expr: string): Promise<number> => {
          const { result } = await api<{ result: unknown[] }>(`query?query=${encodeURIComponent(expr)}`);
          return result.length;
        };
        // Four rounds: a rate has two points then.
        await until(async () => (await value('count_over_time(distributor_lag_seconds[1m]) > 4').catch(() => 0)) > 0, 30_000);
        const silent: string[] = [];
        for (const { where, expr } of shown) if ((await value(expr)) === 0) silent.push(where);
        // What has not happened yet has no series, and some services are not part of this fleet.
        const away = ['Alerts firing', 'Missing and healed', 'Events', 'Socket to event', 'Symbols', 'Stops', 'Guard armed', 'Live orders',
          'Signals and refusals', 'Signal to wire', 'Lapses'];
        expect([...new Set(silent)].filter((where) => !away.includes(where))).toEqual([]);
        const { groups } = await api<{ groups: { rules: { name: string; health: string; lastError?: string; state: string }[] }[] }>('rules');
        const judged = groups.flatMap((group) => group.rules);
        expect(judged.map(({ name }) => name).sort()).toEqual(rules.map(({ alert }) => alert).sort());
        expect(judged.filter(({ health, state }) => health !== 'ok' || state === 'firing')).toEqual([]);
      } finally {
        looking.abort();
        await stopChild(child, 'SIGTERM', 10_000);
      }
    } finally {
      await stage.close();
    }
  }, 120_000);
});
