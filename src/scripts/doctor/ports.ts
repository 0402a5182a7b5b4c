// doctor: what of our servers can be reached from other machines.
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { fail, ok, warn, type Finding } from '../../core/finding.ts';
import { isLoopback } from './settings.ts';

export interface Port {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Holds data or takes commands: nobody else's business. */
  readonly sensitive: boolean;
}

const CONNECT_MS = 1_000;

/** This machine's addresses that others can reach. */
export const outsideAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).filter(({ internal, family }) => !internal && family === 'IPv4').map(({ address }) => address));

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: CONNECT_MS });
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(false));
  });
}

/**
 * One row per server: a connection to its port by an address that others reach tells. One that is not on loopback was put elsewhere on
 * purpose, and is not this machine's to judge.
 */
export function portFindings(ports: readonly Port[], addresses: readonly string[]): Promise<Finding[]> {
  return Promise.all(ports.map(async ({ name: server, host, port, sensitive }): Promise<Finding> => {
    const name = `port ${server}`;
    if (!isLoopback(host)) return ok(name, `at ${host}, not on this machine's loopback`);
    for (const address of addresses) {
      if (!(await accepts(address, port))) continue;
      return (sensitive ? fail : warn)(name, `${port} accepts connections from outside (${address})`, 'bind it to 127.0.0.1, or close it with a firewall');
    }
    return ok(name, `${port} on loopback only`);
  }));
}
