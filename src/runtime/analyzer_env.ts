// What the analyzer and the notifier are configured with.
import { systemEventSchema, type SystemEvent } from '../contracts/index.ts';
import { UsageError } from '../core/errors.ts';
import { closestName } from '../core/spelling.ts';
import { list, oneOf, url, whole } from './env_values.ts';
import type { VariableName } from './variables.ts';

export interface AnalyzerConfig {
  readonly rulesFile: string | null;
  readonly lookBackMs: number;
}

export interface NotifyConfig {
  /** null: not told there. */
  readonly webhookUrl: string | null;
  readonly slackUrl: string | null;
  readonly discordUrl: string | null;
  readonly telegram: { readonly url: string; readonly token: string; readonly chat: string } | null;
  readonly minSeverity: SystemEvent['severity'];
  /** Types, or their families (the part before the dot); empty: all. */
  readonly types: readonly string[];
  readonly perMinute: number;
  readonly repeatMs: number;
}

type Read = (name: VariableName) => string;

export const severityValues = systemEventSchema.shape.severity.options;
const typeValues = systemEventSchema.shape.type.options;

/** Reads the variables of the analyzer. Throws UsageError. */
export const analyzerConfig = (read: Read): AnalyzerConfig => ({
  rulesFile: read('ANALYZER_RULES_FILE') || null,
  lookBackMs: whole('ANALYZER_LOOKBACK_S', read('ANALYZER_LOOKBACK_S'), 0, 86_400) * 1000,
});

/** Reads the variables of the notifier. Throws UsageError. */
export function notifyConfig(read: Read): NotifyConfig {
  const target = (name: VariableName): string | null => (read(name) === '' ? null : url(name, read(name), ['https:', 'http:']));
  const [token, chat] = [read('NOTIFY_TELEGRAM_TOKEN'), read('NOTIFY_TELEGRAM_CHAT')];
  if ((token === '') !== (chat === '')) {
    throw new UsageError(`${token === '' ? 'NOTIFY_TELEGRAM_TOKEN' : 'NOTIFY_TELEGRAM_CHAT'} is not set: both are needed`);
  }
  return {
    webhookUrl: target('NOTIFY_WEBHOOK_URL'),
    slackUrl: target('NOTIFY_SLACK_URL'),
    discordUrl: target('NOTIFY_DISCORD_URL'),
    telegram: token === '' ? null : { url: url('NOTIFY_TELEGRAM_URL', read('NOTIFY_TELEGRAM_URL'), ['https:', 'http:']), token, chat },
    minSeverity: oneOf('NOTIFY_MIN_SEVERITY', read('NOTIFY_MIN_SEVERITY'), severityValues),
    types: list(read('NOTIFY_TYPES')).map((type) => eventType('NOTIFY_TYPES', type)),
    perMinute: whole('NOTIFY_PER_MINUTE', read('NOTIFY_PER_MINUTE'), 1, 6_000),
    repeatMs: whole('NOTIFY_REPEAT_S', read('NOTIFY_REPEAT_S'), 0, 86_400) * 1000,
  };
}

/** What no log line may hold: whoever knows a webhook's address may write to it. */
export const notifySecrets = ({ webhookUrl, slackUrl, discordUrl, telegram }: NotifyConfig): string[] =>
  [webhookUrl, slackUrl, discordUrl, telegram?.token ?? null].filter((secret) => secret !== null);

/** An event type (`market.price_spike`), its name alone (`price_spike`) or a family (`market`). Throws UsageError that names `name`. */
export function eventType(name: string, text: string): string {
  const known = typeValues.flatMap((type) => [type, ...type.split('.')]);
  if (known.includes(text)) return text;
  const meant = closestName(text, known);
  throw new UsageError(`${name}: ${JSON.stringify(text)} is no event type${meant === null ? `; known: ${typeValues.join(', ')}` : `, did you mean ${meant}?`}`);
}

/** Whether an event's type is among `wanted` as eventType() reads them; none wanted: all are. */
export const isWantedType = (type: string, wanted: readonly string[]): boolean =>
  wanted.length === 0 || wanted.some((each) => each === type || type.split('.').includes(each));
