// What is deployed and what it is built from: containers without rights, nothing open, packages that are what the lockfile says.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { nodeOptions } from './local/node_options.ts';
import { LOGINS, SERVICE_LOGINS, UIDS, type ServiceLogin } from './local/credentials.ts';

const ROOT = join(import.meta.dirname, '../..');
const text = (name: string): string => readFileSync(join(ROOT, name), 'utf8');

interface Service {
  command?: string[];
  entrypoint?: string[];
  user?: string;
  ports?: string[];
  volumes?: string[];
  networks?: string[];
  network_mode?: string;
  environment?: Record<string, string>;
  read_only?: boolean;
  cap_drop?: string[];
  cap_add?: string[];
  security_opt?: string[];
  mem_limit?: string;
  pids_limit?: number;
  init?: boolean;
  privileged?: boolean;
  pid?: string;
  '<<'?: Service;
}

/** Merge keys as Compose applies them. */
function merged(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(merged);
  if (typeof value !== 'object' || value === null) return value;
  const { '<<': base, ...own } = value as Record<string, unknown>;
  const entries = Object.fromEntries(Object.entries(own).map(([name, inner]) => [name, merged(inner)]));
  return base === undefined ? entries : { ...(merged(base) as object), ...entries };
}

const compose = merged(load(text('docker-compose.yml'))) as {
  services: Record<string, Service>; networks: Record<string, { internal?: boolean } | null>; volumes: Record<string, unknown>;
};
const services = Object.entries(compose.services);
const isLogin = (name: string): name is ServiceLogin => SERVICE_LOGINS.some((login) => login === name);
const wrong = (check: (service: Service, name: string) => boolean): string[] =>
  services.filter(([name, service]) => check(service, name)).map(([name]) => name);

describe('docker-compose.yml', () => {
  it('starts Node as the demo does', () => {
    expect(wrong(({ command, environment }) => (environment?.['NODE_OPTIONS'] ?? '') !== nodeOptions(command?.[0] ?? '').join(' '))).toEqual([]);
  });

  it('publishes on 127.0.0.1 only', () => {
    const ports = services.flatMap(([, { ports: each = [] }]) => each);
    expect(ports.length).toBeGreaterThan(2);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it('takes everything away from the containers that they do not need', () => {
    expect(wrong(({ cap_drop: dropped }) => dropped?.includes('ALL') !== true)).toEqual([]);
    expect(wrong(({ cap_add: added }) => added !== undefined)).toEqual(['secrets']);
    expect(wrong(({ security_opt: options }) => options?.includes('no-new-privileges:true') !== true)).toEqual([]);
    expect(wrong(({ mem_limit: memory, pids_limit: pids }) => memory === undefined || pids === undefined)).toEqual([]);
    expect(wrong(({ privileged, pid, network_mode: mode }) => privileged === true || pid !== undefined || mode === 'host')).toEqual([]);
    expect(wrong(({ volumes = [] }) => volumes.some((volume) => volume.includes('docker.sock') || volume.startsWith('/:')))).toEqual([]);
    // Grafana writes its plugins and its database beside its program.
    expect(wrong(({ read_only: readOnly }) => readOnly !== true).filter((name) => name !== 'grafana')).toEqual([]);
    expect(wrong(({ init }, name) => init !== true && !['grafana', 'prometheus'].includes(name))).toEqual([]);
  });

  it('runs each service as a user of its own, who alone can read its login', () => {
    expect(wrong(({ user }) => user?.startsWith('0') === true || user === 'root')).toEqual(['secrets']);
    const logins = services.filter(([name]) => isLogin(name)) as [ServiceLogin, Service][];
    expect(logins.length).toBeGreaterThan(6);
    for (const [name, service] of logins) {
      expect(`${name} ${service.user}`).toBe(`${name} ${UIDS[name]}:${UIDS[name]}`);
      expect(service.volumes, name).toContain('secrets:/secrets:ro');
      expect(service.environment?.['REDIS_URL_FILE'], name).toBe(`/secrets/${name}/redis_url`);
      expect(service.environment?.['DATABASE_URL_FILE'], name).toBe(LOGINS[name].database === null ? undefined : `/secrets/${name}/database_url`);
    }
    expect(new Set(Object.values(UIDS)).size).toBe(SERVICE_LOGINS.length);
    const readers = wrong(({ volumes = [] }) => volumes.some((volume) => volume.startsWith('secrets_')));
    expect(readers).toEqual(['secrets', 'postgres', 'redis', 'grafana']);
  });

  it('holds no password, and no way in without one', () => {
    for (const [name, { environment = {}, command = [], entrypoint = [] }] of services) {
      expect(Object.keys(environment).filter((variable) => ['DATABASE_URL', 'REDIS_URL', 'STREAM_REDIS_URL'].includes(variable)), name).toEqual([]);
      expect([...Object.values(environment), ...command, ...entrypoint].filter((word) => /:\/\/[^/@\s]*:[^/@\s]+@/.test(word)), name).toEqual([]);
    }
    expect(compose.services['redis']?.command?.join(' ')).toMatch(/--aclfile \/secrets\/users\.acl/);
    expect(compose.services['redis']?.command?.join(' ')).not.toMatch(/protected-mode/);
    expect(Object.keys(compose.services['postgres']?.environment ?? {})).not.toContain('POSTGRES_PASSWORD');
    expect(text('docker-compose.yml')).not.toMatch(/HOST_AUTH_METHOD/);
    const defaults = services.flatMap(([, { environment = {} }]) => Object.entries(environment)).filter(([name, value]) =>
      /PASSWORD|SECRET|TOKEN|_KEY$/.test(name) && !/^\$\{\w+:-\}$/.test(value));
    expect(defaults.filter(([name]) => !name.endsWith('_FILE'))).toEqual([]);
    expect(compose.services['grafana']?.environment?.['GF_SECURITY_ADMIN_PASSWORD__FILE']).toBe('/secrets/admin');
  });

  it('keeps the servers from the internet, and the exchanges from the servers', () => {
    expect(compose.networks['fleet']?.internal).toBe(true);
    expect(wrong(({ networks = [], network_mode: mode }) => networks.length === 0 && mode !== 'none')).toEqual([]);
    for (const server of ['postgres', 'redis']) expect(compose.services[server]?.networks).toEqual(['fleet', 'published']);
    const out = wrong(({ networks = [] }) => networks.includes('exchanges'));
    expect(out).toEqual(expect.arrayContaining(['receiver', 'backfill', 'simulator']));
    for (const inside of ['postgres', 'redis', 'distributor', 'maintenance', 'analyzer', 'console']) expect(out).not.toContain(inside);
    expect(compose.services['simulator']?.networks).toEqual(['exchanges']);
  });
});

describe('Dockerfile', () => {
  const lines = text('Dockerfile').split('\n').filter((line) => !line.startsWith('#'));
  const of = (word: string): string[] => lines.filter((line) => line.startsWith(`${word} `));

  it('builds in stages from a known version, without install scripts, and ends as an ordinary user', () => {
    expect(of('FROM').length).toBeGreaterThan(1);
    for (const line of of('FROM')) expect(line).toMatch(/^FROM [\w/-]+:\d[\w.-]*( AS \w+)?$/);
    expect(lines.filter((line) => /npm (ci|install)/.test(line)).every((line) => line.includes('npm ci') && line.includes('--ignore-scripts'))).toBe(true);
    expect(of('USER').at(-1)).toBe('USER node');
    expect(of('HEALTHCHECK')).toHaveLength(1);
    expect(of('ENTRYPOINT')[0]).toMatch(/^ENTRYPOINT \["/);
    expect(of('CMD')[0]).toMatch(/^CMD \["/);
    expect(lines.filter((line) => /^(ARG|ENV) .*(PASSWORD|SECRET|TOKEN|_KEY)/i.test(line) || /^ADD /.test(line))).toEqual([]);
  });

  it('leaves out of the image what nobody needs there', () => {
    expect(text('.dockerignore').split('\n')).toEqual(expect.arrayContaining(['.git', '.env', '.env.*', 'node_modules', '.data']));
  });
});

describe('packages', () => {
  const lock = JSON.parse(text('package-lock.json')) as { packages: Record<string, Record<string, unknown>> };
  const { '': root, ...packages } = lock.packages;

  it('come from the registry, and are what the lockfile has seen', () => {
    const odd = Object.entries(packages).filter(([, { resolved, integrity, version, link }]) =>
      link === true || typeof integrity !== 'string' || !integrity.startsWith('sha512-') || !/^\d+\.\d+\.\d+/.test(String(version))
      || (resolved !== undefined && !(resolved as string).startsWith('https://registry.npmjs.org/')));
    expect(odd.map(([folder]) => folder)).toEqual([]);
    expect(Object.keys(packages).length).toBeGreaterThan(100);
  });

  it('are asked for by exact versions', () => {
    const asked = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) => Object.entries((root?.[kind] ?? {}) as Record<string, string>));
    expect(asked.filter(([, version]) => !/^(npm:[@\w/-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });

  it('need no install script: none is ever run', () => {
    // Of those that have one: local/native.ts does what it would have done, the others' are for platforms or checks of their own.
    const withScripts = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript === true);
    expect(withScripts.filter(([, { dev, optional }]) => dev !== true && optional !== true).map(([folder]) => folder)).toEqual([]);
    expect(text('src/scripts/run.mjs')).toMatch(/'ci', '--ignore-scripts'/);
  });
});
