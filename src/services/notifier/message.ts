// Events as messages for people and programs: plain JSON, Slack, Discord, Telegram. What strangers put into symbols and reasons is text
// there, never markup, and mentions nobody.
import type { SystemEvent } from '../../contracts/index.ts';

/** What one message tells. */
export interface Notice {
  readonly events: readonly SystemEvent[];
  /** Events of the same kind that were left out since the last message, by the key of `kindOf`. */
  readonly leftOut: ReadonlyMap<string, number>;
}

/** Events of one kind are told once in a while. */
export const kindOf = ({ type, market_id: market = '', symbol = '' }: SystemEvent): string => `${type} ${market} ${symbol}`;

/** Characters that a message may have. */
const LIMITS = { slack: 30_000, discord: 2_000, telegram: 4_096 } as const;
const FIELDS = 8;
const VALUE = 80;

/** JSON for programs. */
export const genericBody = ({ events, leftOut }: Notice): unknown => ({
  source: 'tapekeeper', events, left_out: Object.fromEntries(leftOut),
});

/** https://api.slack.com/reference/surfaces/formatting: & < > are its markup. */
export const slackBody = (notice: Notice): unknown => ({
  text: textOf(notice, LIMITS.slack, (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')),
});

/** https://discord.com/developers/docs/resources/webhook#execute-webhook */
export const discordBody = (notice: Notice): unknown => ({
  content: textOf(notice, LIMITS.discord, (text) => text.replace(/[*_`~|>\\]/g, (mark) => `\\${mark}`)), allowed_mentions: { parse: [] },
});

/** https://core.telegram.org/bots/api#sendmessage: without parse_mode all is text. */
export const telegramBody = (chat: string) => (notice: Notice): unknown => ({
  chat_id: chat, text: textOf(notice, LIMITS.telegram), link_preview_options: { is_disabled: true },
});

/** `escape` makes a line longer than it was, and the limit is one of what is sent: else the line that says how many are missing is cut off. */
function textOf({ events, leftOut }: Notice, limit: number, escape = (text: string): string => text): string {
  const lines: string[] = [];
  let length = 0;
  for (const [n, event] of events.entries()) {
    const line = escape(lineOf(event, leftOut.get(kindOf(event)) ?? 0));
    const rest = events.length - n;
    // Room for the line that says how many are missing.
    if (n > 0 && length + line.length + 40 > limit) {
      lines.push(`… and ${rest} more`);
      break;
    }
    lines.push(line);
    length += line.length + 1;
  }
  return cut(lines.join('\n'), limit);
}

function lineOf(event: SystemEvent, leftOut: number): string {
  const time = new Date(event.ts / 1000).toISOString().slice(0, 19).replace('T', ' ');
  const where = [event.market_id, event.symbol].filter((part) => part !== undefined).join(' ');
  const data = Object.entries(event.data).slice(0, FIELDS).map(([name, value]) => `${name} ${shortly(value)}`).join(', ');
  const again = leftOut === 0 ? '' : ` (and ${leftOut} more of this kind since the last message)`;
  return `[${event.severity}] ${event.type}${where === '' ? '' : ` ${where}`} at ${time} UTC${data === '' ? '' : `: ${data}`}${again}`;
}

const shortly = (value: unknown): string => cut(typeof value === 'string' ? value.replace(/\s+/g, ' ') : JSON.stringify(value), VALUE);

const cut = (text: string, limit: number): string => (text.length > limit ? `${text.slice(0, limit - 1)}…` : text);
