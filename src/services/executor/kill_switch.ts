// The kill switch: on while KILL_FILE exists, while trading_flags.kill_switch is `on`, and from SIGUSR2 on (which writes the file). It
// needs neither Redis nor PostgreSQL: the file is asked for right before each order leaves, and cancelling is between us and the exchange.
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import { cancelEverything } from '../../exchanges/cancelling.ts';
import type { TradingVenue } from '../../exchanges/trading.ts';
import type { Logger } from '../../runtime/log.ts';

export type KillCause = 'file' | 'signal' | 'flag';

export interface KillSwitchOptions {
  file: string;
  clock: Clock;
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** null: there is nothing to cancel (observe). */
  venue: TradingVenue | null;
  /** Resolves after `ms`; rejects when the process shall end. */
  pause: (ms: number) => Promise<void>;
  /** Told when it goes on and off. */
  told: (on: boolean, detail: string) => void;
}

const LOOK_MS = 200;

export class KillSwitch {
  readonly #options: KillSwitchOptions;
  /** What could not be written to the file stays on as long as this process. */
  #signalled: string | null = null;
  /** null: not read yet. */
  #flag: boolean | null = null;
  #on = false;
  #wantsFlag: string | null = null;

  constructor(options: KillSwitchOptions) {
    this.#options = options;
  }

  /** What holds it on now, or null. Asks the file system: between the file and the next order there is nothing. */
  get cause(): KillCause | null {
    if (mayExist(this.#options.file)) return 'file';
    if (this.#signalled !== null) return 'signal';
    return this.#flag === true ? 'flag' : null;
  }

  /** Why nothing may be sent, or null. Until the flag was read once nobody knows whether it holds. */
  get bars(): string | null {
    const { cause } = this;
    if (cause !== null) return `by ${cause}`;
    return this.#flag === null ? 'its flag has not been read yet' : null;
  }

  /** Why the flag in the database shall be raised; null: it need not. */
  get wantsFlag(): string | null {
    return this.#wantsFlag;
  }

  /** The flag was read, or written. */
  flag(value: string | null): void {
    this.#flag = value === 'on';
    if (this.#flag) this.#wantsFlag = null;
  }

  /** SIGUSR2, or whoever else in this process wants everything to stop. */
  pull(reason: string): void {
    const { file, log } = this.#options;
    this.#signalled = reason;
    try {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, `${reason}\n`, { flag: 'wx' });
      // From here on the file holds it, so that its removal ends it.
      this.#signalled = null;
    } catch (error) {
      if ((error as { code?: unknown }).code === 'EEXIST') this.#signalled = null;
      else log.error({ err: toError(error), file }, 'the kill switch is on, but a restart will not know it: its file cannot be written');
    }
    this.#look();
  }

  /** Watches until the process shall end; each time it goes on, everything is cancelled until the exchange shows nothing. */
  async run(): Promise<void> {
    try {
      for (;;) {
        this.#look();
        await this.#options.pause(LOOK_MS);
      }
    } catch {
      // the process ends
    }
  }

  #look(): void {
    const { cause } = this;
    const on = cause !== null;
    if (on === this.#on) return;
    this.#on = on;
    const { log, told } = this.#options;
    if (!on) {
      this.#wantsFlag = null;
      log.warn('the kill switch is off');
      told(false, 'off');
      return;
    }
    if (cause !== 'flag') this.#wantsFlag = `kill switch by ${cause}`;
    log.error({ by: cause }, 'KILL SWITCH: nothing is sent any more, everything is cancelled');
    told(true, `by ${cause}`);
    void this.#cancelAll();
  }

  async #cancelAll(): Promise<void> {
    const { venue, log, pause } = this.#options;
    if (venue === null) return;
    let complained = false;
    try {
      await cancelEverything(venue, {
        pause,
        failed: (reason) => {
          if (!complained) log.error({ reason }, 'the exchange has not confirmed that everything is cancelled; asking again');
          complained = true;
        },
      });
      log.warn('kill switch: the exchange shows no open order');
    } catch {
      // the process ends; the next one finds the file and begins again
    }
  }
}

/** Only what is known not to be there is not: one that cannot be looked at counts. */
function mayExist(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}
